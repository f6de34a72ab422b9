"""Where a sharp turn ends a track, earlier links are undone, and the track is led another way if there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tracking3d.tracks import Rows

WAYS = 8
"""Targets of a cell that are tried at most on another way."""
Targets: TypeAlias = Callable[[int], Sequence[int]]
"""The cells of the next frame that a cell may go to by all other rules, the best first."""
Bends: TypeAlias = Callable[[int, int, int], bool]
"""Whether a path over three cells turns too sharply."""


@dataclass
class Paths:
    """Links that may still change: for each cell (n,) the one before and the one after it on its track, −1 for none."""

    parent: Rows
    child: Rows
    undone: int = 0

    @classmethod
    def of(cls, n: int) -> Paths:
        """No link among n cells."""
        return cls(np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64))

    def link(self, earlier: Rows, later: Rows) -> None:
        """Let tracks go on from cells (m,) to others (m,)."""
        self.parent[later], self.child[earlier] = earlier, later

    def unlink(self, later: int) -> None:
        """Let a track end before a cell."""
        self.child[self.parent[later]] = -1
        self.parent[later] = -1


def backtrack(paths: Paths, end: int, frames: int, targets: Targets, bends: Bends) -> bool:
    """Undo up to so many links before the end of a track, if from there another way leads beyond it.

    What is cut off stays as a track of its own.

    Returns
    -------
    Whether such a way was found, and is linked now.
    """
    first = end
    for back in range(1, frames + 1):
        start = int(paths.parent[first])
        if start < 0:
            return False
        way = _onward(paths, int(paths.parent[start]), start, back + 1, targets, bends)
        if way is not None:
            paths.unlink(first)
            paths.link(np.array([start, *way[:-1]]), np.array(way))
            paths.undone += 1
            return True
        first = start
    return False


def _onward(paths: Paths, before: int, at: int, steps: int, targets: Targets, bends: Bends) -> list[int] | None:
    """So many cells that a track could go on over, all free or after a free one; None where there is no way."""
    if steps == 0:
        return []
    free = [cell for cell in targets(at) if paths.parent[cell] < 0][:WAYS]
    for cell in free:
        if before < 0 or not bends(before, at, cell):
            rest = _along(paths, at, cell, steps - 1, targets, bends)
            if rest is not None:
                return [cell, *rest]
    return None


def _along(paths: Paths, before: int, at: int, steps: int, targets: Targets, bends: Bends) -> list[int] | None:
    """The way on from a cell; where a track goes on from it already, along that."""
    following = int(paths.child[at])
    if following < 0:
        return _onward(paths, before, at, steps, targets, bends)
    if bends(before, at, following):
        return None
    if steps == 0:
        return []
    rest = _along(paths, at, following, steps - 1, targets, bends)
    return None if rest is None else [following, *rest]
