"""Links and divisions chosen together: a matching of children to parents, in which some mothers take two at once.

Maximise Σ gain(a → b) + Σ worth(m → b, c) over links and divisions, such that every cell is the parent of one choice at
most and the child of one choice at most. Without divisions this is a matching, whose optimum and prices are exact. A
division takes its three places out of the matching, and what that costs is exact again, since the matching is made
optimal around it. Divisions enter, replace each other and leave as long as the total grows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Side, closed, open_all, opened, sides
from volumes.jit import kernel

LEAST_GAIN = 1e-9
"""A change of the divisions must raise the total by more than rounding does."""
HOPELESS = 5.0
"""A division that falls short of the prices by so many nats is not tried; none such was seen in an optimum."""
SWEEPS = 20
"""Bound on the rounds over all divisions; two to four are what it takes."""


class Choices(NamedTuple):
    """Divisions that compete, and which of them hold.

    Parameters
    ----------
    cells : (k, 3) mother, daughter, daughter.
    worth : (k,) gain of the division.
    taken : (k,) whether it holds.
    mothering : (n,) the division that a cell is the mother of, −1 for none.
    born : (n,) the division that a cell is a daughter of, −1 for none.
    start : (n + 1,) first entry of each cell in ``of``.
    of : (3 k,) the divisions that a cell may have a part in.
    """

    cells: NDArray[np.int64]
    worth: NDArray[np.float64]
    taken: NDArray[np.bool_]
    mothering: NDArray[np.int64]
    born: NDArray[np.int64]
    start: NDArray[np.int64]
    of: NDArray[np.int64]


def pack(
    n: int,
    links: NDArray[np.int64],
    gain: NDArray[np.float64],
    triplets: NDArray[np.int64],
    worth: NDArray[np.float64],
) -> tuple[NDArray[np.int64], float]:
    """Choose links and divisions of the largest total.

    Parameters
    ----------
    n : number of cells.
    links : (m, 2) parent and child, each pair once; a cell linked to itself is kept out of everything else.
    gain : (m,) gain of the link over its cells staying alone.
    triplets : (k, 3) mother and two daughters.
    worth : (k,) gain of the division over its cells staying alone.

    Returns
    -------
    parent : (n,) the chosen parent of each cell, itself where it is kept out, −1 where there is none.
    total : the sum of what was chosen.
    """
    parents, children = sides(links[:, 0], links[:, 1], gain, n, n)
    children.open[:] = True
    total = open_all(parents, children)
    bound = parents.price[triplets[:, 0]] + children.price[triplets[:, 1]] + children.price[triplets[:, 2]]
    order = np.argsort(bound - worth, kind="stable")
    order = order[(worth - bound)[order] > -HOPELESS]
    choices = _choices(n, triplets[order], worth[order])
    total += _improve(choices, parents, children)
    parent = children.mate.copy()
    for mother, first, second in choices.cells[choices.taken]:
        parent[[first, second]] = mother
    return parent, float(total)


def _choices(n: int, cells: NDArray[np.int64], worth: NDArray[np.float64]) -> Choices:
    part = np.argsort(cells.ravel(), kind="stable")
    start = np.searchsorted(cells.ravel()[part], np.arange(n + 1))
    none = np.full(n, -1, np.int64)
    return Choices(cells, worth, np.zeros(len(worth), bool), none, none.copy(), start, part // 3)


@kernel
def _improve(choices: Choices, parents: Side, children: Side) -> float:
    """Let divisions enter, replace each other and leave until nothing raises the total; returns what was won."""
    won = 0.0
    for _ in range(SWEEPS):
        before = won
        for k in range(len(choices.worth)):
            won += _leave(k, choices, parents, children) if choices.taken[k] else _enter(k, choices, parents, children)
        if won - before <= LEAST_GAIN:
            break
    return won


@kernel
def _enter(k: int, choices: Choices, parents: Side, children: Side) -> float:
    """Try a division in the place of those that it collides with; returns what it wins, 0 when it is undone.

    Divisions that the displaced ones stood in the way of follow where they win, before the whole is judged.
    """
    mother, first, second = choices.cells[k]
    rivals = (choices.mothering[mother], choices.born[first], choices.born[second])
    change = 0.0
    done = [k]
    done.pop()
    for i in range(3):
        if rivals[i] >= 0 and choices.taken[rivals[i]]:
            change += _release(rivals[i], choices, parents, children)
            done.append(rivals[i])
    if len(done) > 0 or _won_at_most(k, choices, parents, children) > LEAST_GAIN:
        change += _take(k, choices, parents, children)
        done.append(k)
        for i in range(3):
            if rivals[i] >= 0:
                change += _follow(rivals[i], done, choices, parents, children)
        if change > LEAST_GAIN:
            return change
    _undo(done, choices, parents, children)
    return 0.0


@kernel
def _follow(displaced: int, done: list[int], choices: Choices, parents: Side, children: Side) -> float:
    """Take divisions of a displaced one's cells that win where they collide with none; returns what they win."""
    change = 0.0
    for i in range(3):
        cell = choices.cells[displaced, i]
        for at in range(choices.start[cell], choices.start[cell + 1]):
            k = choices.of[at]
            mother, first, second = choices.cells[k]
            if max(choices.mothering[mother], choices.born[first], choices.born[second]) >= 0:
                continue
            if _won_at_most(k, choices, parents, children) <= LEAST_GAIN:
                continue
            won = _take(k, choices, parents, children)
            if won > LEAST_GAIN:
                change += won
                done.append(k)
            else:
                _release(k, choices, parents, children)
    return change


@kernel
def _won_at_most(k: int, choices: Choices, parents: Side, children: Side) -> float:
    """Bound on what a division wins: prices say what its three places are worth to the rest at least."""
    mother, first, second = choices.cells[k]
    asked = parents.price[mother] + children.price[first] + children.price[second]
    return float(choices.worth[k] - asked)


@kernel
def _leave(k: int, choices: Choices, parents: Side, children: Side) -> float:
    """Try without a division, others in its place where they win; returns what that wins, 0 when it is put back."""
    change = _release(k, choices, parents, children)
    done = [k]
    change += _follow(k, done, choices, parents, children)
    if change > LEAST_GAIN:
        return change
    _undo(done, choices, parents, children)
    return 0.0


@kernel
def _undo(done: list[int], choices: Choices, parents: Side, children: Side) -> None:
    """Take back what was done to divisions, the last first."""
    while len(done) > 0:
        last = done.pop()
        if choices.taken[last]:
            _release(last, choices, parents, children)
        else:
            _take(last, choices, parents, children)


@kernel
def _take(k: int, choices: Choices, parents: Side, children: Side) -> float:
    mother, first, second = choices.cells[k]
    change = closed(mother, parents, children) + closed(first, children, parents) + closed(second, children, parents)
    choices.taken[k] = True
    choices.mothering[mother] = k
    choices.born[first] = k
    choices.born[second] = k
    return float(change + choices.worth[k])


@kernel
def _release(k: int, choices: Choices, parents: Side, children: Side) -> float:
    mother, first, second = choices.cells[k]
    choices.taken[k] = False
    choices.mothering[mother] = -1
    choices.born[first] = -1
    choices.born[second] = -1
    change = opened(mother, parents, children) + opened(first, children, parents) + opened(second, children, parents)
    return float(change - choices.worth[k])
