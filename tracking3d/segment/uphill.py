"""The watershed of a height map, block by block: the same basins, however a volume is cut.

Every voxel of a mask leads to the highest of its 26 neighbours that comes before it, where higher comes first and, of
equal ones, the first in the volume. Following that ends at a peak, and what ends at one peak is one basin. So to which
basin a voxel belongs is decided by the neighbours along one path, and a block that sees a little more than it answers
for knows nearly all of its basins by the place of their peak; where a path leaves what the block sees, its last voxel
stands for the peak, until the block in which that voxel lies has said where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.basins import neighbours
from volumes.jit import kernel
from volumes.shapes import AnyArray, Mask, Shape3, Voxels

REMEMBERED = 1 << 12
"""Pairs of basins whose meeting is remembered, so that a deeper one is not told again."""
OUTSIDE = -1.0
"""Stands for the height where nothing is labelled."""


@dataclass(frozen=True, eq=False)
class Basins:
    """The basins of a block.

    Parameters
    ----------
    labels : (z, y, x) int32 of the block: 0, or 1..n.
    peaks : (n,) int64, the place of each one's peak in the whole volume, flat.
    heights : (n,) float32, of those.
    open : (n,) bool, whether the path goes on from there, beyond what the block saw.
    sums : (n, 5) of the block's voxels: their number, and the sums of a weight, z, y and x, in the whole volume.
    pairs : (m, 2) int32, the rows of basins that may be one cell.
    levels : (m,) float32, the height at which they meet.
    """

    labels: NDArray[np.int32]
    peaks: NDArray[np.int64]
    heights: NDArray[np.float32]
    open: NDArray[np.bool_]
    sums: NDArray[np.float64]
    pairs: NDArray[np.int32]
    levels: NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """What is seen of a volume, and which part of that is to be labelled.

    Parameters
    ----------
    whole : the volume's shape.
    seen, core : first voxel and the one behind the last, along z, y and x; the core lies inside by a voxel at least,
        but at the volume's faces.
    """

    whole: Shape3
    seen: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    core: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def basins_of(height: Voxels, mask: Mask, weight: Voxels, part: Part, depth: float) -> Basins:
    """The basins of a part of a volume.

    Parameters
    ----------
    height : (z, y, x) of what is seen, not negative; larger is further inside a cell.
    mask : (z, y, x), what to label.
    weight : (z, y, x), summed over each basin.
    part : where that lies.
    depth : pairs that meet so far below the lower peak that they cannot be one cell are left out, as in
        :func:`tracking3d.segment.blocks.joined`.
    """
    padded = np.full(tuple(n + 2 for n in mask.shape), OUTSIDE, np.float32)
    padded[1:-1, 1:-1, 1:-1] = np.where(mask, height, np.float32(OUTSIDE))
    seen, core = np.array(part.seen), np.array(part.core)
    cut = np.column_stack([seen[:, 0] > 0, seen[:, 1] < part.whole])
    steps = neighbours(padded.shape)
    before, behind = np.split(steps, 2)
    up = np.full(padded.size, -1, np.int32)
    _climb(padded, before, behind, cut, up)
    _follow(up)
    shape = tuple((core[:, 1] - core[:, 0]).tolist())
    labels = np.zeros(shape, np.int32)
    tops, sums, pairs, levels = _gathered(padded, up, steps, weight, core[:, 0] - seen[:, 0], seen[:, 0], labels, depth)
    places = np.stack(np.unravel_index(tops, padded.shape), 1) - 1
    at_cut = (cut[:, 0] & (places == 0)) | (cut[:, 1] & (places == np.array(mask.shape) - 1))
    z, y, x = (places + seen[:, 0]).T
    flat = (z.astype(np.int64) * part.whole[1] + y) * part.whole[2] + x
    return Basins(labels, flat, padded.ravel()[tops], at_cut.any(1), sums, pairs, levels)


@kernel
def _climb(height: AnyArray, before: AnyArray, behind: AnyArray, cut: AnyArray, up: AnyArray) -> None:
    """To which voxel each one leads: itself at a peak and at a face where the volume goes on; flat places."""
    flat = height.ravel()
    nz, ny, nx = height.shape
    for z in range(1, nz - 1):
        at_z = (cut[0, 0] and z == 1) or (cut[0, 1] and z == nz - 2)
        for y in range(1, ny - 1):
            at_y = at_z or (cut[1, 0] and y == 1) or (cut[1, 1] and y == ny - 2)
            for x in range(1, nx - 1):
                i = (z * ny + y) * nx + x
                here = flat[i]
                if here < 0:
                    continue
                up[i] = i
                if at_y or (cut[2, 0] and x == 1) or (cut[2, 1] and x == nx - 2):
                    continue
                best, highest = -1, np.float32(-1.0)
                for step in before:
                    if flat[i + step] > highest:
                        best, highest = i + step, flat[i + step]
                if highest < here:
                    best, highest = -1, here
                for step in behind:
                    if flat[i + step] > highest:
                        best, highest = i + step, flat[i + step]
                if best >= 0:
                    up[i] = best


@kernel
def _follow(up: AnyArray) -> None:
    """Replace each voxel's next one by the end of the path."""
    for i in range(up.size):
        if up[i] < 0:
            continue
        top = up[i]
        while up[top] != top:
            top = up[top]
        j = i
        while up[j] != top:
            after = up[j]
            up[j] = top
            j = after


