"""The nearest cells of a frame, by boxes: each frame's cells sorted into a grid of about as many boxes as cells.

Boxes of one row along x follow each other in memory, so a search reads a few runs of cells. The grid spans the middle
of the cells along each axis; what lies further out belongs to the boxes at the rim, so that no outlier coarsens it.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from volumes.jit import inlined, kernel
from volumes.shapes import Points

RIM = 0.02
"""Share of a frame's cells that may lie beyond the grid on each side of an axis."""
SAMPLE = 4096
"""Cells of a frame that its extent is read from."""


class Grid(NamedTuple):
    """Cells of every frame in order of their boxes.

    Parameters
    ----------
    zyx : (n, 3) centres, µm, sorted by frame, then by box.
    cell : (n,) the cell that each of them is.
    low : (f, 3) corner of each frame's grid, µm.
    side : (f,) side of a box, µm.
    boxes : (f, 3) number of boxes along each axis.
    before : (f,) place of a frame's first box in ``start``.
    start : first cell of each box; boxes of a frame are followed by one entry more, its end.
    """

    zyx: Points
    cell: NDArray[np.int64]
    low: Points
    side: NDArray[np.float64]
    boxes: NDArray[np.int64]
    before: NDArray[np.int64]
    start: NDArray[np.int64]


def grid(zyx: Points, first: NDArray[np.int64]) -> Grid:
    """Sort cells (n, 3), whose frames begin at ``first`` (f + 1,), into boxes."""
    low, side, boxes = _extents(zyx, first)
    before = np.concatenate([[0], np.cumsum(boxes.prod(axis=1) + 1)])
    start, cell = _sorted(zyx, first, low, side, boxes, before)
    return Grid(zyx[cell], cell, low, side, boxes, before[:-1], start)


