"""The true cells in one instrument's field: a table with a lineage, in µm of that instrument's world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.acquisition import Acquisition
from phantom.cells.cells import Cells
from phantom.lineage import nearest_kept
from volumes.shapes import Points

COLUMNS = ("id", "t", "z", "y", "x", "radius", "parent", "number", "volume_um3", "inside", "voxels", "signal")
PROBES = 512
"""Points of a nucleus that tell how much of it lies in the field."""


@dataclass(frozen=True, eq=False)
class TrueCells:
    """One row for each cell in each frame that has a part in the field; the columns of :data:`COLUMNS`.

    Parameters
    ----------
    t : frame of the instrument, (n,).
    zyx_um : where the pose takes the nucleus' centroid, (n, 3), in the instrument's world.
    radius_um, volume_um3 : of the nucleus in the specimen, where nothing swells or shrinks it.
    parent : row of the same or the dividing cell in an earlier frame, −1 at a root.
    number : what its voxels are called in the labels.
    inside : share of the nucleus in the field, 0 to 1.
    voxels : how many voxels carry its number.
    signal : mean of the clean picture over them, in the instrument's unit; NaN without one.
    """

    t: NDArray[np.int64]
    zyx_um: Points
    radius_um: NDArray[np.float64]
    volume_um3: NDArray[np.float64]
    parent: NDArray[np.int64]
    number: NDArray[np.int64]
    inside: NDArray[np.float64]
    voxels: NDArray[np.int64]
    signal: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t)

    def csv(self) -> str:
        """The table as text, lengths in µm; an id is a row's number, a signal that is not there stays empty."""
        lines = [",".join(COLUMNS)]
        columns = (
            self.t, *self.zyx_um.T, self.radius_um, self.parent, self.number, self.volume_um3, self.inside, self.voxels
        )  # fmt: skip
        for row, values in enumerate(zip(*(column.tolist() for column in columns), self.signal.tolist(), strict=True)):
            *known, signal = values
            lines.append(",".join([str(row), *map(repr, known), "" if np.isnan(signal) else repr(signal)]))
        return "\n".join(lines) + "\n"


def true_cells(acquisition: Acquisition) -> TrueCells:
    """The table of one instrument. It draws every frame, since a signal is measured in the clean picture.

    A cell that leaves the field and comes back keeps its line: its row there has its last row in the field as parent.
    """
    tracks = acquisition.history.tracks(acquisition.times_s)
    frames = [_frame(acquisition, frame) for frame in range(len(acquisition.times_s))]
    zyx, radius, volume, inside, voxels, signal = (np.concatenate(column) for column in zip(*frames, strict=True))
    kept, parent = nearest_kept(tracks.parent, (inside > 0) | (voxels > 0))
    return TrueCells(
        tracks.frame[kept],
        zyx[kept],
        radius[kept],
        volume[kept],
        parent,
        tracks.number[kept].astype(np.int64),
        inside[kept],
        voxels[kept],
        signal[kept],
    )


def _frame(acquisition: Acquisition, frame: int) -> tuple[NDArray[np.float64], ...]:
    """Place, radius, volume, share inside, voxels and signal of all cells at one frame."""
    cells = acquisition.cells(frame)
    centre = acquisition.pose.world(cells.centre_um, frame)
    voxels, signal = _measured(acquisition, frame, cells)
    return centre, cells.radius_um, cells.volume_um3, share_inside(acquisition, frame, cells), voxels, signal


def share_inside(acquisition: Acquisition, frame: int, cells: Cells) -> NDArray[np.float64]:
    """The share of each nucleus' ellipsoid in the field, (n,), by even points in it."""
    reach = cells.reach_um[:, None]
    grid = acquisition.pose.grid
    index = grid.to_index(acquisition.pose.world(cells.centre_um, frame))
    half = np.linalg.norm(acquisition.pose.stretch(cells.centre_um), axis=2) * reach
    last = np.asarray(grid.shape) - 0.5
    out: NDArray[np.float64] = ((index - half > -0.5) & (index + half < last)).all(1).astype(np.float64)
    partly = np.flatnonzero((out == 0) & ((index + half > -0.5) & (index - half < last)).all(1))
    for row in partly:
        points = cells.centre_um[row] + _ball() @ cells.frame_um[row].T
        at = grid.to_index(acquisition.pose.world(points, frame))
        out[row] = ((at > -0.5) & (at < last)).all(1).mean()
    return out


def _ball() -> Points:
    """Even points in the unit ball: a Fibonacci spiral whose radius grows as the cube root."""
    k = np.arange(PROBES) + 0.5
    z, angle = 1 - 2 * k / PROBES, np.pi * (1 + np.sqrt(5)) * k
    ring = np.sqrt(1 - z**2)
    shell = np.cbrt(((k * 0.7548776662466927) % 1)[:, None])
    return np.asarray(np.stack([z, ring * np.cos(angle), ring * np.sin(angle)], 1) * shell)


def _measured(acquisition: Acquisition, frame: int, cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many voxels carry each cell's number, and the mean of the clean picture over them."""
    size = acquisition.history.highest + 1
    count, total = np.zeros(size), np.zeros(size)
    for slab in range(acquisition.slabs):
        drawn = acquisition.drawn(frame, slab)
        labels = drawn.labels.ravel()
        count += np.bincount(labels, minlength=size)
        total += np.bincount(labels, weights=drawn.clean.ravel(), minlength=size)
    with np.errstate(invalid="ignore"):
        mean = total / count
    return count[cells.number].astype(np.int64), mean[cells.number]
