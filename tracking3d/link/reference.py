"""The packing of links and bundles as an integer program, solved by HiGHS: the reference, and judge of small parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.packing import Bundles, bundled, joined


class Optimum(NamedTuple):
    """The best choice: parents (n,) by single links, which bundles (k,) hold, and the total."""

    parent: NDArray[np.int64]
    taken: NDArray[np.bool_]
    total: float


def optimum(n: int, links: NDArray[np.int64], gain: NDArray[np.float64], bundles: Bundles) -> Optimum:
    """The best choice of links and bundles, by branch and bound; arguments as of :func:`packing.pack`.

    Linear in memory, but without a bound on its time: for tests, and for problems of some thousand choices.
    """
    kinds = joined([bundled(links + np.array([0, n]), gain), bundles])
    chosen, total = chosen_of(kinds, 2 * n)
    parent = np.full(n, -1)
    link = np.flatnonzero(chosen[: len(gain)])
    parent[links[link, 1]] = links[link, 0]
    return Optimum(parent, chosen[len(gain) :], total)


def chosen_of(bundles: Bundles, places: int) -> tuple[NDArray[np.bool_], float]:
    """Which bundles (k,) of the largest total worth claim no place twice, and that total.

    Raises
    ------
    RuntimeError : HiGHS ends without an optimum.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    k = len(bundles.worth)
    if k == 0:
        return np.zeros(0, bool), 0.0
    once = coo_array((np.ones(len(bundles.place)), (bundles.place, bundles.owner)), shape=(places, k))
    solved = milp(
        -bundles.worth,
        constraints=LinearConstraint(once.tocsr(), -np.inf, 1),
        integrality=np.ones(k, np.int64),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    if solved.x is None or not solved.success:
        raise RuntimeError(f"HiGHS: {solved.message}")
    chosen = np.asarray(solved.x > 0.5)
    return chosen, float(bundles.worth[chosen].sum())
