"""By how much each choice beats every solution without it: a bound from the prices.

Where prices π cover every link and bundle, a chosen one may lose as much of its worth as the prices of its places can
fall with no other choice coming to exceed them: the packing then stays optimal. So any solution without it is worth
less by that margin at least, in nats, up to what the prices leave open (the gap of :mod:`proof` before regions are
solved). Without bundles about it, the margin is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Graph
from tracking3d.link.packing import Bundles, Packing, held
from tracking3d.link.prices import Holding, lowered, settled_prices
from volumes.jit import kernel

MOST = 6.0
"""Nats past which a margin is not followed: odds of four hundred to one."""


def margins(packing: Packing, bundles: Bundles, settle: bool = True, most: float = MOST) -> NDArray[np.float64]:
    """Margin (n,) of the choice that claims each cell as a child, at most ``most`` nats; NaN for nobody's child.

    The prices of the packing's graph are changed, and settled before where they are not yet.
    """
    n = len(packing.places.price) // 2
    holding = held(n, bundles, packing.taken)
    if settle:
        settled_prices(holding, packing.places)
    return _margins(packing.places, holding, most)


@kernel
def _margins(graph: Graph, holding: Holding, most: float) -> NDArray[np.float64]:
    n = len(graph.price) // 2
    out = np.full(n, np.nan)
    for child in range(n):
        mate = int(graph.mate[n + child])
        if mate >= 0:
            margin = lowered(mate, n + child, -1, most, holding, graph)
            other = lowered(n + child, mate, -1, most - margin, holding, graph)
            # Either end takes back what it gave: the link is tight again, and all others are still covered.
            graph.price[mate] += margin
            graph.price[n + child] += other
            out[child] = margin + other
    for k in range(len(holding.taken)):
        if holding.taken[k]:
            margin = _of_bundle(k, graph, holding, most)
            for at in range(holding.first[k], holding.first[k + 1]):
                if holding.place[at] >= n:
                    out[holding.place[at] - n] = margin
    return out


@kernel
def _of_bundle(k: int, graph: Graph, holding: Holding, most: float) -> float:
    places = holding.place[holding.first[k] : holding.first[k + 1]]
    given = np.zeros(len(places))
    for i in range(len(places)):
        given[i] = lowered(places[i], -1, k, most - given.sum(), holding, graph)
    for i in range(len(places)):
        graph.price[places[i]] += given[i]
    return float(given.sum())
