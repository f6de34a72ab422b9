"""What one pass of linking tells the next: how often tracks begin, end, are missed, divide and merge, and how."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.divisions import Habits, learnt_habits
from tracking3d.link.likelihood import Rates
from tracking3d.link.merges import NONE, Joining, Merges, learnt_joining
from tracking3d.link.motion import Motion, learnt
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks

TRUSTED = 100.0
"""Cells that the assumed rates weigh as much as."""
LEAPT = 0.01
"""Share of cells that leaps make look missed, and others look false, where none is; only what is beyond it counts."""


LEAST = 0.02
"""Least share of what is assumed that is left of a rate, so that none is 0."""


@dataclass(frozen=True)
class Learnt:
    """What links are weighed with, besides motion and volumes."""

    rates: Rates = field(default_factory=Rates)
    habits: Habits = field(default_factory=Habits)
    joining: Joining = field(default_factory=Joining)


def learnt_from(
    cells: Scene,
    parent: NDArray[np.int64],
    merged: Merges,
    motion: Motion,
    assumed: Learnt,
    kept: NDArray[np.bool_] | None = None,
) -> Learnt:
    """Rates and habits as links (n,) and merges show them among the kept cells (n,), leaning on the assumed ones."""
    return Learnt(
        learnt_rates(cells, parent, merged, assumed.rates, kept),
        learnt_habits(cells, divided(parent), motion, assumed.habits),
        learnt_joining(merged, motion, len(cells), assumed.joining),
    )


def taught(tracks: Tracks) -> Learnt:
    """What the mended tracks of one movie teach of the cells in another: ``ConstraintLinker(config, taught(tracks))``.

    All cells of some frames are needed, since a lone track does not say how often cells are missed, nor how far apart
    they lie; lengths are in their spacings, so the unit and the magnification may differ, the interval may not.
    """
    cells = scene(tracks.detections)
    if not len(cells):
        return Learnt()
    place = np.argsort(cells.order)
    parent = np.where(tracks.parent[cells.order] >= 0, place[tracks.parent[cells.order]], -1)
    return learnt_from(cells, parent, NONE, learnt(cells, parent, 1), Learnt())


def taught_by_few(tracks: Tracks) -> Learnt:
    """What a few tracks teach of the cells in other movies, or of the rest of their own.

    Parameters
    ----------
    tracks : over all detections of some frames, of which only a few need to be linked: rows without parent and children
        are cells or false detections that nothing is said of. Where a told track begins and ends, nothing is meant by
        it, so only misses and divisions are counted, and how daughters lie and how large they are.
    """
    cells = scene(tracks.detections)
    if not len(cells):
        return Learnt()
    place, assumed = np.argsort(cells.order), Learnt()
    parent = np.where(tracks.parent[cells.order] >= 0, place[tracks.parent[cells.order]], -1)
    child = np.flatnonzero(parent >= 0)
    mothers = divided(parent)
    missed = float((cells.t[child] - cells.t[parent[child]] - 1).sum())
    rates = replace(
        assumed.rates,
        miss=_leaning(missed, len(child) + missed, assumed.rates.miss),
        divide=_leaning(float(len(mothers)), float(len(np.unique(parent[child]))), assumed.rates.divide),
    )
    return Learnt(rates, learnt_habits(cells, mothers, learnt(cells, parent, 1), assumed.habits), assumed.joining)


def divided(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 3) mothers and their two daughters among parents (n,)."""
    child = np.flatnonzero(parent >= 0)
    child = child[np.argsort(parent[child], kind="stable")]
    twin = np.flatnonzero(parent[child][1:] == parent[child][:-1])
    return np.column_stack([parent[child[twin]], child[twin], child[twin + 1]])


def learnt_rates(
    cells: Scene,
    parent: NDArray[np.int64],
    merged: Merges,
    assumed: Rates,
    kept: NDArray[np.bool_] | None = None,
) -> Rates:
    """Rates as the links show them, leaning on the assumed ones like a hundred cells.

    Links jump over merged detections, which are neither missed cells nor false ones. Where no cell is ever missed, a
    cell that leaps looks as if it were, with a false detection where it leapt to, and links chosen for being the
    likeliest would keep up the rates that made them so: a few are counted for none. Cells that are not kept, because
    another hypothesis was chosen, count for nothing.
    """
    child = np.flatnonzero(parent >= 0)
    children = np.bincount(parent[child], minlength=len(parent))
    there = np.ones(len(parent), bool) if kept is None else kept
    alone = (parent < 0) & (children == 0) & there
    begins = (parent < 0) & there & ~alone & (cells.t > cells.t[:1])
    ends = (children == 0) & there & ~alone & (cells.t < cells.t[-1:])
    missed = float((cells.t[child] - cells.t[parent[child]] - 1).sum()) - 2.0 * len(merged.cell)
    n = float(there.sum())
    alone[merged.cell] = False
    return Rates(
        appear=_leaning(float(begins.sum()), n, assumed.appear),
        vanish=_leaning(float(ends.sum()), n, assumed.vanish),
        miss=_leaning(missed, n + missed, assumed.miss, LEAPT * n),
        divide=_leaning(float((children == 2).sum()), n, assumed.divide),
        false=_leaning(float(alone.sum()), n, assumed.false, LEAPT * n),
    )


def _leaning(count: float, of: float, assumed: float, spurious: float = 0.0) -> float:
    """Share of what was counted beyond what is spurious, leaning on an assumed one; never 0."""
    trusted = TRUSTED * assumed
    return max(count + trusted - spurious, LEAST * trusted) / (of + TRUSTED)
