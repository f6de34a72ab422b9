"""Maps that are known at the voxels of a grid alone: displacements in µm, interpolated between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from volumes.errors import ContentError, GridError, TransformError
from volumes.grid import Grid
from volumes.inverse_field import InverseField
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Points, Shape3
from volumes.transform import Composite, Transform
from volumes.trilinear import Pair, determinant, index_of, is_inside, split, world_to_index


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """``x ↦ x + u(x)``, ``u`` trilinear between the voxels of a grid; a :class:`~volumes.transform.Transform`.

    As in ITK, the field reaches half a voxel past the outermost centres, held constant there, and beyond it points stay
    where they are. The map therefore jumps at its border wherever the displacement there is not 0; :meth:`tapered`
    gives one that does not.

    Parameters
    ----------
    displacements_um : u at each voxel, (Z, Y, X, 3), along the world's (z, y, x), float32 or float64 (all else becomes
        float64); made read-only.
    grid : where the voxels lie.

    Raises
    ------
    GridError : displacements of another shape than (Z, Y, X, 3).
    ContentError : displacements that are not finite numbers.
    """

    displacements_um: Float[np.ndarray, "z y x 3"]
    grid: Grid

    def __post_init__(self) -> None:
        given = np.asarray(self.displacements_um)
        if given.shape != (*self.grid.shape, 3):
            raise GridError(
                "needs three displacements (z, y, x) for each voxel",
                field="displacements_um",
                value=given.shape,
                remedy=f"The grid has {self.grid.shape}",
            )
        if given.dtype.kind not in "iuf" or not np.isfinite(given).all():
            raise ContentError(
                "must be finite numbers",
                field="displacements_um",
                value=f"{given.dtype}, {_bad(given)} not finite",
                remedy="Mend the field, or put 0 where it is unknown",
            )
        kind = np.float32 if given.dtype == np.float32 else np.float64
        view = np.ascontiguousarray(given, dtype=kind).view()
        view.flags.writeable = False
        object.__setattr__(self, "displacements_um", view)

    @classmethod
    def of(cls, transform: Transform, grid: Grid) -> DisplacementField:
        """Any transform, sampled at the voxels of a grid, float64; between them it is only as good as their spacing.

        Raises
        ------
        TransformError : it gives points that are not finite.
        """
        out = np.empty((*grid.shape, 3))
        rows = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape[1:]), indexing="ij"), -1).reshape(-1, 2)
        for z in range(grid.shape[0]):
            points = grid.to_world(np.column_stack([np.full(len(rows), z), rows]))
            out[z] = (transform(points) - points).reshape(*grid.shape[1:], 3)
            if not np.isfinite(out[z]).all():
                raise TransformError("gives points that are not finite", field="transform", value=f"plane z = {z}")
        return cls(out, grid)

    def __call__(self, points: ArrayLike) -> Points:
        """Moved points (n, 3) of points (n, 3); those outside the field stay."""
        moved = np.array(points, dtype=np.float64, order="C")
        _move_kernel(self.displacements_um, world_to_index(self.grid), moved)
        return moved

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((self, other))

    def inverse(self) -> InverseField:
        """The map back, found point by point when it is asked for."""
        return InverseField(self)

    def tapered(self, margin: int) -> DisplacementField:
        """The same field on a grid wider by ``margin`` voxels on each side, over which it falls off to 0 linearly.

        Such a map is continuous everywhere, so that every point has an inverse, as long as it folds nowhere: the margin
        must be several times as wide as the displacement at the border.

        Raises
        ------
        GridError : a margin below 1.
        """
        if margin < 1:
            raise GridError("must be at least 1", field="margin", value=margin)
        wide = np.pad(self.displacements_um, [(margin, margin)] * 3 + [(0, 0)], mode="linear_ramp")
        origin = self.grid.to_world([[-margin] * 3])[0].tolist()
        return DisplacementField(
            wide, Grid(_wider(self.grid.shape, margin), self.grid.spacing_um, origin, self.grid.direction)
        )

    def jacobian(self) -> Float64[np.ndarray, "z y x"]:
        """``det ∂(x + u)/∂x`` at each voxel by central differences, one-sided at the border: local change of volume."""
        return self._determinants((1, 1), (1, 1), (1, 1))

    def folded_fraction(self) -> float:
        """Share of voxels at which the interpolated map turns space inside out.

        A trilinear map has eight Jacobians at a voxel, one towards each of the cells around it; one determinant of 0 or
        less among them is a fold. Central differences would miss folds of the width of a voxel.
        """
        folded = np.zeros(self.grid.shape, bool)
        for sides in product([(0, 1), (1, 0)], repeat=3):
            folded |= self._determinants(*sides) <= 0
        return float(folded.mean())

    def _determinants(self, z: Pair, y: Pair, x: Pair) -> Float64[np.ndarray, "z y x"]:
        """With differences reaching so many voxels back and ahead along each axis."""
        out = np.empty(self.grid.shape)
        _determinant_kernel(self.displacements_um, world_to_index(self.grid), np.asarray([z, y, x]), out)
        return out


def _bad(array: AnyArray) -> int:
    return int((~np.isfinite(array)).sum()) if array.dtype.kind in "iufc" else array.size


def _wider(shape: Shape3, margin: int) -> Shape3:
    z, y, x = (n + 2 * margin for n in shape)
    return z, y, x


@inlined
def _planar(field: AnyArray, i: int, y: Pair, x: Pair, fy: float, fx: float, a: int) -> float:
    """Bilinear value in one plane between neighbours y and x, of one component."""
    low = field[i, y[0], x[0], a] * (1 - fx) + field[i, y[0], x[1], a] * fx
    high = field[i, y[1], x[0], a] * (1 - fx) + field[i, y[1], x[1], a] * fx
    return float(low * (1 - fy) + high * fy)


@kernel
def _move_kernel(field: AnyArray, matrix: AnyArray, points: AnyArray) -> None:
    nz, ny, nx = field.shape[0], field.shape[1], field.shape[2]
    for n in range(points.shape[0]):
        z, y, x = index_of(matrix, points[n, 0], points[n, 1], points[n, 2])
        if not is_inside(z, y, x, nz, ny, nx):
            continue
        i, i1, fz = split(z, nz)
        j, j1, fy = split(y, ny)
        k, k1, fx = split(x, nx)
        for a in range(3):
            low = _planar(field, i, (j, j1), (k, k1), fy, fx, a)
            high = _planar(field, i1, (j, j1), (k, k1), fy, fx, a)
            points[n, a] += low * (1 - fz) + high * fz


@kernel
def _determinant_kernel(field: AnyArray, matrix: AnyArray, reach: AnyArray, out: AnyArray) -> None:
    """``reach``: voxels back and ahead along each axis, (3, 2), cut at the border; no room, no change."""
    jacobian = np.empty((3, 3), np.float64)
    low, high, by = np.zeros(3, np.int64), np.zeros(3, np.int64), np.empty(3, np.float64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for a, c in enumerate((i, j, k)):
                    low[a], high[a] = max(c - reach[a, 0], 0), min(c + reach[a, 1], out.shape[a] - 1)
                for a in range(3):
                    by[0] = (field[high[0], j, k, a] - field[low[0], j, k, a]) / max(high[0] - low[0], 1)
                    by[1] = (field[i, high[1], k, a] - field[i, low[1], k, a]) / max(high[1] - low[1], 1)
                    by[2] = (field[i, j, high[2], a] - field[i, j, low[2], a]) / max(high[2] - low[2], 1)
                    for b in range(3):
                        jacobian[a, b] = by[0] * matrix[0, b] + by[1] * matrix[1, b] + by[2] * matrix[2, b]
                    jacobian[a, a] += 1.0
                out[i, j, k] = determinant(jacobian)
