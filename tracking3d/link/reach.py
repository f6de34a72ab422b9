"""How far a cell may be looked for, from the spacing of the cells; and which cells are that near."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.scene import Scene
from volumes.shapes import Points

NEAREST = 16
"""Cells at most that one cell is compared with: what keeps a reach that is far too long from filling the memory."""


class Near(NamedTuple):
    """Pairs of points within reach of each other.

    Parameters
    ----------
    one, other : (m,) their numbers, ordered by ``one``, then by distance.
    distance : (m,) between them, µm.
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    distance: NDArray[np.float64]


def typical_reach(cells: Scene) -> float:
    """Median distance (µm) from a cell to its nearest in the same frame; where all are alone, their given spacing.

    A step longer than this leads, as often as not, to a place that another cell is nearer to.
    """
    has = cells.near[:, 0] >= 0
    if not has.any():
        return float(np.median(cells.spacing)) if len(cells) else 1.0
    nearest = cells.zyx[cells.near[has, 0]] - cells.zyx[has]
    return float(np.median(np.linalg.norm(nearest, axis=1)))


def near_pairs(points: Points, others: Points, reach_um: float, nearest: int = NEAREST) -> Near:
    """Pairs of a point (n, 3) and another (m, 3), in µm, at most ``reach_um`` apart; the nearest ones of each point."""
    if not (len(points) and len(others)):
        return Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    from scipy.spatial import cKDTree

    # A k-d tree looks for what is nearer than its bound, and what is at the bound counts here.
    bound = float(np.nextafter(reach_um, np.inf))
    found = cKDTree(others).query(points, k=range(1, min(nearest, len(others)) + 1), distance_upper_bound=bound)
    distance, other = (np.asarray(part) for part in found)
    one, rank = np.nonzero(np.isfinite(distance))
    return Near(one, other[one, rank].astype(np.int64), distance[one, rank])
