"""What one pass of linking tells the next: how often tracks begin, end, are missed, divide and merge, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.divisions import Habits, learnt_habits
from tracking3d.link.likelihood import Rates
from tracking3d.link.merges import Joining, Merges, learnt_joining
from tracking3d.link.motion import Motion
from tracking3d.link.scene import Scene

TRUSTED = 100.0
"""Cells that the assumed rates weigh as much as."""


@dataclass(frozen=True)
class Learnt:
    """What links are weighed with, besides motion and volumes."""

    rates: Rates = field(default_factory=Rates)
    habits: Habits = field(default_factory=Habits)
    joining: Joining = field(default_factory=Joining)


def learnt_from(cells: Scene, parent: NDArray[np.int64], merged: Merges, motion: Motion, assumed: Learnt) -> Learnt:
    """Rates and habits as links (n,) and merges show them, leaning on the assumed ones."""
    return Learnt(
        learnt_rates(cells, parent, merged, assumed.rates),
        learnt_habits(cells, divided(parent), motion),
        learnt_joining(merged, motion, len(cells)),
    )


def divided(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 3) mothers and their two daughters among parents (n,)."""
    child = np.flatnonzero(parent >= 0)
    child = child[np.argsort(parent[child], kind="stable")]
    twin = np.flatnonzero(parent[child][1:] == parent[child][:-1])
    return np.column_stack([parent[child[twin]], child[twin], child[twin + 1]])


def learnt_rates(cells: Scene, parent: NDArray[np.int64], merged: Merges, assumed: Rates) -> Rates:
    """Rates as the links show them, leaning on the assumed ones like a hundred cells.

    Links jump over merged detections, which are neither missed cells nor false ones.
    """
    child = np.flatnonzero(parent >= 0)
    children = np.bincount(parent[child], minlength=len(parent))
    alone = (parent < 0) & (children == 0)
    begins = (parent < 0) & ~alone & (cells.t > cells.t[:1])
    ends = (children == 0) & ~alone & (cells.t < cells.t[-1:])
    missed = float((cells.t[child] - cells.t[parent[child]] - 1).sum()) - 2.0 * len(merged.cell)
    n = float(len(parent))
    return Rates(
        appear=_leaning(float(begins.sum()), n, assumed.appear),
        vanish=_leaning(float(ends.sum()), n, assumed.vanish),
        miss=_leaning(max(missed, 0.0), n + missed, assumed.miss),
        divide=_leaning(float((children == 2).sum()), n, assumed.divide),
        false=_leaning(float(alone.sum()) - len(merged.cell), n, assumed.false),
    )


def _leaning(count: float, of: float, assumed: float) -> float:
    return (count + TRUSTED * assumed) / (of + TRUSTED)
