"""Between the image's grid and the network's: any factor along each axis, antialiased, and the same in every block.

Voxel j of a grid f times as coarse lies at (j + ½) f − ½ of the fine one. Each new voxel is a mean weighted by a
triangle, of half-width f where the new grid is coarser and 1 where it is finer (linear interpolation); beyond the
volume's faces nothing counts. One axis follows the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from volumes.jit import kernel
from volumes.shapes import AnyArray, Shape3, Triple, Voxels

Range = tuple[int, int]
"""First voxel, and the one behind the last, along an axis of the whole grid."""


def coarse_shape(shape: Sequence[int], factors: Triple) -> Shape3:
    """Voxels along each axis of a grid ``factors`` times as coarse as one of ``shape``; at least 1."""
    z, y, x = (max(1, round(n / f)) for n, f in zip(shape, factors, strict=True))
    return z, y, x


def needed(wanted: Range, factor: float, size: int) -> Range:
    """Which voxels of an axis of ``size`` the new voxels ``wanted`` are made of."""
    reach = max(1.0, factor)
    first, last = (wanted[0] + 0.5) * factor - 0.5 - reach, (wanted[1] - 0.5) * factor - 0.5 + reach
    begin = min(max(math.floor(first), 0), size - 1)
    return begin, min(max(math.ceil(last) + 1, begin + 1), size)


def resampled(voxels: Voxels, held: Sequence[Range], wanted: Sequence[Range], factors: Triple) -> NDArray[np.float32]:
    """A window of the new grid (z, y, x) from a window of the old one.

    Parameters
    ----------
    voxels : (z, y, x), the old grid's voxels in the ranges ``held``.
    held : what is there, at least :func:`needed`, unless the grid ends.
    wanted : ranges of the new grid.
    factors : old voxels to a new one along each axis.
    """
    out = np.ascontiguousarray(voxels, np.float32)
    # The axis that shrinks most goes first.
    for axis in sorted(range(3), key=lambda a: (wanted[a][1] - wanted[a][0]) / voxels.shape[a]):
        if factors[axis] == 1 and held[axis] == wanted[axis]:
            continue
        first, weights = _taps(held[axis], wanted[axis], factors[axis])
        made = np.zeros((*out.shape[:axis], len(first), *out.shape[axis + 1 :]), np.float32)
        # Products are summed in one order everywhere: two windows give a voxel the same value to the last bit.
        if axis == 2:
            _along_rows(out.reshape(-1, out.shape[2]), first, weights, made.reshape(-1, len(first)))
        else:
            before = int(np.prod(out.shape[:axis]))
            _across_rows(out.reshape(before, out.shape[axis], -1), first, weights, made.reshape(before, len(first), -1))
        out = made
    return out


def _taps(held: Range, wanted: Range, factor: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Along one axis: (new,) the first voxel of the window that counts; (new, k) weights from there on, of sum 1."""
    reach = max(1.0, factor)
    # Beyond the last voxel its value goes on.
    place = ((np.arange(*wanted) + 0.5) * factor - 0.5).clip(held[0], held[1] - 1)
    first = np.ceil(place - reach).astype(np.int64)
    at = first[:, None] + np.arange(math.floor(2 * reach) + 1)
    weight = np.maximum(1 - np.abs(place[:, None] - at) / reach, 0)
    weight[(at < held[0]) | (at >= held[1])] = 0
    out: NDArray[np.float32] = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    return first - held[0], out


@kernel
def _along_rows(voxels: AnyArray, first: AnyArray, weights: AnyArray, out: AnyArray) -> None:
    for i in range(voxels.shape[0]):
        for j in range(len(first)):
            total = np.float32(0)
            for k in range(weights.shape[1]):
                weight = weights[j, k]
                if weight != 0:
                    total += weight * voxels[i, first[j] + k]
            out[i, j] = total


@kernel
def _across_rows(voxels: AnyArray, first: AnyArray, weights: AnyArray, out: AnyArray) -> None:
    for i in range(voxels.shape[0]):
        for j in range(len(first)):
            for k in range(weights.shape[1]):
                weight = weights[j, k]
                if weight != 0:
                    row, made = voxels[i, first[j] + k], out[i, j]
                    for x in range(len(row)):
                        made[x] += weight * row[x]
