"""Between files' world, (x, y, z) LPS, and ours: the same axes read backwards, (z, y, x), in µm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np

from volumes.errors import FusetrackError, HeaderError
from volumes.grid import Grid
from volumes.shapes import Matrix4, Shape3, Triple

RAS_TO_LPS = np.diag((-1.0, -1.0, 1.0, 1.0))


def grid_of(shape: Sequence[int], index_to_lps: Matrix4, um: float, file: Path) -> Grid:
    """The grid whose index (x, y, z) a file maps to world (x, y, z) LPS.

    Parameters
    ----------
    shape : voxels along (z, y, x).
    index_to_lps : homogeneous 4×4, in the file's unit.
    um : µm in one of the file's unit.
    file : for the error.

    Raises
    ------
    HeaderError : the matrix is not finite, singular or sheared.
    """
    matrix = reversed_axes(index_to_lps) * um
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or (spacing == 0).any():
        raise HeaderError(
            "has a spacing that is zero or not finite",
            file=file,
            field="affine",
            value=np.asarray(index_to_lps)[:3].tolist(),
            remedy="Mend the header's voxel size",
        )
    direction = matrix[:3, :3] / spacing
    rows = cast(tuple[Triple, Triple, Triple], tuple(tuple(row) for row in direction))
    with in_file(file):
        return Grid(cast(Shape3, tuple(shape)), triple(spacing), triple(matrix[:3, 3]), rows)


def lps_of(grid: Grid, um: float) -> Matrix4:
    """Index (x, y, z) → world (x, y, z) LPS of a grid, in a unit of ``um`` µm."""
    matrix = grid.matrix
    matrix[:3] /= um
    return reversed_axes(matrix)


def reversed_axes(matrix: Matrix4) -> Matrix4:
    """A homogeneous 4×4 matrix over (x, y, z) as one over (z, y, x), or back."""
    order = (2, 1, 0, 3)
    return np.array(matrix, dtype=np.float64)[np.ix_(order, order)]


def triple(values: Sequence[float] | np.ndarray) -> Triple:
    """Three floats as a tuple."""
    first, second, third = (float(v) for v in values)
    return first, second, third


@contextmanager
def in_file(file: Path) -> Iterator[None]:
    """Adds the file's name to a typed error that does not know it yet."""
    try:
        yield
    except FusetrackError as error:
        if error.file is not None:
            raise
        raise type(error)(
            error.problem, file=file, field=error.field, value=error.value, remedy=error.remedy
        ) from error
