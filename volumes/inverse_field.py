"""The way back through a displacement field, point by point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from volumes.errors import TransformError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Points
from volumes.transform import Composite, Transform
from volumes.trilinear import determinant, index_of, is_inside, split, world_to_index

if TYPE_CHECKING:
    from volumes.displacement import DisplacementField

TOLERANCE_UM = 1e-6
"""How near to the point asked for the inverse must come."""
_STEPS = 100
_HALVINGS = 12
_SINGULAR = 1e-9
_FOUND, _TORN, _FOLDED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class InverseField:
    """The inverse of a displacement field: for each ``y`` an ``x`` with ``|x + u(x) − y|`` within a tolerance.

    Newton's method on the trilinear pieces, each step halved until it comes nearer. A solution inside the field is
    taken before the one outside (``x = y``), should a point have both.

    Parameters
    ----------
    field : what is inverted.
    tolerance_um : how near is near enough.

    Raises
    ------
    TransformError : a tolerance that is not above 0.
    """

    field: DisplacementField
    tolerance_um: float = TOLERANCE_UM

    def __post_init__(self) -> None:
        if not 0 < self.tolerance_um < np.inf:
            raise TransformError("must be finite and above 0", field="tolerance_um", value=self.tolerance_um)

    def __call__(self, points: ArrayLike) -> Points:
        """Fixed points (n, 3) of moved points (n, 3).

        Raises
        ------
        TransformError : points that no point of the field is moved to, or where it folds.
        """
        wanted = np.array(points, dtype=np.float64, order="C")
        found, state = np.empty_like(wanted), np.empty(len(wanted), np.int8)
        matrix = world_to_index(self.field.grid)
        _inverse_kernel(self.field.displacements_um, matrix, wanted, self.tolerance_um, found, state)
        torn, folded = int((state == _TORN).sum()), int((state == _FOLDED).sum())
        if torn or folded:
            raise TransformError(
                f"has no inverse at {torn + folded} of {len(wanted)} points: {folded} where it folds or no solution "
                f"comes within {self.tolerance_um} µm, {torn} in the gap that opens at the field's border",
                field="displacements_um",
                value=wanted[state != _FOUND][0].tolist(),
                remedy="Smooth the field" if folded else "Use tapered, which closes the gap",
            )
        return found

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((self, other))

    def inverse(self) -> DisplacementField:
        """The field itself."""
        return self.field


@kernel
def _evaluate(field: AnyArray, matrix: AnyArray, at: AnyArray, moved: AnyArray, jacobian: AnyArray) -> bool:
    """The map with the field's border held constant for ever, its Jacobian, and whether ``at`` lies in the field."""
    nz, ny, nx = field.shape[0], field.shape[1], field.shape[2]
    z, y, x = index_of(matrix, at[0], at[1], at[2])
    i, i1, fz = split(z, nz)
    j, j1, fy = split(y, ny)
    k, k1, fx = split(x, nx)
    for a in range(3):
        value, by_z, by_y, by_x = 0.0, 0.0, 0.0, 0.0
        for corner in range(8):
            p, q, r = corner >> 2, (corner >> 1) & 1, corner & 1
            u = field[i1 if p else i, j1 if q else j, k1 if r else k, a]
            wz, wy, wx = fz if p else 1 - fz, fy if q else 1 - fy, fx if r else 1 - fx
            value += wz * wy * wx * u
            by_z += (2 * p - 1) * wy * wx * u
            by_y += (2 * q - 1) * wz * wx * u
            by_x += (2 * r - 1) * wz * wy * u
        moved[a] = at[a] + value
        for b in range(3):
            jacobian[a, b] = by_z * matrix[0, b] + by_y * matrix[1, b] + by_x * matrix[2, b]
        jacobian[a, a] += 1.0
    return bool(is_inside(z, y, x, nz, ny, nx))


@kernel
def _remaining(wanted: AnyArray, moved: AnyArray, rest: AnyArray) -> float:
    """``rest = wanted − moved``, and its length."""
    length = 0.0
    for a in range(3):
        rest[a] = wanted[a] - moved[a]
        length += rest[a] * rest[a]
    return float(np.sqrt(length))


@kernel
def _newton(jacobian: AnyArray, rest: AnyArray, swapped: AnyArray, step: AnyArray) -> None:
    """``J step = rest`` by Cramer's rule; where J is singular the plain step of the fixed-point iteration."""
    size = determinant(jacobian)
    for a in range(3):
        for b in range(3):
            for c in range(3):
                swapped[b, c] = rest[b] if c == a else jacobian[b, c]
        step[a] = determinant(swapped) / size if abs(size) > _SINGULAR else rest[a]


@kernel
def _solve(
    field: AnyArray, matrix: AnyArray, wanted: AnyArray, tolerance: float, at: AnyArray, scratch: AnyArray
) -> tuple[bool, bool]:
    """Brings ``at`` to the solution: whether it came there, and whether that lies in the field.

    ``scratch`` is (11, 3); its first three rows are the Jacobian where the search ended.
    """
    jacobian, swapped = scratch[:3], scratch[3:6]
    rest, left, step, trial, moved = scratch[6], scratch[7], scratch[8], scratch[9], scratch[10]
    for a in range(3):
        at[a] = wanted[a]
    within = _evaluate(field, matrix, at, moved, jacobian)
    error = _remaining(wanted, moved, rest)
    for _ in range(_STEPS):
        if error <= tolerance:
            return True, within
        _newton(jacobian, rest, swapped, step)
        nearer = error
        for halving in range(_HALVINGS + 1):
            # The last try is the fixed-point step, which comes nearer wherever u is a contraction.
            for a in range(3):
                trial[a] = at[a] + (step[a] * 0.5**halving if halving < _HALVINGS else rest[a])
            within = _evaluate(field, matrix, trial, moved, jacobian)
            nearer = _remaining(wanted, moved, left)
            if nearer < error:
                break
        if not nearer < error:
            return False, within
        for a in range(3):
            at[a], rest[a] = trial[a], left[a]
        error = nearer
    return error <= tolerance, within


@kernel
def _inverse_kernel(
    field: AnyArray, matrix: AnyArray, wanted: AnyArray, tolerance: float, found: AnyArray, state: AnyArray
) -> None:
    scratch = np.empty((11, 3), np.float64)
    for n in range(wanted.shape[0]):
        arrived, within = _solve(field, matrix, wanted[n], tolerance, found[n], scratch)
        if arrived and within:
            state[n] = _FOUND if determinant(scratch[:3]) > 0 else _FOLDED
            continue
        z, y, x = index_of(matrix, wanted[n, 0], wanted[n, 1], wanted[n, 2])
        if is_inside(z, y, x, field.shape[0], field.shape[1], field.shape[2]):
            state[n] = _TORN if arrived else _FOLDED
        else:
            for a in range(3):
                found[n, a] = wanted[n, a]
            state[n] = _FOUND
