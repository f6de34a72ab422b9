"""Where voxels lie: a shape, a spacing, an origin and a direction, in µm and (z, y, x)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from volumes.errors import HeaderError
from volumes.shapes import Matrix3, Matrix4, Points, Shape3, Triple

SHEAR_LIMIT = 1e-4
"""Largest |DᵀD − I| of a direction matrix that still counts as orthonormal."""

_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels in world space.

    World axes are (z, y, x) = ITK's LPS read backwards, in µm. The origin is the *centre* of voxel (0, 0, 0).
    ``world = origin + direction @ (spacing * index)``; left-handed directions are legal, sheared ones are not.

    Parameters
    ----------
    shape : voxels along (z, y, x).
    spacing_um : µm between voxel centres along the index axes.
    origin_um : world position of voxel (0, 0, 0).
    direction : 3×3, its columns are the index axes in the world.

    Raises
    ------
    HeaderError : a spacing that is zero, negative or not finite; a direction that is singular or sheared.
    """

    shape: Shape3
    spacing_um: Triple
    origin_um: Triple = (0.0, 0.0, 0.0)
    direction: tuple[Triple, Triple, Triple] = _IDENTITY

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.shape))
        object.__setattr__(self, "spacing_um", _spacing(self.spacing_um))
        object.__setattr__(self, "origin_um", _triple(self.origin_um, "origin_um"))
        object.__setattr__(self, "direction", _direction(self.direction))

    @property
    def matrix(self) -> Matrix4:
        """Index (z, y, x) → world (z, y, x) µm, homogeneous 4×4 float64."""
        out = np.eye(4)
        out[:3, :3] = self.axes * np.asarray(self.spacing_um)
        out[:3, 3] = self.origin_um
        return out

    @property
    def axes(self) -> Matrix3:
        """The direction as an array; column i is the world direction of index axis i."""
        return np.asarray(self.direction, dtype=np.float64)

    @property
    def extent_um(self) -> Triple:
        """Field of view along the index axes, whole voxels included."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing_um, strict=True))
        return z, y, x

    @property
    def centre_um(self) -> Points:
        """World position (1, 3) of the middle of the field of view."""
        return self.to_world((np.asarray([self.shape], dtype=np.float64) - 1) / 2)

    @property
    def corners_um(self) -> Points:
        """World positions (8, 3) of the eight corner voxels' centres."""
        ends = [(0.0, n - 1.0) for n in self.shape]
        return self.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))

    @property
    def voxel_um3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_um))

    def to_world(self, index: ArrayLike) -> Points:
        """World (z, y, x) µm, shape (n, 3), of voxel indices (n, 3)."""
        matrix = self.matrix
        world: Points = np.asarray(index, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        return world

    def to_index(self, points_um: ArrayLike) -> Points:
        """Fractional voxel indices (n, 3) of world positions (n, 3) in µm."""
        inverse: Matrix4 = np.linalg.inv(self.matrix)
        index: Points = np.asarray(points_um, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return index

    def is_close(self, other: Grid, tolerance_voxels: float = 1e-3) -> bool:
        """Whether both have one shape and no corner is further off than ``tolerance_voxels``."""
        if self == other:
            return True
        if self.shape != other.shape:
            return False
        off = np.abs(self.corners_um - other.corners_um).max()
        return bool(off <= tolerance_voxels * min(self.spacing_um))

    def with_spacing(self, spacing_um: Sequence[float]) -> Grid:
        """A grid of other spacing over the same field of view (at least one voxel along each axis)."""
        new = np.asarray(_spacing(spacing_um))
        shape = np.maximum(1, np.rint(np.asarray(self.extent_um) / new)).astype(int)
        first = (np.asarray(self.extent_um) / shape - np.asarray(self.spacing_um)) / 2
        exact = np.asarray(self.extent_um) / shape
        origin = np.asarray(self.origin_um) + self.axes @ first
        return Grid(tuple(shape), tuple(exact), tuple(origin), self.direction)


def _triple(values: Sequence[float], field: str) -> Triple:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (3,):
        raise HeaderError("needs three values (z, y, x)", field=field, value=values)
    if not np.isfinite(array).all():
        raise HeaderError("is not finite", field=field, value=values, remedy="Mend the header or state it yourself")
    return float(array[0]), float(array[1]), float(array[2])


def _shape(values: Sequence[int]) -> Shape3:
    if len(values) != 3 or not all(np.isfinite(n) and int(n) == n and n >= 1 for n in values):
        raise HeaderError("needs three whole numbers of at least 1 (z, y, x)", field="shape", value=tuple(values))
    return int(values[0]), int(values[1]), int(values[2])


def _spacing(values: Sequence[float]) -> Triple:
    spacing = _triple(values, "spacing_um")
    if min(spacing) <= 0:
        raise HeaderError(
            "must be above zero", field="spacing_um", value=spacing, remedy="State the true voxel size in µm"
        )
    return spacing


def _direction(rows: Sequence[Sequence[float]]) -> tuple[Triple, Triple, Triple]:
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise HeaderError("must be a finite 3×3 matrix", field="direction", value=matrix.tolist())
    if np.linalg.matrix_rank(matrix) < 3:
        raise HeaderError("is singular", field="direction", value=matrix.tolist(), remedy="Mend the header's axes")
    shear = float(np.abs(matrix.T @ matrix - np.eye(3)).max())
    if shear > SHEAR_LIMIT:
        raise HeaderError(
            f"is not orthonormal: |DᵀD − I| = {shear:.2g}",
            field="direction",
            value=matrix.tolist(),
            remedy="Resample the sheared volume onto a straight grid first (for CT: undo the gantry tilt)",
        )
    z, y, x = (_triple(row, "direction") for row in matrix)
    return z, y, x
