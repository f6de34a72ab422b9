"""Detections as the linker sees them: ordered in time, each with its neighbours and their distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.grid import Grid, grid, neighbours
from volumes.shapes import Points

NEIGHBOURS = 6
"""Neighbours in the same frame whose motion speaks for that of a cell."""
SPACED_BY = 4
"""Neighbours whose mean distance is the local spacing of cells."""
DENSITY = 0.74
"""Cells per cubed spacing: between scattered points (a Poisson process has 0.47) and a cubic lattice (1)."""
FAR = 3.0
"""Spacing of cells without neighbours, in their nearest cells' distance from one frame to the next."""


@dataclass(frozen=True)
class Scene:
    """Cells in the order of (t, z, y, x), so that nothing depends on the order of the table.

    Parameters
    ----------
    order : (n,) row of the table that each cell stands in.
    t : (n,) frame.
    zyx : (n, 3) centres, µm.
    log_volume : (n,) natural logarithm of the volume in µm³, NaN where it is not known.
    frames : (f,) numbers of the frames that hold a cell, growing.
    first : (f + 1,) first cell of each of them.
    near : (n, 6) cells of the same frame, nearest first, −1 where there are fewer.
    spacing : (n,) mean distance to the four nearest, µm, within [0.6, 2] of the frame's median.
    grid : the centres of each frame in boxes.
    """

    order: NDArray[np.int64]
    t: NDArray[np.int64]
    zyx: Points
    log_volume: NDArray[np.float64]
    frames: NDArray[np.int64]
    first: NDArray[np.int64]
    near: NDArray[np.int64]
    spacing: NDArray[np.float64]
    grid: Grid

    def __len__(self) -> int:
        return len(self.t)

    @property
    def log_density(self) -> NDArray[np.float64]:
        """(n,) log of cells per µm³ around each cell."""
        return np.asarray(np.log(DENSITY) - 3 * np.log(self.spacing))

    def in_table(self, other: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each row of the table, the row of the cell that its own refers to in ``other`` (n,); −1 for none."""
        out = np.full(len(self), -1, dtype=np.int64)
        has = np.flatnonzero(other >= 0)
        out[self.order[has]] = self.order[other[has]]
        return out

    def cells(self, place: int) -> slice:
        """The cells of the frame in a place of ``frames``."""
        return slice(int(self.first[place]), int(self.first[place + 1]))


def scene(detections: Detections) -> Scene:
    """Order the cells and find each one's neighbours; n log n."""
    order = _ordered(detections.t, detections.zyx_um)
    t, zyx = detections.t[order], detections.zyx_um[order]
    first = np.append(np.flatnonzero(np.diff(t, prepend=t[:1] - 1)), len(t))
    frames = t[first[:-1]]
    boxes = grid(zyx, first)
    near, distance = neighbours(boxes, first, NEIGHBOURS)
    volume = np.where(detections.volume_um3 > 0, detections.volume_um3, np.nan)[order]
    spacing = _complete(_spacing(distance, first), zyx, first)
    return Scene(order, t, zyx, np.log(volume), frames, first, near, spacing, boxes)


def _ordered(t: NDArray[np.int64], zyx: Points) -> NDArray[np.int64]:
    """Rows in the order of (t, z, y, x): by two of them, unless cells share both."""
    order = np.argsort(zyx[:, 0])
    order = order[np.argsort(t[order], kind="stable")]
    if ((np.diff(t[order]) == 0) & (np.diff(zyx[order, 0]) == 0)).any():
        return np.lexsort((*zyx.T[::-1], t))
    return np.asarray(order)


def neighboured(cells: Scene, near: NDArray[np.int64], distance: NDArray[np.float64]) -> Scene:
    """The scene with other neighbours (n, 6), −1 for none, and spacings by their distances (n, 6), µm, ∞ for none."""
    return replace(cells, near=near, spacing=_complete(_spacing(distance, cells.first), cells.zyx, cells.first))


def _spacing(distance: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean distance (n,) to the four nearest, kept near the frame's median; NaN for a cell alone in its frame."""
    closest = distance[:, :SPACED_BY]
    known = np.isfinite(closest)
    count = known.sum(axis=1)
    mean = np.where(known, closest, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)
    for begin, end in pairwise(first.tolist()):
        middle = np.median(mean[begin:end])
        mean[begin:end] = np.clip(mean[begin:end], 0.6 * middle, 2.0 * middle)
    return np.asarray(mean)


def _complete(spacing: NDArray[np.float64], zyx: Points, first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give cells that are alone in their frame a spacing: that of the others, or else one from their steps."""
    known = np.isfinite(spacing)
    if known.all():
        return spacing
    if known.any():
        return np.where(known, spacing, np.median(spacing[known]))
    step = np.median(np.linalg.norm(np.diff(zyx[first[:-1]], axis=0), axis=1)) if len(first) > 2 else 0.0
    return np.full(len(spacing), FAR * step if step > 0 else 1.0)
