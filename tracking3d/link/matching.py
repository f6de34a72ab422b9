"""Maximum-weight bipartite matching on a sparse graph, where staying unmatched is free, by shortest augmenting paths.

Every place has a price (the dual variable of Jonker & Volgenant, Computing 38, 1987): price_i + price_j ≥ gain_ij on
every edge, equal on a matched one, and 0 at an unmatched place. With these the matching is optimal; :func:`opened`
and :func:`closed` keep them true while single places enter and leave, so the optimum of the rest is always at hand.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from volumes.jit import inlined, kernel


class Graph(NamedTuple):
    """A bipartite graph and its matching. Its vertices are places: first those of the rows, then those of the columns.

    Parameters
    ----------
    start : (p + 1,) first edge of each place.
    other : (2 m,) place at the far end; every edge stands once at each of its ends.
    gain : (2 m,) what the edge is worth, above 0.
    price : (p,) dual variable, ≥ 0.
    mate : (p,) the place that it is matched with, −1 for none.
    open : (p,) whether the place takes part.
    distance : (p,) workspace of the search, ∞ between searches.
    via : (p,) workspace: the place that a search came from.
    saved : (p,) workspace: the place of each entry of the two below.
    saved_price, saved_mate : (p,) what stood at a place when a trial began.
    trial : (p,) number of the last trial that a place was saved in.
    now : (2,) number of the present trial, 0 for none, and of the entries saved.
    """

    start: NDArray[np.int64]
    other: NDArray[np.int64]
    gain: NDArray[np.float64]
    price: NDArray[np.float64]
    mate: NDArray[np.int64]
    open: NDArray[np.bool_]
    distance: NDArray[np.float64]
    via: NDArray[np.int64]
    saved: NDArray[np.int64]
    saved_price: NDArray[np.float64]
    saved_mate: NDArray[np.int64]
    trial: NDArray[np.int64]
    now: NDArray[np.int64]


@kernel
def graph(
    rows: NDArray[np.int64], columns: NDArray[np.int64], gain: NDArray[np.float64], n_rows: int, n_columns: int
) -> Graph:
    """The graph of edges (row, column, gain), of which only those above 0 matter; every place is still outside."""
    n = n_rows + n_columns
    start = np.zeros(n + 2, np.int64)
    for e in range(len(gain)):
        if gain[e] > 0:
            start[rows[e] + 2] += 1
            start[n_rows + columns[e] + 2] += 1
    start = np.cumsum(start)
    other, worth = np.empty(start[-1], np.int64), np.empty(start[-1])
    for e in range(len(gain)):
        if gain[e] > 0:
            row, column = rows[e], n_rows + columns[e]
            at, back = start[row + 1], start[column + 1]
            other[at], other[back] = column, row
            worth[at], worth[back] = gain[e], gain[e]
            start[row + 1] += 1
            start[column + 1] += 1
    none = np.full(n, -1, np.int64)
    return Graph(
        start[:-1],
        other,
        worth,
        np.zeros(n),
        none,
        np.zeros(n, np.bool_),
        np.full(n, np.inf),
        none.copy(),
        none.copy(),
        np.zeros(n),
        none.copy(),
        np.zeros(n, np.int64),
        np.zeros(2, np.int64),
    )


def match(
    rows: NDArray[np.int64], columns: NDArray[np.int64], gain: NDArray[np.float64], n_rows: int, n_columns: int
) -> NDArray[np.int64]:
    """The matching of the largest total gain.

    Parameters
    ----------
    rows, columns, gain : (m,) the edges; between one row and one column at most one.
    n_rows, n_columns : vertices on each side.

    Returns
    -------
    (n_rows,) the column of each row, −1 where the row stays alone.
    """
    made = graph(rows, columns, gain, n_rows, n_columns)
    open_all(made, n_rows)
    return np.where(made.mate[:n_rows] >= 0, made.mate[:n_rows] - n_rows, -1)


@kernel
def open_all(graph: Graph, n_rows: int) -> float:
    """Let every place in, one column after the other; returns the total gain.

    Of all prices that prove the optimum these are the columns' highest and the rows' lowest (Demange, Gale & Sotomayor,
    Journal of Political Economy 94, 1986): a column's price is what the total would lose without it, all else open.
    """
    graph.open[:n_rows] = True
    total = 0.0
    for column in range(n_rows, len(graph.price)):
        total += opened(column, graph)
    return total


@kernel
def closed(places: NDArray[np.int64], graph: Graph, most: float = np.inf) -> float:
    """Take places out and make the rest optimal again; returns the change of the total gain (≤ 0).

    The price of each becomes its share in the loss. Where ``most`` or more is lost, this ends as soon as it is known,
    with prices that show it, and leaves the matching to be restored.
    """
    lost, alone = 0.0, np.full(len(places), -1)
    for i in range(len(places)):
        graph.open[places[i]] = False
    for i in range(len(places)):
        place, partner = int(places[i]), int(graph.mate[places[i]])
        save(place, graph)
        lost += graph.price[place]
        if partner >= 0:
            save(partner, graph)
            graph.mate[place] = -1
            graph.mate[partner] = -1
            if graph.open[partner]:
                alone[i] = partner
    # Those that are left alone are matched when all are out, so that none is with another that goes.
    for i in range(len(places)):
        if lost < most and alone[i] >= 0 and graph.mate[alone[i]] < 0:
            more = _rematched(alone[i], most - lost, graph)
            graph.price[places[i]] += more
            lost += more
    return -lost


@kernel
def opened(place: int, graph: Graph) -> float:
    """Let a place in and make the matching optimal again; returns the change of the total gain (≥ 0)."""
    graph.open[place] = True
    save(place, graph)
    best, nearest = 0.0, -1
    for k in range(graph.start[place], graph.start[place + 1]):
        j = int(graph.other[k])
        if graph.open[j] and graph.gain[k] - graph.price[j] > best:
            best, nearest = graph.gain[k] - graph.price[j], j
    graph.price[place] = best
    if nearest < 0:
        return 0.0
    if graph.mate[nearest] < 0:
        save(nearest, graph)
        graph.mate[place] = nearest
        graph.mate[nearest] = place
        return best
    return best - _rematched(place, np.inf, graph)


@kernel
def _rematched(place: int, reach: float, graph: Graph) -> float:
    """Lower the price of an unmatched place to where it is matched, or to 0, or by the reach; returns by how much."""
    shortest, free, yielding, settled, seen = _search(place, reach, graph)
    graph.price[place] -= shortest
    for j in settled:
        save(j, graph)
        save(graph.mate[j], graph)
        graph.price[j] += shortest - graph.distance[j]
        graph.price[graph.mate[j]] -= shortest - graph.distance[j]
    if free >= 0 or yielding >= 0:
        _flip(place, free, yielding, graph)
    for j in seen:
        graph.distance[j] = np.inf
    return float(shortest)


@inlined
def save(place: int, graph: Graph) -> None:
    """Note what stands at a place, once in a trial."""
    if graph.now[0] > 0 and graph.trial[place] != graph.now[0]:
        at = graph.now[1]
        graph.trial[place] = graph.now[0]
        graph.saved[at] = place
        graph.saved_price[at] = graph.price[place]
        graph.saved_mate[at] = graph.mate[place]
        graph.now[1] += 1


@kernel
def begin(graph: Graph, trial: int) -> None:
    """Begin a trial of a number that none before it had, or with 0 end one for good."""
    graph.now[0] = trial
    graph.now[1] = 0


@kernel
def restore(graph: Graph, share: float = 0.0) -> None:
    """Put mates back to where the trial began, and prices but for a share; which places are open is the caller's."""
    for at in range(graph.now[1]):
        place = graph.saved[at]
        graph.price[place] = (1 - share) * graph.saved_price[at] + share * graph.price[place]
        graph.mate[place] = graph.saved_mate[at]
        graph.trial[place] = 0
    graph.now[1] = 0


