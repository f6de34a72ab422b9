"""Trilinear interpolation of vectors on a grid, and what else their kernels share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from volumes.grid import Grid
from volumes.jit import inlined
from volumes.resample import HALF
from volumes.shapes import AnyArray

Pair: TypeAlias = tuple[int, int]
"""Two neighbouring indices along an axis, or two reaches."""


def world_to_index(grid: Grid) -> NDArray[np.float64]:
    """World µm → index, 3×4."""
    return np.ascontiguousarray(np.linalg.inv(grid.matrix)[:3])


@inlined
def is_inside(z: float, y: float, x: float, nz: int, ny: int, nx: int) -> bool:
    """Whether an index lies in the field, half a voxel past the outermost centres included; NaN does not."""
    return -HALF <= z <= nz - 1 + HALF and -HALF <= y <= ny - 1 + HALF and -HALF <= x <= nx - 1 + HALF


@inlined
def index_of(matrix: AnyArray, z: float, y: float, x: float) -> tuple[float, float, float]:
    """A point through a 3×4 matrix."""
    i = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + matrix[0, 3]
    j = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + matrix[1, 3]
    k = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + matrix[2, 3]
    return i, j, k


@inlined
def split(c: float, n: int) -> tuple[int, int, float]:
    """The two neighbours along an axis and the share of the second; outside of the grid twice the outermost one."""
    if not c >= 0:
        return 0, 0, 0.0
    if c >= n - 1:
        return n - 1, n - 1, 0.0
    return int(c), int(c) + 1, c - int(c)


@inlined
def determinant(m: AnyArray) -> float:
    """Of a 3×3 matrix."""
    first = m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
    second = m[0, 1] * (m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2])
    return float(first + second + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]))
