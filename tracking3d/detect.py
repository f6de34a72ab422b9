"""From labels to detections: where each cell lies in the world, how large it is, how bright."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import label_voxels
from volumes.errors import ContentError, GridError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels
from volumes.timelapse import TimeLapse
from volumes.volume import Volume, require_finite

log = logging.getLogger(__name__)

COUNT, SUM_Z, SUM_Y, SUM_X, LOW_Z, LOW_Y, LOW_X, HIGH_Z, HIGH_Y, HIGH_X = range(10)


def detect(labels: Volume | TimeLapse, intensity: Volume | TimeLapse | None = None) -> Detections:
    """One detection for each label of each frame.

    Parameters
    ----------
    labels : whole numbers, 0 the background; a single volume is frame 0.
    intensity : what to measure brightness in, on the labels' grid; one frame for each of the labels'.

    Returns
    -------
    Centroids in the world (µm, by the grid's origin and direction) and volumes (µm³), with the features

    - ``label``: the number in the volume;
    - ``equivalent_diameter``: (6 V / π)^⅓, µm;
    - ``extent_z``, ``extent_y``, ``extent_x``: the bounding box along the volume's own axes, µm;
    - ``touches_border``: whether the box reaches a face of the volume (an axis of one voxel has none);
    - ``pieces``: connected parts (26 neighbours); more than one is also logged as a warning, since a centroid between
      parts may lie in neither;
    - ``mean_intensity``, or ``mean_NAME`` for each of several channels: over the label's valid voxels, NaN without any.

    Raises
    ------
    ContentError : labels that are not whole numbers, intensities that are NaN or infinite, a movie of another length.
    GridError : intensities on another grid.
    """
    if isinstance(labels, Volume):
        if isinstance(intensity, TimeLapse):
            raise ContentError(
                "one volume of labels needs one volume", field="intensity", value=f"{len(intensity)} frames"
            )
        return _table([_measure(labels, intensity, 0)], None)
    if intensity is not None and (isinstance(intensity, Volume) or len(intensity) != len(labels)):
        found = "one volume" if isinstance(intensity, Volume) else f"{len(intensity)} frames"
        raise ContentError(f"{len(labels)} frames of labels need as many", field="intensity", value=found)
    frames = [_measure(labels[i], None if intensity is None else intensity[i], i) for i in range(len(labels))]
    return _table(frames, labels.dt_s)


Columns = dict[str, NDArray[Any]]


def _table(frames: list[Columns], dt_s: float | None) -> Detections:
    columns = {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
    t, centres, volume = columns.pop("t"), columns.pop("zyx_um"), columns.pop("volume_um3")
    return Detections.of(t, centres, volume, columns, dt_s)


def _measure(labels: Volume, intensity: Volume | None, frame: int) -> Columns:
    """All columns of one frame but the id."""
    voxels = label_voxels(labels, f"labels of frame {frame}")
    numbers, compact = _compact(voxels)
    sums = _box_sums(compact, len(numbers))[1:]
    kept = sums[:, COUNT] > 0
    sums, grid = sums[kept], labels.grid
    count = sums[:, COUNT].astype(np.float64)
    volume = count * grid.voxel_um3
    columns: Columns = {
        "t": np.full(len(sums), frame, np.int64),
        "zyx_um": grid.to_world(sums[:, SUM_Z : SUM_X + 1] / count[:, None]),
        "volume_um3": volume,
        "label": numbers[kept],
        "equivalent_diameter": np.cbrt(6 * volume / np.pi),
    }
    low, high = sums[:, LOW_Z : LOW_X + 1], sums[:, HIGH_Z : HIGH_X + 1]
    extent = (high - low + 1) * np.asarray(grid.spacing_um)
    columns |= {f"extent_{axis}": extent[:, i] for i, axis in enumerate("zyx")}
    shape = np.asarray(grid.shape)
    columns["touches_border"] = (((low == 0) | (high == shape - 1)) & (shape > 1)).any(axis=1)
    columns["pieces"] = _pieces(compact, len(numbers), frame, numbers)[kept]
    if intensity is not None:
        columns |= {name: mean[kept] for name, mean in _means(compact, len(numbers), labels, intensity).items()}
    return columns


def _compact(voxels: Voxels) -> tuple[NDArray[np.int64], Voxels]:
    """The labels' numbers, and the voxels with label ``numbers[i]`` as i + 1; as they are where numbers are small."""
    highest = int(voxels.max(initial=0))
    if highest <= max(voxels.size, 1 << 16):
        return np.arange(1, highest + 1, dtype=np.int64), np.ascontiguousarray(voxels)
    numbers, places = np.unique(voxels, return_inverse=True)
    first = int(numbers[0] == 0)
    return numbers[first:].astype(np.int64), (places.reshape(voxels.shape) + 1 - first).astype(np.uint32)


def _means(labels: Voxels, n: int, like: Volume, intensity: Volume) -> Columns:
    """The mean of each channel, (n,) by name."""
    if not intensity.grid.is_close(like.grid):
        raise GridError(
            "the intensities do not lie on the labels' grid",
            field="intensity",
            value=intensity.grid.shape,
            remedy="Resample them onto it first",
        )
    require_finite(intensity, "intensity")
    inside = intensity.mask()
    out: Columns = {}
    for i, channel in enumerate(intensity.channels):
        total, count = _intensity_sums(labels, np.ascontiguousarray(intensity.channel(i)), inside, n)
        mean = np.divide(total, count, out=np.full(n + 1, np.nan), where=count > 0)
        out["mean_intensity" if len(intensity.channels) == 1 else f"mean_{channel.name}"] = mean[1:]
    return out


def _pieces(labels: Voxels, n: int, frame: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) connected parts of each label."""
    import cc3d

    # A copy, since cc3d takes no read-only array.
    parts, n_parts = cc3d.connected_components(labels.copy(), connectivity=26, return_N=True)
    counts = np.bincount(_label_of_part(labels, parts, n_parts)[1:], minlength=n + 1)[1:]
    broken = numbers[counts > 1]
    if len(broken):
        log.warning("frame %d: %d labels are in several pieces, the first is %d", frame, len(broken), broken[0])
    return counts


@kernel
def _box_sums(labels: AnyArray, n: int) -> NDArray[np.int64]:
    """(n + 1, 10) by label: count, sums of indices, lowest and highest indices; a run along x at a time."""
    out = np.zeros((n + 1, 10), np.int64)
    out[:, LOW_Z : LOW_X + 1] = 1 << 62
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            row = labels[z, y]
            x = 0
            while x < nx:
                label = row[x]
                start = x
                x += 1
                while x < nx and row[x] == label:
                    x += 1
                if label == 0:
                    continue
                length = x - start
                cell = out[label]
                cell[COUNT] += length
                cell[SUM_Z] += z * length
                cell[SUM_Y] += y * length
                cell[SUM_X] += (start + x - 1) * length // 2
                cell[LOW_Z], cell[HIGH_Z] = min(cell[LOW_Z], z), max(cell[HIGH_Z], z)
                cell[LOW_Y], cell[HIGH_Y] = min(cell[LOW_Y], y), max(cell[HIGH_Y], y)
                cell[LOW_X], cell[HIGH_X] = min(cell[LOW_X], start), max(cell[HIGH_X], x - 1)
    return out


@kernel
def _intensity_sums(
    labels: AnyArray, voxels: AnyArray, inside: AnyArray, n: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    total, count = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                label = labels[z, y, x]
                if label > 0 and inside[z, y, x]:
                    total[label] += voxels[z, y, x]
                    count[label] += 1
    return total, count


@kernel
def _label_of_part(labels: AnyArray, parts: AnyArray, n: int) -> NDArray[np.int64]:
    out = np.zeros(n + 1, np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                out[parts[z, y, x]] = labels[z, y, x]
    return out
