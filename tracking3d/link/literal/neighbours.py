"""Rule 3: cells within two mean diameters are neighbours, and targets that have as many as before are preferred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import Points


def neighbour_count(zyx_um: Points, within: float | None, diameter_um: float) -> NDArray[np.int64]:
    """How many other cells (n,) of a frame lie within so many mean diameters of each; 0 where the rule is off."""
    if within is None or not len(zyx_um):
        return np.zeros(len(zyx_um), dtype=np.int64)
    from scipy.spatial import cKDTree

    found = cKDTree(zyx_um).query_ball_point(zyx_um, within * diameter_um, return_length=True)
    return np.asarray(found, dtype=np.int64) - 1


def preferred(
    one: NDArray[np.int64], other: NDArray[np.int64], distance_um: NDArray[np.float64], change: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The order (m,) in which pairs are taken: those whose number of neighbours stays first, and the nearer first."""
    return np.lexsort((other, one, distance_um, change != 0))


def passed_over(
    one: NDArray[np.int64], distance_um: NDArray[np.float64], taken: NDArray[np.bool_], change: NDArray[np.int64]
) -> int:
    """Of pairs (m,), how many lost to one of the same cell that is farther, but whose number of neighbours stays."""
    longest = np.full(int(one.max(initial=-1)) + 1, -np.inf)
    stays = taken & (change == 0)
    longest[one[stays]] = distance_um[stays]
    return int(np.count_nonzero(~taken & (change != 0) & (distance_um < longest[one])))
