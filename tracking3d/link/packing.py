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
    """

    cells: NDArray[np.int64]
    worth: NDArray[np.float64]
    taken: NDArray[np.bool_]
    mothering: NDArray[np.int64]
    born: NDArray[np.int64]


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
    choices = Choices(
        triplets[order], worth[order], np.zeros(len(order), bool), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    )
    total += _improve(choices, parents, children)
    parent = children.mate.astype(np.int64)
    for mother, first, second in choices.cells[choices.taken]:
        parent[[first, second]] = mother
    return parent, float(total)


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
    """Try a division in the place of those that it collides with; returns what it wins, 0 when it is undone."""
    mother, first, second = choices.cells[k]
    rivals = (choices.mothering[mother], choices.born[first], choices.born[second])
    if _most(k, rivals, choices, parents, children) <= LEAST_GAIN:
        return 0.0
    change = 0.0
    for i in range(3):
        if rivals[i] >= 0 and choices.taken[rivals[i]]:
            change += _release(rivals[i], choices, parents, children)
    if change + _won_at_most(k, choices, parents, children) > LEAST_GAIN:
        change += _take(k, choices, parents, children)
        if change > LEAST_GAIN:
            return change
        _release(k, choices, parents, children)
    for i in range(3):
        if rivals[i] >= 0 and not choices.taken[rivals[i]]:
            _take(rivals[i], choices, parents, children)
    return 0.0


@kernel
def _won_at_most(k: int, choices: Choices, parents: Side, children: Side) -> float:
    """Bound on what a division wins: prices say what its three places are worth to the rest at least."""
    mother, first, second = choices.cells[k]
    asked = parents.price[mother] + children.price[first] + children.price[second]
    return float(choices.worth[k] - asked)


@kernel
def _most(k: int, rivals: tuple[int, int, int], choices: Choices, parents: Side, children: Side) -> float:
    """Bound on what a division wins in the place of its rivals: their places can fetch their best offers at most."""
    mother, first, second = choices.cells[k]
    most = float(choices.worth[k])
    most -= parents.price[mother] if rivals[0] < 0 else 0.0
    most -= children.price[first] if rivals[1] < 0 else 0.0
    most -= children.price[second] if rivals[2] < 0 else 0.0
    for i in range(3):
        rival = rivals[i]
        if rival < 0 or (i > 0 and rival == rivals[0]) or (i > 1 and rival == rivals[1]):
            continue
        most -= choices.worth[rival]
        freed, one, other = choices.cells[rival]
        most += _offer(freed, parents, children) if freed != mother else 0.0
        most += _offer(one, children, parents) if one not in (first, second) else 0.0
        most += _offer(other, children, parents) if other not in (first, second) else 0.0
    return most


@kernel
def _offer(vertex: int, mine: Side, theirs: Side) -> float:
    """The most that a vertex outside can add to the total, even if others come in with it."""
    best = 0.0
    for k in range(mine.start[vertex], mine.start[vertex + 1]):
        asked = theirs.price[mine.other[k]] if theirs.open[mine.other[k]] else 0.0
        best = max(best, mine.gain[k] - asked)
    return best


@kernel
def _leave(k: int, choices: Choices, parents: Side, children: Side) -> float:
    """Try without a division; returns what that wins, 0 when it is put back."""
    change = _release(k, choices, parents, children)
    if change > LEAST_GAIN:
        return change
    _take(k, choices, parents, children)
    return 0.0


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
