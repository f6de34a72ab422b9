"""Merged detections become two where the labels are given: each voxel goes to the track that it lies nearer to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import label_voxels
from tracking3d.tracks import Tracks
from volumes.errors import TableError
from volumes.shapes import Points
from volumes.timelapse import TimeLapse

LEAST = 0.1
"""Smallest share of a merged detection that is a cell; where less would be left, the detection stays whole."""


def split_merged(tracks: Tracks, labels: TimeLapse) -> Detections:
    """The detections with each merged one divided between the two cells that are in it.

    A voxel at x goes to the cell i with the least |x − x_i|² − r_i², where x_i lies between the cells before and after
    on its track, and r_i is the radius of the ball of their volume (a power diagram; Aurenhammer, SIAM J. Comput. 16,
    1987); without volumes all r_i are 0.

    Parameters
    ----------
    tracks : with ``merged_into``, over detections that have the feature ``label``.
    labels : the movie that they were measured in.

    Returns
    -------
    The same rows, and one more for each cell that was swallowed, with the feature ``split_of``: the id of the detection
    it was split from, −1 at all others. A detection that cannot be divided stays as it is.

    Raises
    ------
    TableError : detections without labels, or a label that the movie does not hold.
    """
    cells = tracks.detections
    swallowed = np.zeros(0, np.int64) if tracks.merged_into is None else np.flatnonzero(tracks.merged_into >= 0)
    zyx, volume = cells.zyx_um.copy(), cells.volume_um3.copy()
    source: list[int] = []
    places: list[Points] = []
    sizes: list[float] = []
    for row in swallowed.tolist():
        merged = int(tracks.merged_into[row]) if tracks.merged_into is not None else -1
        after = int(tracks.children[merged, 0])
        if merged in source or after < 0 or tracks.parent[merged] < 0:
            continue
        ways = [
            _between(tracks, int(tracks.parent[merged]), after, merged),
            _between(tracks, int(tracks.parent[row]), row, merged),
        ]
        points = _voxels(cells, merged, labels)
        mine = _nearer(points, np.array([way[:3] for way in ways]), np.array([way[3] for way in ways]))
        share = mine.mean()
        if not LEAST <= share <= 1 - LEAST:
            continue
        source.append(merged)
        places.append(points[~mine].mean(axis=0))
        sizes.append((1 - share) * volume[merged])
        zyx[merged], volume[merged] = points[mine].mean(axis=0), share * volume[merged]
    return _with_rows(replace(cells, zyx_um=zyx, volume_um3=volume), source, places, sizes)


def _between(tracks: Tracks, before: int, after: int, merged: int) -> NDArray[np.float64]:
    """Place (3,) between two cells in the frame of a third, µm, and their squared radius, 0 where none is known."""
    cells = tracks.detections
    share = (cells.t[merged] - cells.t[before]) / (cells.t[after] - cells.t[before])
    place = (1 - share) * cells.zyx_um[before] + share * cells.zyx_um[after]
    known = cells.volume_um3[[before, after]]
    known = known[np.isfinite(known)]
    radius = (3 * known.mean() / (4 * np.pi)) ** (1 / 3) if len(known) else 0.0
    return np.asarray(np.r_[place, radius**2])


def _nearer(points: Points, places: Points, squared: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether a point belongs to the first of two places (2, 3) of squared radii (2,)."""
    away = ((points[:, None] - places) ** 2).sum(axis=-1) - (squared if (squared > 0).all() else 0.0)
    return np.asarray(away[:, 0] <= away[:, 1])


def _voxels(cells: Detections, row: int, labels: TimeLapse) -> Points:
    """Centres (n, 3) of the voxels of a detection, µm."""
    if "label" not in cells.features:
        raise TableError("is missing", field="label", remedy="Take the detections from tracking3d.detect(labels)")
    frame = int(cells.t[row])
    if frame >= len(labels):
        raise TableError(f"the labels have {len(labels)} frames", field="t", value=frame)
    volume = labels[frame]
    index = np.argwhere(label_voxels(volume) == cells.features["label"][row])
    if not len(index):
        raise TableError(f"row {row}: no voxel of its frame has this label", field="label", value=int(cells.id[row]))
    return volume.grid.to_world(index.astype(np.float64))


def _with_rows(cells: Detections, source: list[int], places: list[Points], sizes: list[float]) -> Detections:
    """The detections, and a further row of the features of each source at its own place."""
    every = np.r_[np.arange(len(cells)), np.array(source, np.int64)]
    features = {name: column[every] for name, column in cells.features.items()}
    split_of = np.full(len(every), -1)
    split_of[len(cells) :] = cells.id[source]
    ids = np.r_[cells.id, cells.id.max(initial=-1) + 1 + np.arange(len(source))]
    zyx = np.concatenate([cells.zyx_um, np.reshape(places, (-1, 3))])
    volume = np.r_[cells.volume_um3, sizes]
    return Detections(ids, cells.t[every], zyx, volume, {**features, "split_of": split_of}, cells.dt_s)
