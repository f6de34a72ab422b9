"""Links and bundles chosen together: a matching of children to parents, in which some choices take several places.

Every cell has two places: one as a parent and one as a child. Maximise Σ gain(a → b) + Σ worth(bundle) such that every
place is claimed once at most. A link claims two places, a bundle any set: a division claims its mother as a parent and
its daughters as children. Without bundles this is a matching, whose optimum and prices are exact. A bundle takes its
places out of the matching, and what that costs is exact again, since the matching is made optimal around it. Bundles
enter and replace each other as long as the total grows; only those are tried that the prices leave room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Graph, begin, closed, graph, open_all, opened, restore
from tracking3d.link.prices import Holding, settled_prices, short_of
from volumes.jit import kernel

LEAST_GAIN = 1e-9
"""A change of the bundles must raise the total by more than rounding does."""
HOPELESS = 2.0
"""A bundle that falls short of the prices by so many nats is not tried; none such was seen in an optimum."""
SWEEPS = 20
"""Bound on the rounds over all bundles; two to four are what it takes."""


class Bundles(NamedTuple):
    """Choices that claim several places at once, as compressed rows.

    Parameters
    ----------
    start : (k + 1,) first entry of each bundle in ``place``.
    place : (s,) what each claims: a cell a as a parent is place a, a cell b as a child place n + b of n cells.
    worth : (k,) gain of each over all its cells staying alone.
    """

    start: NDArray[np.int64]
    place: NDArray[np.int64]
    worth: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Bundles:
        """The bundles of these row numbers, in that order."""
        size = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(size)])
        at = np.repeat(self.start[rows] - start[:-1], size) + np.arange(start[-1])
        return Bundles(start, self.place[at], self.worth[rows])

    def sums(self, price: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k,) what the places of each are priced at together; price (2 n,)."""
        return np.bincount(self.owner, price[self.place], len(self.worth)).astype(np.float64)

    @property
    def owner(self) -> NDArray[np.int64]:
        """(s,) the bundle that each entry of ``place`` belongs to."""
        return np.repeat(np.arange(len(self.worth)), np.diff(self.start))


class Packing(NamedTuple):
    """What was chosen.

    Parameters
    ----------
    parent : (n,) the parent of each cell by a single link, itself where it is kept out, −1 where there is none.
    taken : (k,) which bundles hold.
    total : the sum of all that was chosen.
    places : the graph of the links, with the matching of what no bundle holds.
    """

    parent: NDArray[np.int64]
    taken: NDArray[np.bool_]
    total: float
    places: Graph


def bundled(claims: NDArray[np.int64], worth: NDArray[np.float64]) -> Bundles:
    """Bundles of one size: the places (k, p) and the worth (k,) of each."""
    k, size = claims.shape
    return Bundles(np.arange(k + 1) * size, claims.ravel().astype(np.int64), worth)


def joined(kinds: Sequence[Bundles]) -> Bundles:
    """Bundles of several kinds, one after the other."""
    size = np.concatenate([np.diff(kind.start) for kind in kinds])
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return Bundles(
        start, np.concatenate([kind.place for kind in kinds]), np.concatenate([kind.worth for kind in kinds])
    )


def pack(n: int, links: NDArray[np.int64], gain: NDArray[np.float64], bundles: Bundles) -> Packing:
    """Choose links and bundles of the largest total.

    Parameters
    ----------
    n : number of cells.
    links : (m, 2) parent and child, each pair once; a cell linked to itself is kept out of everything else.
    gain : (m,) gain of the link over its cells staying alone.
    bundles : what else may be chosen.
    """
    places = graph(links[:, 0], links[:, 1], gain, n, n)
    return packed(places, open_all(places, n), bundles)


def packed(places: Graph, total: float, bundles: Bundles, taken: NDArray[np.bool_] | None = None) -> Packing:
    """Let bundles into an optimal matching of parents and children; changes the graph.

    Parameters
    ----------
    places : the graph, matched.
    total : what is gained so far.
    bundles : what may enter.
    taken : (k,) those that hold already, none where left out.
    """
    n = len(places.price) // 2
    short = bundles.sums(places.price) - bundles.worth
    order = np.argsort(short, kind="stable")
    order = order[short[order] < HOPELESS]
    holding = held(n, bundles.take(order), np.zeros(len(order), bool) if taken is None else taken[order])
    total += _improve(holding, places)
    taken = np.zeros(len(bundles.worth), bool)
    taken[order] = holding.taken
    return Packing(places.mate[n:].copy(), taken, float(total), places)


def held(n: int, bundles: Bundles, taken: NDArray[np.bool_]) -> Holding:
    """Bundles of which some (k,) hold their places."""
    claim = np.argsort(bundles.place, kind="stable")
    start = np.searchsorted(bundles.place[claim], np.arange(2 * n + 1))
    holder, owner = np.full(2 * n, -1), bundles.owner
    holder[bundles.place[taken[owner]]] = owner[taken[owner]]
    return Holding(*bundles, taken.copy(), holder, start, owner[claim])