@kernel
def _gathered(
    height: AnyArray,
    up: AnyArray,
    steps: AnyArray,
    weight: AnyArray,
    begin: AnyArray,
    first: AnyArray,
    labels: AnyArray,
    depth: float,
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """Number the basins of the core and of its neighbours; where they end, their sums, and where they meet."""
    flat = height.ravel()
    ny, nx = height.shape[1], height.shape[2]
    number = np.zeros(flat.size, np.int32)
    tops, n = np.empty(64, np.int32), 0
    sums = np.zeros((64, 5))
    pairs, levels, m = np.empty((64, 2), np.int32), np.empty(64, np.float32), 0
    known = np.full((REMEMBERED, 2), -1, np.int32)
    known_level = np.zeros(REMEMBERED, np.float32)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                i = ((z + begin[0] + 1) * ny + y + begin[1] + 1) * nx + x + begin[2] + 1
                top = up[i]
                if top < 0:
                    continue
                if n + 27 > tops.size:
                    tops = np.concatenate((tops, np.empty_like(tops)))
                    sums = np.concatenate((sums, np.zeros_like(sums)))
                if m + 26 > levels.size:
                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                    levels = np.concatenate((levels, np.empty_like(levels)))
                if number[top] == 0:
                    tops[n] = top
                    n += 1
                    number[top] = n
                a = number[top]
                labels[z, y, x] = a
                row = sums[a - 1]
                row[0] += 1
                row[1] += weight[z + begin[0], y + begin[1], x + begin[2]]
                row[2] += z + begin[0] + first[0]
                row[3] += y + begin[1] + first[1]
                row[4] += x + begin[2] + first[2]
                here = flat[i]
                for step in steps:
                    j = i + step
                    other = up[j]
                    if other == top or other < 0 or flat[j] < here or (flat[j] == here and step > 0):
                        continue
                    # Roots only grow, so what is too deep for these two peaks is so for whatever they become part of.
                    if here < (1 - depth) * min(flat[top], flat[other]):
                        continue
                    if number[other] == 0:
                        tops[n] = other
                        n += 1
                        number[other] = n
                    b = number[other]
                    low, high = min(a, b), max(a, b)
                    slot = (low * 73856093 ^ high * 19349663) % REMEMBERED
                    if known[slot, 0] == low and known[slot, 1] == high and known_level[slot] >= here:
                        continue
                    known[slot, 0], known[slot, 1], known_level[slot] = low, high, here
                    pairs[m, 0], pairs[m, 1], levels[m] = low - 1, high - 1, here
                    m += 1
    return tops[:n].copy(), sums[:n].copy(), pairs[:m].copy(), levels[:m].copy()
