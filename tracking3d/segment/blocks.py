"""Cells of a volume that is worked on in blocks: the same as of the whole, however large they are.

Each block labels the basins of its core (:mod:`tracking3d.segment.uphill`) and tells where each has its peak. Basins of
one peak are one, in whatever blocks they lie; two become one cell where they meet at height s and the lower of the two
cells' peaks p has p − s ≤ depth · p, the highest meetings first, as in :mod:`tracking3d.segment.basins`. What counts as
a cell is decided then, of the whole cell. Only tables of basins are held for the whole volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.basins import root
from tracking3d.segment.uphill import Basins
from volumes.jit import kernel
from volumes.shapes import AnyArray, Shape3

Core: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
LabelsAt: TypeAlias = Callable[[int, NDArray[np.int64]], NDArray[np.int32]]
"""Of a block's number and places (n, 3) in the whole volume: what the block labelled there, (n,)."""


@dataclass(frozen=True, eq=False)
class Joined:
    """The cells of all blocks, from 1.

    Parameters
    ----------
    numbers : for each block (n + 1,) int64, what its labels become; 0 stays 0.
    sums : (cells, 5) as in :class:`tracking3d.segment.uphill.Basins`.
    peaks : (cells,) the greatest height in each.
    """

    numbers: list[NDArray[np.int64]]
    sums: NDArray[np.float64]
    peaks: NDArray[np.float64]

    @property
    def voxels(self) -> NDArray[np.int64]:
        """(cells,) the size of each."""
        return self.sums[:, 0].astype(np.int64)

    @property
    def centre(self) -> NDArray[np.float64]:
        """(cells, 3) mean (z, y, x) of each, voxels of the whole volume."""
        out: NDArray[np.float64] = self.sums[:, 2:] / self.sums[:, :1]
        return out

    def only(self, kept: NDArray[np.bool_]) -> Joined:
        """Without the cells that are not kept, numbered without gaps."""
        fresh = np.concatenate([[0], np.cumsum(kept) * kept])
        return Joined([fresh[part] for part in self.numbers], self.sums[kept], self.peaks[kept])


def cores(shape: Shape3, sides: Shape3) -> list[Core]:
    """Boxes that cover a volume without overlap; each begins at multiples of ``sides``."""
    z, y, x = (_cuts(n, side) for n, side in zip(shape, sides, strict=True))
    return list(product(z, y, x))


def box(core: Core) -> tuple[slice, slice, slice]:
    """The same to index with."""
    z, y, x = (slice(*side) for side in core)
    return z, y, x


def widened(core: Core, margin: int, shape: Shape3) -> Core:
    """A box with a margin, inside the volume."""
    z, y, x = ((max(0, a - margin), min(n, b + margin)) for (a, b), n in zip(core, shape, strict=True))
    return z, y, x


def joined(
    tables: Sequence[Basins], places: Sequence[Core], shape: Shape3, depth: float, at: LabelsAt | None = None
) -> Joined:
    """The cells that the basins of all blocks make up, in the order of their peaks, the highest first.

    Parameters
    ----------
    tables : of each block; its labels are not looked at.
    places : the cores, all of the volume once.
    shape : of the volume.
    depth : share of the lower peak by which the height falls between two cells.
    at : reads labels of a block again, where a path left what another block saw; a single block needs none.
    """
    rows, height = _ordered(tables, _ends(tables, places, shape, at))
    cell = _cells(tables, rows, height, depth)
    count = int(cell.max(initial=-1)) + 1
    sums, peaks = np.zeros((count, 5)), np.zeros(count)
    for row, table in zip(rows, tables, strict=True):
        np.add.at(sums, cell[row], table.sums)
    np.maximum.at(peaks, cell, height)
    return Joined([np.concatenate([[0], cell[row] + 1]) for row in rows], sums, peaks)


def _ordered(
    tables: Sequence[Basins], ends: Sequence[NDArray[np.int64]]
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Which of all peaks, the highest first, each block's basins have; and the heights of those."""
    peaks, which = np.unique(np.concatenate(ends), return_inverse=True)
    height = np.zeros(len(peaks))
    # Where a path went on, the block saw less than its peak.
    np.maximum.at(height, which, np.concatenate([table.heights for table in tables]).astype(np.float64))
    age = np.lexsort((peaks, -height))
    rank = np.empty(len(peaks), np.int64)
    rank[age] = np.arange(len(peaks))
    return np.split(rank[which], np.cumsum([len(end) for end in ends])[:-1]), height[age]


def _ends(
    tables: Sequence[Basins], places: Sequence[Core], shape: Shape3, at: LabelsAt | None
) -> list[NDArray[np.int64]]:
    """Where the path of each block's basins ends in the whole volume: at a peak."""
    ends = [table.peaks.copy() for table in tables]
    still = [table.open.copy() for table in tables]
    while at and any(part.any() for part in still):
        asked = np.unique(np.concatenate([end[part] for end, part in zip(ends, still, strict=True)]))
        further, goes_on = _looked_up(asked, tables, places, shape, at)
        for end, part in zip(ends, still, strict=True):
            found = np.searchsorted(asked, end[part])
            end[part] = further[found]
            part[part] = goes_on[found]
    return ends


def _looked_up(
    asked: NDArray[np.int64], tables: Sequence[Basins], places: Sequence[Core], shape: Shape3, at: LabelsAt
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For places in the whole volume: the end that the block has for it in whose core it lies, and if that is open."""
    voxel = np.stack(np.unravel_index(asked, shape), 1)
    owner = _owner(voxel, places)
    end, goes_on = np.empty_like(asked), np.empty(len(asked), bool)
    for block in np.unique(owner):
        mine = owner == block
        row = at(int(block), voxel[mine]) - 1
        end[mine], goes_on[mine] = tables[block].peaks[row], tables[block].open[row]
    return end, goes_on


def _owner(voxel: NDArray[np.int64], places: Sequence[Core]) -> NDArray[np.int64]:
    """The block in whose core each voxel lies."""
    begins = [np.unique([core[axis][0] for core in places]) for axis in range(3)]
    at = [np.searchsorted(begin, voxel[:, axis], side="right") - 1 for axis, begin in enumerate(begins)]
    out: NDArray[np.int64] = np.ravel_multi_index(at, [len(begin) for begin in begins])
    return out


def _cells(
    tables: Sequence[Basins], rows: Sequence[NDArray[np.int64]], height: NDArray[np.float64], depth: float
) -> NDArray[np.int64]:
    """The cell, from 0, of each basin; basins come in the order of their peaks."""
    empty = np.zeros((0, 2), np.int64)
    pairs = np.concatenate([empty, *(row[table.pairs] for row, table in zip(rows, tables, strict=True))])
    level = np.concatenate([np.zeros(0), *(table.levels.astype(np.float64) for table in tables)])
    pairs.sort(1)
    cell = np.arange(len(height))
    _join(pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -level))], np.sort(level)[::-1], height, depth, cell)
    return np.unique(cell, return_inverse=True)[1] if len(cell) else cell


@kernel
def _join(pairs: AnyArray, level: AnyArray, height: AnyArray, depth: float, parent: AnyArray) -> None:
    """Join where the lower peak is shallow; afterwards each basin's parent is the highest of its cell."""
    for k in range(len(level)):
        a, b = root(parent, pairs[k, 0]), root(parent, pairs[k, 1])
        high, low = min(a, b), max(a, b)
        if high != low and level[k] >= (1 - depth) * height[low]:
            parent[low] = high
    for i in range(len(parent)):
        parent[i] = root(parent, parent[i])


def _cuts(size: int, side: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, size, side), size]))