@kernel
def _improve(holding: Holding, graph: Graph) -> float:
    """Let bundles enter and replace each other until nothing raises the total; returns what was won."""
    won = 0.0
    trial = 0
    for _ in range(SWEEPS):
        before = won
        settled_prices(holding, graph)
        for k in range(len(holding.taken)):
            trial += 1
            if holding.taken[k]:
                if short_of(k, holding, graph) < -LEAST_GAIN:
                    won += _leave(k, trial, holding, graph)
            elif short_of(k, holding, graph) < -LEAST_GAIN:
                won += _enter(k, trial, holding, graph)
        if won - before <= LEAST_GAIN:
            break
    return won


@kernel
def _enter(k: int, trial: int, holding: Holding, graph: Graph) -> float:
    """Try a bundle in the place of those that it collides with; returns what it wins, 0 when it is undone.

    Bundles that the displaced ones stood in the way of follow where they win, before the whole is judged.
    """
    begin(graph, trial)
    short = short_of(k, holding, graph)
    change = 0.0
    done = [k]
    done.pop()
    for at in range(holding.first[k], holding.first[k + 1]):
        rival = holding.holder[holding.place[at]]
        if rival >= 0:
            change += _release(rival, holding, graph)
            done.append(rival)
    displaced = len(done)
    change += _take(k, holding, graph, displaced == 0)
    done.append(k)
    for i in range(displaced):
        change += _follow(done[i], done, holding, graph)
    return _judged(change, short, done, holding, graph)


@kernel
def _leave(k: int, trial: int, holding: Holding, graph: Graph) -> float:
    """Try without a bundle, others in its place where they win; returns what that wins, 0 when it is put back."""
    begin(graph, trial)
    done = [k]
    change = _release(k, holding, graph)
    change += _follow(k, done, holding, graph)
    return _judged(change, 0.0, done, holding, graph)


@kernel
def _judged(change: float, short: float, done: list[int], holding: Holding, graph: Graph) -> float:
    """Keep what wins, else undo all that a trial did, but where one bundle alone was tried, keep what prices learnt.

    The prices at the end of such a trial are as good as those at its start where no link exceeds them, and then so is
    any mean of the two: the one is taken that leaves the bundle no excess.
    """
    if change <= LEAST_GAIN:
        share = 0.0
        if len(done) == 1 and holding.taken[done[0]] and short < 0 and _are_covered(done[0], holding, graph):
            share = short / (short + change)
        change = 0.0
        while len(done) > 0:
            last = done.pop()
            holding.taken[last] = not holding.taken[last]
            for at in range(holding.first[last], holding.first[last + 1]):
                holding.holder[holding.place[at]] = last if holding.taken[last] else -1
                graph.open[holding.place[at]] = not holding.taken[last]
        restore(graph, share)
    begin(graph, 0)
    return change


@kernel
def _are_covered(k: int, holding: Holding, graph: Graph) -> bool:
    """Whether no link to a place of a bundle exceeds the prices at its ends."""
    for at in range(holding.first[k], holding.first[k + 1]):
        place = holding.place[at]
        for e in range(graph.start[place], graph.start[place + 1]):
            if graph.price[place] + graph.price[graph.other[e]] < graph.gain[e] - LEAST_GAIN:
                return False
    return True


@kernel
def _follow(displaced: int, done: list[int], holding: Holding, graph: Graph) -> float:
    """Take bundles with a place of a displaced one that win where they collide with none; returns what they win."""
    change = 0.0
    for i in range(holding.first[displaced], holding.first[displaced + 1]):
        place = holding.place[i]
        for at in range(holding.start[place], holding.start[place + 1]):
            if holding.holder[place] >= 0:
                break
            k = holding.of[at]
            if not _is_free(k, holding) or short_of(k, holding, graph) >= -LEAST_GAIN:
                continue
            won = _take(k, holding, graph, False)
            if won > LEAST_GAIN:
                change += won
                done.append(k)
            else:
                _release(k, holding, graph)
    return change


@kernel
def _is_free(k: int, holding: Holding) -> bool:
    """Whether no bundle holds a place of this one."""
    return bool((holding.holder[holding.place[holding.first[k] : holding.first[k + 1]]] < 0).all())


@kernel
def _take(k: int, holding: Holding, graph: Graph, must_win: bool) -> float:
    """Let a bundle hold its places, all of them free; returns the change of the total.

    If it must win and does not, this ends as :func:`.matching.closed` does where too much is lost.
    """
    places, worth = holding.place[holding.first[k] : holding.first[k + 1]], holding.worth[k]
    holding.taken[k] = True
    holding.holder[places] = k
    return float(worth + closed(places, graph, worth if must_win else np.inf))


@kernel
def _release(k: int, holding: Holding, graph: Graph) -> float:
    """Give a bundle's places back to the matching; returns the change of the total."""
    change = -holding.worth[k]
    holding.taken[k] = False
    for at in range(holding.first[k], holding.first[k + 1]):
        holding.holder[holding.place[at]] = -1
        change += opened(holding.place[at], graph)
    return float(change)
