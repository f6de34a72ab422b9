"""Maximum-weight bipartite matching on a sparse graph, where staying unmatched is free, by shortest augmenting paths.

Every vertex has a price (the dual variable of Jonker & Volgenant, Computing 38, 1987): price_i + price_j ≥ gain_ij on
every edge, equal on a matched one, and 0 at an unmatched vertex. With these the matching is optimal; :func:`opened`
and :func:`closed` keep them true while single vertices enter and leave, so the optimum of the rest is always at hand.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from volumes.jit import kernel


class Side(NamedTuple):
    """One side of the graph: its edges as compressed rows, and its share of the solution.

    Parameters
    ----------
    start : (n + 1,) first edge of each vertex.
    other : (m,) vertex of the other side, an edge each.
    gain : (m,) what the edge is worth; only edges above 0 can matter.
    price : (n,) dual variable, ≥ 0.
    mate : (n,) vertex of the other side, −1 when unmatched.
    open : (n,) whether the vertex takes part.
    distance : (n,) workspace of the search, ∞ between searches.
    via : (n,) workspace: the vertex of the other side a search came from.
    """

    start: NDArray[np.int64]
    other: NDArray[np.int64]
    gain: NDArray[np.float64]
    price: NDArray[np.float64]
    mate: NDArray[np.int64]
    open: NDArray[np.bool_]
    distance: NDArray[np.float64]
    via: NDArray[np.int64]


def sides(
    rows: NDArray[np.int64], columns: NDArray[np.int64], gain: NDArray[np.float64], n_rows: int, n_columns: int
) -> tuple[Side, Side]:
    """The two sides of a graph of edges (row, column, gain), with every vertex still outside."""
    return _side(rows, columns, gain, n_rows), _side(columns, rows, gain, n_columns)


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
    mine, theirs = sides(rows, columns, gain, n_rows, n_columns)
    theirs.open[:] = True
    open_all(mine, theirs)
    return mine.mate


@kernel
def open_all(mine: Side, theirs: Side) -> float:
    """Let every vertex of one side in; returns the total gain."""
    total = 0.0
    for vertex in range(len(mine.price)):
        total += opened(vertex, mine, theirs)
    return total


@kernel
def closed(vertex: int, mine: Side, theirs: Side) -> float:
    """Take a vertex out and make the rest optimal again; returns the change of the total gain (≤ 0)."""
    mine.open[vertex] = False
    partner = int(mine.mate[vertex])
    if partner < 0:
        return 0.0
    lost = float(mine.price[vertex] + theirs.price[partner])
    mine.mate[vertex] = -1
    theirs.mate[partner] = -1
    return opened(partner, theirs, mine) - lost


@kernel
def opened(vertex: int, mine: Side, theirs: Side) -> float:
    """Let a vertex in and make the matching optimal again; returns the change of the total gain (≥ 0)."""
    mine.open[vertex] = True
    best = 0.0
    for k in range(mine.start[vertex], mine.start[vertex + 1]):
        if theirs.open[mine.other[k]]:
            best = max(best, mine.gain[k] - theirs.price[mine.other[k]])
    mine.price[vertex] = best
    if best <= 0.0:
        return 0.0
    shortest, free, yielding, settled, seen = _search(vertex, mine, theirs)
    mine.price[vertex] -= shortest
    for j in settled:
        theirs.price[j] += shortest - theirs.distance[j]
        mine.price[theirs.mate[j]] -= shortest - theirs.distance[j]
    _flip(vertex, free, yielding, mine, theirs)
    for j in seen:
        theirs.distance[j] = np.inf
    return best - shortest


@kernel
def _search(vertex: int, mine: Side, theirs: Side) -> tuple[float, int, int, list[int], list[int]]:
    """Dijkstra over the slack price_i + price_j − gain_ij, from a vertex to the nearest end.

    An end is an unmatched vertex of the other side, or one of its own side, reached through its mate, that gives way
    and stays alone.

    Returns
    -------
    shortest : length of the path.
    free, yielding : the end of either kind, −1 for the other.
    settled, seen : vertices of the other side nearer than the end, and all that have a distance.
    """
    shortest, free, yielding = mine.price[vertex], -1, vertex
    heap = [(0.0, vertex)]
    settled = [vertex for _ in range(0)]
    seen = [vertex for _ in range(0)]
    at, so_far = vertex, 0.0
    heap.pop()
    while at >= 0:
        for k in range(mine.start[at], mine.start[at + 1]):
            j = int(mine.other[k])
            length = so_far + max(0.0, mine.price[at] + theirs.price[j] - mine.gain[k])
            if not theirs.open[j] or length >= theirs.distance[j] or length >= shortest:
                continue
            if theirs.distance[j] == np.inf:
                seen.append(j)
            theirs.distance[j] = length
            theirs.via[j] = at
            if theirs.mate[j] < 0:
                shortest, free, yielding = length, j, -1
            else:
                heappush(heap, (length, j))
        at = -1
        while len(heap) > 0 and at < 0:
            so_far, j = heappop(heap)
            if so_far >= shortest:
                break
            if so_far == theirs.distance[j]:
                settled.append(j)
                at = int(theirs.mate[j])
        if at >= 0 and so_far + mine.price[at] < shortest:
            shortest, free, yielding = so_far + mine.price[at], -1, at
    return shortest, free, yielding, settled, seen


@kernel
def _flip(vertex: int, free: int, yielding: int, mine: Side, theirs: Side) -> None:
    """Exchange matched and unmatched edges along the path that a search has found."""
    j = free
    if yielding >= 0:
        mine.price[yielding] = 0.0
        if yielding == vertex:
            return
        j = int(mine.mate[yielding])
        mine.mate[yielding] = -1
    while True:
        i = int(theirs.via[j])
        following = int(mine.mate[i])
        mine.mate[i] = j
        theirs.mate[j] = i
        if i == vertex:
            return
        j = following


def _side(vertex: NDArray[np.int64], other: NDArray[np.int64], gain: NDArray[np.float64], n: int) -> Side:
    order = np.argsort(vertex, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(vertex, minlength=n))]).astype(np.int64)
    return Side(
        start,
        other[order].astype(np.int64),
        gain[order].astype(np.float64),
        np.zeros(n),
        np.full(n, -1, np.int64),
        np.zeros(n, bool),
        np.full(n, np.inf),
        np.full(n, -1, np.int64),
    )
