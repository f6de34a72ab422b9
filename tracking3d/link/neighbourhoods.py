"""A packing bettered where its prices leave a choice among hypotheses open: each such neighbourhood is solved exactly.

Whether something is one cell or two has to change in many frames at once, and each single change loses the links to the
frames beside it. So around every choice that exceeds its prices the cells that are linked most gainfully are gathered,
over as many frames as that takes, and the best of all that lies among them is found by an integer program; what leads
out of the neighbourhood stays as it is. Large neighbourhood search: Shaw, CP 1998.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Graph, opened
from tracking3d.link.packing import Bundles, Packing, held
from tracking3d.link.prices import Holding, settled_prices
from tracking3d.link.reference import chosen_of
from volumes.jit import kernel

MOST_CELLS = 90
"""Cells of one neighbourhood."""
LEAST = 1e-6
"""Nats by which a neighbourhood must become better."""
ROUNDS = 3
"""Rounds over all neighbourhoods that are open; a later one sees what the earlier ones changed."""


class Around(NamedTuple):
    """What a packing is made of, as neighbourhoods change it.

    Parameters
    ----------
    graph, holding : links and bundles, and which of them are chosen.
    first : (c + 1,) first member of each contest in ``member``.
    member : cells of the contests.
    contest : (n,) the contest of each cell, −1 for none; its own cell is n − c + contest.
    """

    graph: Graph
    holding: Holding
    first: NDArray[np.int64]
    member: NDArray[np.int64]
    contest: NDArray[np.int64]


def bettered(packing: Packing, bundles: Bundles, contest: NDArray[np.int64], choices: int) -> NDArray[np.bool_]:
    """Which bundles (k,) hold after all open neighbourhoods were solved; the graph's prices are stale afterwards.

    Parameters
    ----------
    packing, bundles : as it is, the bundles that are choices last.
    contest : (n,) the contest of each cell, −1 for none.
    choices : number of those bundles.
    """
    n = len(packing.places.price) // 2
    holding = held(n, bundles, packing.taken)
    member = np.flatnonzero(contest >= 0)
    member = member[np.argsort(contest[member], kind="stable")]
    first = np.searchsorted(contest[member], np.arange(contest.max(initial=-1) + 2))
    around = Around(packing.places, holding, first, member, contest)
    settled_prices(holding, packing.places)
    choice = np.arange(len(bundles.worth) - choices, len(bundles.worth))
    short = (bundles.sums(packing.places.price) - bundles.worth)[choice]
    loose = choice[np.argsort(short, kind="stable")][: np.count_nonzero(short < -LEAST)]
    place = bundles.place[bundles.start[loose]]
    seeds = list(dict.fromkeys((place - (n - len(first) + 1)).tolist()))
    for _ in range(ROUNDS):
        seeds = _round(seeds, around)
    return holding.taken


def _round(seeds: list[int], around: Around) -> list[int]:
    """Solve the neighbourhoods of contests that lie in the middle of none before; the contests of those made better."""
    seen, again = set[int](), list[int]()
    for seed in seeds:
        if seed in seen:
            continue
        cells = _gathered(seed, around)
        middle = set(around.contest[cells[: len(cells) // 2]].tolist()) - {-1}
        seen |= middle | {seed}
        if _solved(sorted(cells), around):
            again += sorted(middle)
    return list(dict.fromkeys(again))


def _gathered(seed: int, around: Around) -> list[int]:
    """The cells nearest to a contest, the nearest first, by what links lose against the best at their places.

    Contests come as a whole.
    """
    graph, n = around.graph, len(around.contest)
    half = len(graph.price) // 2
    near = dict[int, None]()
    heap = [(0.0, int(cell)) for cell in around.member[around.first[seed] : around.first[seed + 1]]]
    while heap and len(near) < MOST_CELLS:
        so_far, cell = heappop(heap)
        if cell in near:
            continue
        own = around.contest[cell]
        group = [cell] if own < 0 else around.member[around.first[own] : around.first[own + 1]].tolist()
        near.update(dict.fromkeys(group))
        for place in [*group, *(half + member for member in group)]:
            edges = slice(graph.start[place], graph.start[place + 1])
            lacking = graph.gain[edges].max(initial=0.0) - graph.gain[edges]
            for other, lost in zip((graph.other[edges] % half).tolist(), lacking.tolist(), strict=True):
                if other not in near and other < n:
                    heappush(heap, (so_far + lost, other))
    return list(near)


def _solved(cells: list[int], around: Around) -> bool:
    """Choose the best among some cells, all else as it is; whether that is better than what was chosen."""
    graph, holding, half = around.graph, around.holding, len(around.graph.price) // 2
    own = np.unique(around.contest[cells])
    every = np.concatenate([np.array(cells), half - len(around.first) + 1 + own[own >= 0]])
    inside = np.zeros(len(graph.price), bool)
    inside[every] = inside[half + every] = True
    places = np.flatnonzero(_closed(inside, np.concatenate([every, half + every]), graph, holding))
    start, place, worth, which = _within(inside, places, graph, holding)
    found = Bundles(start, np.searchsorted(places, place), worth)
    before = _worth(places, graph, holding)
    chosen, best = chosen_of(found, len(places))
    if best <= before + LEAST:
        return False
    of_bundles = holding.holder[places]
    holding.taken[of_bundles[of_bundles >= 0]] = False
    holding.holder[places], graph.mate[places], graph.open[places] = -1, -1, True
    for k in np.flatnonzero(chosen):
        claims = place[start[k] : start[k + 1]]
        if which[k] < 0:
            graph.mate[claims] = claims[::-1]
        else:
            holding.taken[which[k]], holding.holder[claims], graph.open[claims] = True, which[k], False
    return True


@kernel
def _closed(inside: NDArray[np.bool_], places: NDArray[np.int64], graph: Graph, holding: Holding) -> NDArray[np.bool_]:
    """Take places out of a neighbourhood until nothing that is chosen leads out of it; returns ``inside``."""
    changed = True
    while changed:
        changed = False
        for place in places:
            if not inside[place]:
                continue
            mate, k = graph.mate[place], holding.holder[place]
            leads_out = mate >= 0 and not inside[mate]
            if k >= 0:
                for at in range(holding.first[k], holding.first[k + 1]):
                    leads_out |= not inside[holding.place[at]]
            if leads_out:
                inside[place] = False
                changed = True
    return inside


@kernel
def _within(
    inside: NDArray[np.bool_], places: NDArray[np.int64], graph: Graph, holding: Holding
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Links and bundles that lie wholly inside: compressed rows of their places, worth, and which bundle, −1 a link."""
    start, claims, worth, which = [0], [0], [0.0], [0]
    claims.pop()
    worth.pop()
    which.pop()
    for place in places:
        for e in range(graph.start[place], graph.start[place + 1]):
            if graph.other[e] > place and inside[graph.other[e]]:
                claims.append(place)
                claims.append(graph.other[e])
                start.append(len(claims))
                worth.append(graph.gain[e])
                which.append(-1)
        for at in range(holding.start[place], holding.start[place + 1]):
            k = holding.of[at]
            whole = holding.place[holding.first[k]] == place
            for i in range(holding.first[k], holding.first[k + 1]):
                whole &= inside[holding.place[i]]
            if whole:
                claims.extend(holding.place[holding.first[k] : holding.first[k + 1]])
                start.append(len(claims))
                worth.append(holding.worth[k])
                which.append(k)
    return np.array(start), np.array(claims), np.array(worth), np.array(which)


@kernel
def _worth(places: NDArray[np.int64], graph: Graph, holding: Holding) -> float:
    """What is chosen at these places is worth."""
    total = 0.0
    for place in places:
        k = holding.holder[place]
        if k >= 0 and holding.place[holding.first[k]] == place:
            total += holding.worth[k]
        for e in range(graph.start[place], graph.start[place + 1]):
            if graph.other[e] > place and graph.mate[place] == graph.other[e]:
                total += graph.gain[e]
    return total


@kernel
def rematched(graph: Graph, closed: NDArray[np.bool_]) -> float:
    """Match anew, from nothing, all places but the closed ones; returns the total gain."""
    n = len(graph.price) // 2
    graph.price[:] = 0.0
    graph.mate[:] = -1
    # Trials are numbered anew, and none has saved a place yet.
    graph.trial[:] = 0
    graph.open[:n] = ~closed[:n]
    graph.open[n:] = False
    total = 0.0
    for column in range(n, 2 * n):
        if not closed[column]:
            total += opened(column, graph)
    return total
