"""Lineages as branches: unbranched stretches of detections, and where each stands in a drawn tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Branches:
    """The unbranched stretches of a forest, one row each; a branch comes after its parent.

    Parameters
    ----------
    of_row : (n,) the branch of each detection.
    first, last : frame of a branch's first and last detection.
    parent : the branch it comes from, −1 for a root.
    tree : number of the lineage it belongs to, 0 to trees − 1.
    cells : detections in it.
    """

    of_row: Numbers
    first: Numbers
    last: Numbers
    parent: Numbers
    tree: Numbers
    cells: Numbers

    @property
    def roots(self) -> Numbers:
        """The branches without a parent; the k-th is the root of lineage k."""
        return np.flatnonzero(self.parent < 0)

    @property
    def divisions(self) -> int:
        """How many branches end in two or more daughters."""
        return int((np.bincount(self.parent[self.parent >= 0]) > 1).sum()) if len(self.parent) else 0


@dataclass(frozen=True)
class Placed:
    """The branches that are drawn: their number, their place across (one unit a leaf), and the width in leaves."""

    branches: Numbers
    across: NDArray[np.float64]
    leaves: int
    trees: int


def branches_of(t: ArrayLike, parent: ArrayLike) -> Branches:
    """Cut a forest of detections at its roots and divisions.

    Parameters
    ----------
    t : (n,) frame of each detection.
    parent : (n,) row of its parent, −1 at a root; a parent is earlier than its child.
    """
    frames, up = np.asarray(t, np.int64), np.asarray(parent, np.int64)
    children = np.bincount(up[up >= 0], minlength=len(up))
    of_row = np.full(len(up), -1, np.int64)
    starts: list[int] = []
    for row in np.argsort(frames, kind="stable"):
        above = up[row]
        if above < 0 or children[above] != 1:
            of_row[row] = len(starts)
            starts.append(int(row))
        else:
            of_row[row] = of_row[above]
    start = np.asarray(starts, np.int64)
    above = up[start]
    from_branch = np.where(above < 0, -1, of_row[above]) if len(start) else start
    last = np.full(len(start), -(2**62), np.int64)
    np.maximum.at(last, of_row, frames)
    cells = np.bincount(of_row, minlength=len(start))
    return Branches(of_row, frames[start], last, from_branch, _trees(from_branch), cells)


def largest(branches: Branches, most_leaves: int) -> Numbers:
    """The lineages with the most detections, largest first, for as long as their leaves fit; at least one."""
    trees = len(branches.roots)
    size = np.bincount(branches.tree, weights=branches.cells, minlength=trees)
    leaves = np.bincount(branches.tree[_is_leaf(branches)], minlength=trees)
    order = np.argsort(-size, kind="stable")
    fits = np.cumsum(leaves[order]) <= most_leaves
    return np.asarray(order[: max(1, int(fits.sum()))], np.int64)


def placed(branches: Branches, trees: Numbers) -> Placed:
    """Give each branch of the lineages its place across: leaves side by side, a mother midway between her daughters."""
    daughters: dict[int, list[int]] = {}
    for number, above in enumerate(branches.parent.tolist()):
        daughters.setdefault(above, []).append(number)
    roots = branches.roots
    across: dict[int, float] = {}
    leaves = 0
    for tree in trees.tolist():
        below = _downwards(int(roots[tree]), daughters)
        for number in below:
            if number not in daughters:
                across[number] = float(leaves)
                leaves += 1
        for number in reversed(below):
            if number in daughters:
                across[number] = float(np.mean([across[d] for d in daughters[number]]))
    shown = np.asarray(sorted(across), np.int64)
    return Placed(shown, np.asarray([across[n] for n in shown.tolist()]), leaves, len(trees))


def _downwards(root: int, daughters: dict[int, list[int]]) -> list[int]:
    """A lineage's branches, each before its daughters and left before right."""
    out, waiting = [], [root]
    while waiting:
        number = waiting.pop()
        out.append(number)
        waiting.extend(reversed(daughters.get(number, ())))
    return out


def _trees(parent: Numbers) -> Numbers:
    tree = np.zeros(len(parent), np.int64)
    roots = 0
    for number, above in enumerate(parent.tolist()):
        tree[number] = roots if above < 0 else tree[above]
        roots += above < 0
    return tree


def _is_leaf(branches: Branches) -> NDArray[np.bool_]:
    leaf = np.ones(len(branches.parent), bool)
    leaf[branches.parent[branches.parent >= 0]] = False
    return leaf
