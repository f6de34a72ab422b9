"""Links and bundles chosen together: a matching of children to parents, in which some choices take several places.

Every cell has two places: one as a parent and one as a child. Maximise Σ gain(a → b) + Σ worth(bundle) such that every
place is claimed once at most. A link claims two places, a bundle any set: a division claims its mother as a parent and
its daughters as children. Without bundles this is a matching, whose optimum and prices are exact. A bundle takes its
places out of the matching, and what that costs is exact again, since the matching is made optimal around it. Bundles
enter, replace each other and leave as long as the total grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Side, closed, open_all, opened, sides
from volumes.jit import kernel

LEAST_GAIN = 1e-9
"""A change of the bundles must raise the total by more than rounding does."""
HOPELESS = 5.0
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
    """

    parent: NDArray[np.int64]
    taken: NDArray[np.bool_]
    total: float


class Holding(NamedTuple):
    """Bundles that compete, and which of them hold.

    Parameters
    ----------
    bundles : the bundles, the most promising first.
    taken : (k,) whether it holds.
    holder : (2 n,) the bundle that holds a place, −1 for none.
    start : (2 n + 1,) first entry of each place in ``of``.
    of : (s,) the bundles that claim a place.
    """

    bundles: Bundles
    taken: NDArray[np.bool_]
    holder: NDArray[np.int64]
    start: NDArray[np.int64]
    of: NDArray[np.int64]


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
    parents, children = sides(links[:, 0], links[:, 1], gain, n, n)
    children.open[:] = True
    total = open_all(parents, children)
    short = bundles.sums(np.concatenate([parents.price, children.price])) - bundles.worth
    order = np.argsort(short, kind="stable")
    order = order[short[order] < HOPELESS]
    holding = _holding(n, bundles.take(order))
    total += _improve(holding, parents, children)
    taken = np.zeros(len(bundles.worth), bool)
    taken[order] = holding.taken
    return Packing(children.mate.copy(), taken, float(total))


def _holding(n: int, bundles: Bundles) -> Holding:
    claim = np.argsort(bundles.place, kind="stable")
    start = np.searchsorted(bundles.place[claim], np.arange(2 * n + 1))
    return Holding(bundles, np.zeros(len(bundles.worth), bool), np.full(2 * n, -1), start, bundles.owner[claim])


@kernel
def _improve(holding: Holding, parents: Side, children: Side) -> float:
    """Let bundles enter, replace each other and leave until nothing raises the total; returns what was won."""
    won = 0.0
    for _ in range(SWEEPS):
        before = won
        for k in range(len(holding.taken)):
            won += _leave(k, holding, parents, children) if holding.taken[k] else _enter(k, holding, parents, children)
        if won - before <= LEAST_GAIN:
            break
    return won


@kernel
def _enter(k: int, holding: Holding, parents: Side, children: Side) -> float:
    """Try a bundle in the place of those that it collides with; returns what it wins, 0 when it is undone.

    Bundles that the displaced ones stood in the way of follow where they win, before the whole is judged.
    """
    change = 0.0
    done = [k]
    done.pop()
    for at in range(holding.bundles.start[k], holding.bundles.start[k + 1]):
        rival = holding.holder[holding.bundles.place[at]]
        if rival >= 0:
            change += _release(rival, holding, parents, children)
            done.append(rival)
    displaced = len(done)
    if displaced > 0 or _won_at_most(k, holding, parents, children) > LEAST_GAIN:
        change += _take(k, holding, parents, children)
        done.append(k)
        for i in range(displaced):
            change += _follow(done[i], done, holding, parents, children)
        if change > LEAST_GAIN:
            return change
    _undo(done, holding, parents, children)
    return 0.0


@kernel
def _follow(displaced: int, done: list[int], holding: Holding, parents: Side, children: Side) -> float:
    """Take bundles with a place of a displaced one that win where they collide with none; returns what they win."""
    change = 0.0
    for i in range(holding.bundles.start[displaced], holding.bundles.start[displaced + 1]):
        place = holding.bundles.place[i]
        for at in range(holding.start[place], holding.start[place + 1]):
            if holding.holder[place] >= 0:
                break
            k = holding.of[at]
            if not _is_free(k, holding) or _won_at_most(k, holding, parents, children) <= LEAST_GAIN:
                continue
            won = _take(k, holding, parents, children)
            if won > LEAST_GAIN:
                change += won
                done.append(k)
            else:
                _release(k, holding, parents, children)
    return change


@kernel
def _is_free(k: int, holding: Holding) -> bool:
    """Whether no bundle holds a place of this one."""
    for at in range(holding.bundles.start[k], holding.bundles.start[k + 1]):
        if holding.holder[holding.bundles.place[at]] >= 0:
            return False
    return True


@kernel
def _won_at_most(k: int, holding: Holding, parents: Side, children: Side) -> float:
    """Bound on what a bundle wins: prices say what its places are worth to the rest at least."""
    n = len(parents.price)
    won = holding.bundles.worth[k]
    for at in range(holding.bundles.start[k], holding.bundles.start[k + 1]):
        place = holding.bundles.place[at]
        won -= parents.price[place] if place < n else children.price[place - n]
    return float(won)


@kernel
def _leave(k: int, holding: Holding, parents: Side, children: Side) -> float:
    """Try without a bundle, others in its place where they win; returns what that wins, 0 when it is put back."""
    change = _release(k, holding, parents, children)
    done = [k]
    change += _follow(k, done, holding, parents, children)
    if change > LEAST_GAIN:
        return change
    _undo(done, holding, parents, children)
    return 0.0


@kernel
def _undo(done: list[int], holding: Holding, parents: Side, children: Side) -> None:
    """Take back what was done to bundles, the last first."""
    while len(done) > 0:
        last = done.pop()
        if holding.taken[last]:
            _release(last, holding, parents, children)
        else:
            _take(last, holding, parents, children)


@kernel
def _take(k: int, holding: Holding, parents: Side, children: Side) -> float:
    """Let a bundle hold its places, all of them free; returns the change of the total."""
    n = len(parents.price)
    change = holding.bundles.worth[k]
    holding.taken[k] = True
    for at in range(holding.bundles.start[k], holding.bundles.start[k + 1]):
        place = holding.bundles.place[at]
        holding.holder[place] = k
        change += closed(place, parents, children) if place < n else closed(place - n, children, parents)
    return float(change)


@kernel
def _release(k: int, holding: Holding, parents: Side, children: Side) -> float:
    """Give a bundle's places back to the matching; returns the change of the total."""
    n = len(parents.price)
    change = -holding.bundles.worth[k]
    holding.taken[k] = False
    for at in range(holding.bundles.start[k], holding.bundles.start[k + 1]):
        place = holding.bundles.place[at]
        holding.holder[place] = -1
        change += opened(place, parents, children) if place < n else opened(place - n, children, parents)
    return float(change)
