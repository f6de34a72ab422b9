"""Between the image's grid and the network's: any factor along each axis, antialiased, and the same in every block.

Voxel j of a grid f times as coarse lies at (j + ½) f − ½ of the fine one. Each new voxel is a mean weighted by a
triangle, of half-width f where the new grid is coarser and 1 where it is finer (linear interpolation); beyond the
volume's faces nothing counts. One small matrix an axis, so a block costs three products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import Shape3, Triple, Voxels

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
    out = voxels.astype(np.float32, copy=False)
    # The axis that shrinks most goes first.
    for axis in sorted(range(3), key=lambda a: (wanted[a][1] - wanted[a][0]) / voxels.shape[a]):
        if factors[axis] == 1 and held[axis] == wanted[axis]:
            continue
        weights = _weights(held[axis], wanted[axis], factors[axis])
        out = np.moveaxis(np.tensordot(weights, out, (1, axis)), 0, axis)
    return np.ascontiguousarray(out)


def _weights(held: Range, wanted: Range, factor: float) -> NDArray[np.float32]:
    """(new, old) along one axis; rows sum to 1."""
    place = (np.arange(*wanted) + 0.5) * factor - 0.5
    # Beyond the last voxel its value goes on.
    place = place.clip(held[0], held[1] - 1)
    away = np.abs(place[:, None] - np.arange(*held)) / max(1.0, factor)
    weight = np.maximum(1 - away, 0)
    out: NDArray[np.float32] = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    return out
