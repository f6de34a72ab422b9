"""Prices of places where bundles compete with links: the dual of the packing.

Prices π ≥ 0 of the places bound every packing: Σ π + Σ_links max(0, gain − π_a − π_b) + Σ_bundles max(0, worth − Σ π).
A matching's prices leave no link above 0, but bundles. What a bundle is above the prices of its places, its excess, is
taken away where prices may be shifted at no cost: from a place's mate, or from the other places of the bundle that
holds it, as far as no link begins to exceed; over a few rounds this leaves an excess to few bundles (it is the
relaxation method of Agmon and Motzkin, Canadian Journal of Mathematics 6, 1954). Where none has one, the packing is
optimal.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Graph
from volumes.jit import inlined, kernel

ROUNDS = 4
"""Rounds of shifting; more change little."""


class Holding(NamedTuple):
    """Bundles that compete, and which of them hold.

    Parameters
    ----------
    first : (k + 1,) first entry of each bundle in ``place``.
    place : (s,) the places that it claims.
    worth : (k,) gain of the bundle over its cells staying alone.
    taken : (k,) whether it holds.
    holder : (p,) the bundle that holds a place, −1 for none.
    start : (p + 1,) first entry of each place in ``of``.
    of : (s,) the bundles that claim a place.
    """

    first: NDArray[np.int64]
    place: NDArray[np.int64]
    worth: NDArray[np.float64]
    taken: NDArray[np.bool_]
    holder: NDArray[np.int64]
    start: NDArray[np.int64]
    of: NDArray[np.int64]


@kernel
def short_of(k: int, holding: Holding, graph: Graph) -> float:
    """What a bundle's places are priced at, less its worth: below 0 where the bundle may yet win."""
    short = -holding.worth[k]
    for at in range(holding.first[k], holding.first[k + 1]):
        short += graph.price[holding.place[at]]
    return float(short)


@kernel
def settled_prices(holding: Holding, graph: Graph) -> None:
    """Price the held places, then shift prices until few bundles exceed theirs."""
    for k in range(len(holding.taken)):
        if holding.taken[k]:
            _price_held(k, holding, graph)
    for _ in range(ROUNDS):
        moved = 0.0
        for k in range(len(holding.taken)):
            wanted = -short_of(k, holding, graph)
            if holding.taken[k] or wanted <= 0.0:
                continue
            for at in range(holding.first[k], holding.first[k + 1]):
                given = _given(holding.place[at], k, wanted, holding, graph)
                wanted -= given
                moved += given
                if wanted <= 0.0:
                    break
        if moved <= 1e-6:
            break


@kernel
def _price_held(k: int, holding: Holding, graph: Graph) -> None:
    """Price the places of a bundle that holds at what others would give for them, the rest of its worth shared out.

    Places that no link leads to share it alone, where there are any: nobody else asks for less because of it.
    """
    left = holding.worth[k]
    size, lone = holding.first[k + 1] - holding.first[k], 0
    for at in range(holding.first[k], holding.first[k + 1]):
        place = holding.place[at]
        least = 0.0
        for e in range(graph.start[place], graph.start[place + 1]):
            least = max(least, graph.gain[e] - graph.price[graph.other[e]])
        graph.price[place] = least
        left -= least
        lone += graph.start[place] == graph.start[place + 1]
    for at in range(holding.first[k], holding.first[k + 1]):
        place = holding.place[at]
        if lone == 0:
            graph.price[place] += max(0.0, left) / size
        elif graph.start[place] == graph.start[place + 1]:
            graph.price[place] += max(0.0, left) / lone


@kernel
def _given(place: int, k: int, wanted: float, holding: Holding, graph: Graph) -> float:
    """Raise the price of a bundle's place at the cost of those that share its place's worth; returns by how much."""
    rival = holding.holder[place]
    if rival < 0:
        partner = int(graph.mate[place])
        if partner < 0 or _claims(k, partner, holding):
            return 0.0
        given = lowered(partner, place, -2, wanted, holding, graph)
        graph.price[place] += given
        return given
    total = 0.0
    for at in range(holding.first[rival], holding.first[rival + 1]):
        partner = int(holding.place[at])
        if partner == place or wanted <= total or _claims(k, partner, holding):
            continue
        given = lowered(partner, -1, -2, wanted - total, holding, graph)
        graph.price[place] += given
        total += given
    return total


@kernel
def _claims(k: int, place: int, holding: Holding) -> bool:
    return bool((holding.place[holding.first[k] : holding.first[k + 1]] == place).any())


@kernel
def lowered(root: int, but: int, chosen: int, wanted: float, holding: Holding, graph: Graph) -> float:
    """Lower a place's price, and keep every link but that to one place within its prices; returns by how much.

    Places that it is linked to rise by what the slack on the way leaves, and their mates fall: the dual step of the
    Hungarian method, to where an unmatched or held place or a price of 0 stands in the way. Bundles but the chosen one
    stand in the way as well, −1 if a link is chosen; with −2 none does.
    """
    reach = min(wanted, _room(root, chosen, holding, graph))
    if _is_free(root, but, reach, graph):
        graph.price[root] -= reach
        return float(reach)
    heap = [(0.0, root)]
    risen = [root for _ in range(0)]
    at, so_far = root, 0.0
    heap.pop()
    while at >= 0:
        for e in range(graph.start[at], graph.start[at + 1]):
            j = int(graph.other[e])
            length = so_far + max(0.0, graph.price[at] + graph.price[j] - graph.gain[e])
            if length >= reach or j == graph.mate[at] or length >= graph.distance[j]:
                continue
            if j == but and (at == root or chosen < -1):
                continue
            if graph.mate[j] < 0 or j == but:
                reach = length
                continue
            if graph.distance[j] == np.inf:
                risen.append(j)
            graph.distance[j] = length
            heappush(heap, (length, j))
        at = -1
        while len(heap) > 0 and at < 0:
            so_far, j = heappop(heap)
            if so_far >= reach:
                break
            if so_far == graph.distance[j]:
                at = int(graph.mate[j])
                reach = min(reach, so_far + _room(at, chosen, holding, graph))
                if so_far >= reach:
                    at = -1
    graph.price[root] -= reach
    for j in risen:
        step = reach - graph.distance[j]
        if step > 0:
            graph.price[j] += step
            graph.price[graph.mate[j]] -= step
        graph.distance[j] = np.inf
    return float(reach)


@inlined
def _is_free(place: int, but: int, reach: float, graph: Graph) -> bool:
    """Whether a price may fall by so much with no link but those to its mate and to one place exceeding the prices."""
    for e in range(graph.start[place], graph.start[place + 1]):
        j = graph.other[e]
        if j != but and j != graph.mate[place] and graph.price[place] + graph.price[j] - graph.gain[e] < reach:
            return False
    return True


@kernel
def _room(place: int, chosen: int, holding: Holding, graph: Graph) -> float:
    """By how much a place's price may fall: to 0, or to where a bundle but the chosen one exceeds its prices."""
    room = graph.price[place]
    if chosen >= -1:
        for at in range(holding.start[place], holding.start[place + 1]):
            if holding.of[at] != chosen:
                room = min(room, short_of(holding.of[at], holding, graph))
    return float(max(0.0, room))
