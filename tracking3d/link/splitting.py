"""Merged detections become two where the labels are given: each voxel goes to the track that it lies nearer to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.parts import masks, with_parts
from tracking3d.tracks import Tracks
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
    zyx, volume = cells.zyx_um.copy(), cells.volume_um3.copy()
    other = _swallowed(tracks)
    source: list[int] = []
    places: list[Points] = []
    sizes: list[float] = []
    for merged, labelled, mask in masks(cells, np.array(sorted(other), np.int64), labels):
        row, after = other[merged], int(tracks.children[merged, 0])
        ways = [
            _between(tracks, int(tracks.parent[merged]), after, merged),
            _between(tracks, int(tracks.parent[row]), row, merged),
        ]
        points = labelled.grid.to_world(np.argwhere(mask).astype(np.float64))
        mine = _nearer(points, np.array([way[:3] for way in ways]), np.array([way[3] for way in ways]))
        share = mine.mean()
        if not LEAST <= share <= 1 - LEAST:
            continue
        source.append(merged)
        places.append(points[~mine].mean(axis=0))
        sizes.append((1 - share) * volume[merged])
        zyx[merged], volume[merged] = points[mine].mean(axis=0), share * volume[merged]
    whole = replace(cells, zyx_um=zyx, volume_um3=volume)
    return with_parts(whole, np.array(source, np.int64), np.reshape(places, (-1, 3)), np.array(sizes))


def _swallowed(tracks: Tracks) -> dict[int, int]:
    """Each merged detection on a track that goes on both ways, with the first row that its other cell is seen in."""
    out: dict[int, int] = {}
    into = np.zeros(0, np.int64) if tracks.merged_into is None else tracks.merged_into
    for row in np.flatnonzero(into >= 0).tolist():
        merged = int(into[row])
        if tracks.children[merged, 0] >= 0 and tracks.parent[merged] >= 0:
            out.setdefault(merged, row)
    return out


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