@kernel
def _extents(zyx: Points, first: NDArray[np.int64]) -> tuple[Points, NDArray[np.float64], NDArray[np.int64]]:
    """Corner (f, 3), side (f,) and number (f, 3) of the boxes: the smallest with no more boxes than cells."""
    frames = len(first) - 1
    low, side, boxes = np.zeros((frames, 3)), np.ones(frames), np.ones((frames, 3), np.int64)
    for f in range(frames):
        n = first[f + 1] - first[f]
        if n == 0:
            continue
        span = np.zeros(3)
        for axis in range(3):
            along = np.sort(zyx[first[f] : first[f + 1] : max(1, n // SAMPLE), axis])
            rim = int(RIM * len(along))
            low[f, axis] = along[rim]
            span[axis] = along[len(along) - 1 - rim] - along[rim]
        most = span.max()
        if most <= 0.0:
            continue
        # Between one box in all and n along the longest axis; the count falls as the side grows.
        least = most / n
        for _ in range(20):
            side[f] = np.sqrt(least * most)
            if _count(span, side[f]) <= n:
                most = side[f]
            else:
                least = side[f]
        side[f] = most
        for axis in range(3):
            boxes[f, axis] = int(span[axis] / most) + 1
    return low, side, boxes


@inlined
def _count(span: NDArray[np.float64], side: float) -> float:
    return float((np.floor(span[0] / side) + 1) * (np.floor(span[1] / side) + 1) * (np.floor(span[2] / side) + 1))


@inlined
def _box(at: float, low: float, side: float, boxes: int) -> int:
    """The box along one axis; what lies beyond the grid falls to its rim."""
    return int(min(max(np.floor((at - low) / side), 0.0), boxes - 1.0))


@kernel
def _sorted(
    zyx: Points,
    first: NDArray[np.int64],
    low: Points,
    side: NDArray[np.float64],
    boxes: NDArray[np.int64],
    before: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First cell of each box, and the cells (n,) in order of their boxes: a counting sort a frame."""
    start, cell = np.zeros(before[-1], np.int64), np.empty(len(zyx), np.int64)
    own = np.empty(len(zyx), np.int64)
    for f in range(len(side)):
        ends = start[before[f] : before[f + 1]]
        for i in range(first[f], first[f + 1]):
            row = _box(zyx[i, 0], low[f, 0], side[f], boxes[f, 0]) * boxes[f, 1]
            row = (row + _box(zyx[i, 1], low[f, 1], side[f], boxes[f, 1])) * boxes[f, 2]
            own[i] = row + _box(zyx[i, 2], low[f, 2], side[f], boxes[f, 2])
            ends[own[i]] += 1
        total = first[f]
        for b in range(len(ends)):
            total += ends[b]
            ends[b] = total
        for i in range(first[f + 1] - 1, first[f] - 1, -1):
            ends[own[i]] -= 1
            cell[ends[own[i]]] = i
    return start, cell


@kernel
def nearest_within(
    grid: Grid, frame: int, at: NDArray[np.float64], reach: float, cell: NDArray[np.int64], away: NDArray[np.float64]
) -> int:
    """The nearest cells of a frame to a point (3,), at most ``reach`` µm away, the nearest first.

    Writes as many as ``cell`` has room for into it, and their squared distances into ``away``; returns how many.
    Among cells equally far the one that stands first in the scene comes first.
    """
    count, most = 0, len(cell)
    bound = reach * reach
    side, boxes, low = grid.side[frame], grid.boxes[frame], grid.low[frame]
    x0 = _box(at[2] - reach, low[2], side, boxes[2])
    x1 = _box(at[2] + reach, low[2], side, boxes[2])
    for z in range(_box(at[0] - reach, low[0], side, boxes[0]), _box(at[0] + reach, low[0], side, boxes[0]) + 1):
        for y in range(_box(at[1] - reach, low[1], side, boxes[1]), _box(at[1] + reach, low[1], side, boxes[1]) + 1):
            row = grid.before[frame] + (z * boxes[1] + y) * boxes[2]
            for i in range(grid.start[row + x0], grid.start[row + x1 + 1]):
                dz, dy, dx = grid.zyx[i, 0] - at[0], grid.zyx[i, 1] - at[1], grid.zyx[i, 2] - at[2]
                squared = dz * dz + dy * dy + dx * dx
                if squared > bound or (count == most and squared == bound and grid.cell[i] > cell[most - 1]):
                    continue
                count = min(count + 1, most)
                rank = count - 1
                while rank > 0 and (
                    away[rank - 1] > squared or (away[rank - 1] == squared and cell[rank - 1] > grid.cell[i])
                ):
                    away[rank] = away[rank - 1]
                    cell[rank] = cell[rank - 1]
                    rank -= 1
                away[rank] = squared
                cell[rank] = grid.cell[i]
                if count == most:
                    bound = away[most - 1]
    return count


@kernel
def neighbours(grid: Grid, first: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest other cells of the same frame, the nearest first.

    Returns
    -------
    near : (n, most) cells, −1 where the frame has fewer.
    distance : (n, most) µm, ∞ where the frame has fewer.
    """
    n = len(grid.cell)
    near, distance = np.full((n, most), -1, np.int64), np.full((n, most), inf)
    cell, away = np.empty(most + 1, np.int64), np.empty(most + 1)
    for f in range(len(first) - 1):
        wanted = min(most + 1, first[f + 1] - first[f])
        for i in range(first[f], first[f + 1]):
            reach = 1.4 * grid.side[f]
            count = nearest_within(grid, f, grid.zyx[i], reach, cell, away)
            while count < wanted:
                reach *= 1.5
                count = nearest_within(grid, f, grid.zyx[i], reach, cell, away)
            rank = 0
            for k in range(count):
                if cell[k] != grid.cell[i] and rank < most:
                    near[grid.cell[i], rank] = cell[k]
                    distance[grid.cell[i], rank] = np.sqrt(away[k])
                    rank += 1
    return near, distance