@kernel
def _search(place: int, reach: float, graph: Graph) -> tuple[float, int, int, list[int], list[int]]:
    """Dijkstra over the slack price_i + price_j − gain_ij, from a place to the nearest end, if it is within reach.

    An end is an unmatched place of the other side, or one of its own side, reached through its mate, that gives way
    and stays alone.

    Returns
    -------
    shortest : length of the path, or the reach.
    free, yielding : the end of either kind, −1 for the other, or for both.
    settled, seen : places of the other side nearer than the end, and all that have a distance.
    """
    shortest, free, yielding = reach, -1, -1
    if graph.price[place] < reach:
        shortest, yielding = graph.price[place], place
    heap = [(0.0, place)]
    settled = [place for _ in range(0)]
    seen = [place for _ in range(0)]
    at, so_far = place, 0.0
    heap.pop()
    while at >= 0:
        for k in range(graph.start[at], graph.start[at + 1]):
            j = int(graph.other[k])
            length = so_far + max(0.0, graph.price[at] + graph.price[j] - graph.gain[k])
            if not graph.open[j] or length >= graph.distance[j] or length >= shortest:
                continue
            if graph.distance[j] == np.inf:
                seen.append(j)
            graph.distance[j] = length
            graph.via[j] = at
            if graph.mate[j] < 0:
                shortest, free, yielding = length, j, -1
            else:
                heappush(heap, (length, j))
        at = -1
        while len(heap) > 0 and at < 0:
            so_far, j = heappop(heap)
            if so_far >= shortest:
                break
            if so_far == graph.distance[j]:
                settled.append(j)
                at = int(graph.mate[j])
        if at >= 0 and so_far + graph.price[at] < shortest:
            shortest, free, yielding = so_far + graph.price[at], -1, at
    return shortest, free, yielding, settled, seen


@kernel
def _flip(place: int, free: int, yielding: int, graph: Graph) -> None:
    """Exchange matched and unmatched edges along the path that a search has found."""
    j = free
    if yielding >= 0:
        save(yielding, graph)
        graph.price[yielding] = 0.0
        if yielding == place:
            return
        j = int(graph.mate[yielding])
        graph.mate[yielding] = -1
    while True:
        i = int(graph.via[j])
        save(i, graph)
        save(j, graph)
        following = int(graph.mate[i])
        graph.mate[i] = j
        graph.mate[j] = i
        if i == place:
            return
        j = following
