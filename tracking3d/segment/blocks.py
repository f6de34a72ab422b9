"""Cells of a volume that is worked on in blocks: each block labels its core, and knows its cells as wholes.

A block looks beyond its core, far enough that every cell which reaches into the core lies in what it sees. So two
blocks at a seam see the same cell, with nearly the same centre: what has one centre is one cell, and gets one number.
Each core is written once, by its own block, and renumbered once; only a table of the cells is held for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from volumes.shapes import Shape3

Core: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

SIMILAR = 0.5
"""Least ratio of the volumes in which two blocks see one cell."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a block found.

    Parameters
    ----------
    labels : (z, y, x) int32 of its core: 0, or 1..n.
    centre : (n, 3) of each cell as a whole, in one unit for all blocks.
    voxels : (n,) of each as a whole.
    confidence : (n,) of 0 to 1.
    """

    labels: NDArray[np.int32]
    centre: NDArray[np.float64]
    voxels: NDArray[np.int64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Joined:
    """The cells of all blocks.

    Parameters
    ----------
    numbers : for each block (n + 1,), what its labels become; 0 stays 0.
    confidence : (cells,) of number 1 and on.
    """

    numbers: list[NDArray[np.int64]]
    confidence: NDArray[np.float64]


def cores(shape: Shape3, sides: Shape3) -> Iterator[Core]:
    """Boxes of about equal size, none longer than ``sides``, that cover a volume without overlap."""
    yield from product(*(_cuts(n, side) for n, side in zip(shape, sides, strict=True)))


def joined(
    tables: Sequence[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]], reach: float
) -> Joined:
    """Number the cells of all blocks: what two blocks see within ``reach`` of each other is one cell.

    Parameters
    ----------
    tables : each block's centres, voxels and confidences, as in :class:`Found`.
    reach : largest distance of two centres of one cell; the nearest pairs go first, and no block gives a cell twice.
    """
    counts = [len(centre) for centre, _, _ in tables]
    total = sum(counts)
    if not total:
        return Joined([np.zeros(1, np.int64) for _ in tables], np.zeros(0))
    centre, voxels, confidence = (np.concatenate([table[i] for table in tables]) for i in range(3))
    block = np.repeat(np.arange(len(tables)), counts)
    cell = _same(centre, voxels, block, reach)
    firsts, number = np.unique(cell, return_inverse=True)
    numbers = [np.concatenate([[0], part + 1]) for part in np.split(number, np.cumsum(counts)[:-1])]
    return Joined(numbers, confidence[firsts])


def _same(
    centre: NDArray[np.float64], voxels: NDArray[np.int64], block: NDArray[np.int64], reach: float
) -> NDArray[np.int64]:
    """(n,) the first row of the cell that each row belongs to."""
    pairs = cKDTree(centre).query_pairs(reach, output_type="ndarray")
    a, b = pairs.T
    alike = np.minimum(voxels[a], voxels[b]) >= SIMILAR * np.maximum(voxels[a], voxels[b])
    pairs = pairs[alike & (block[a] != block[b])]
    away = np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=1)
    members: dict[int, list[int]] = {}
    first = np.arange(len(centre))
    for i, j in pairs[np.lexsort((pairs[:, 1], pairs[:, 0], away))].tolist():
        p, q = sorted((int(first[i]), int(first[j])))
        mine, other = members.get(p, [p]), members.get(q, [q])
        if p == q or {int(block[k]) for k in mine} & {int(block[k]) for k in other}:
            continue
        members[p] = mine + other
        first[members.pop(q, [q])] = p
    return first


def _cuts(size: int, side: int) -> list[tuple[int, int]]:
    number = -(-size // max(side, 1))
    places = [size * i // number for i in range(number + 1)]
    return list(pairwise(places))
