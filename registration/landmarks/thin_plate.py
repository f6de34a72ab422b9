"""The thin-plate spline of three dimensions: the map that takes points to points and bends least between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from registration.landmarks.thin_plate_inverse import ThinPlateInverse, blocks, newton
from volumes.errors import TransformError
from volumes.shapes import Points
from volumes.transform import Affine, Composite, Transform

MOST_POINTS = 2000
"""More landmarks than this are refused: the equations fill a square matrix of their number."""
COPLANAR = 1e-3
"""Points whose least extent is below this share of their largest count as lying in a plane."""
_SINGULAR, _AT_CENTRE = 1e-9, 1e-9
_MISSED = 1e-6

Solved: TypeAlias = Float64[np.ndarray, "n n"]
"""From moving points to the coefficients of the spline through them."""


@dataclass(frozen=True, eq=False)
class ThinPlateSpline:
    """``f(x) = A x + b + Σ cᵢ |x − pᵢ|``; a :class:`~volumes.transform.Transform`, in world (z, y, x) µm.

    Of all maps with given values at the pᵢ it has the least bending energy, the integral of the squared second
    derivatives. In three dimensions its kernel is U(r) = r, and the side conditions Σ cᵢ = 0 and Σ cᵢ pᵢᵀ = 0 make it
    run out into its affine part (Duchon 1977, *Splines minimizing rotation-invariant semi-norms*; Bookstein 1989,
    *Principal warps*, for the plane). Nothing keeps it from folding: see :meth:`jacobian`.

    Parameters
    ----------
    centres_um : pᵢ, (n, 3).
    coefficients : cᵢ, (n, 3), without a unit.
    affine : A and b.
    """

    centres_um: Points
    coefficients: Points
    affine: Affine

    @classmethod
    def through(
        cls, fixed_um: Points, moving_um: Points, smoothing: float = 0.0, weights: NDArray[np.float64] | None = None
    ) -> ThinPlateSpline:
        """The spline from fixed to moving points.

        Parameters
        ----------
        fixed_um, moving_um : (n, 3) each, at least 4 of them and not in one plane.
        smoothing : λ in µm. 0 passes through every moving point; more bends less and misses them, towards the affine
            map of least squares. It stands on the diagonal, ``K + λ W⁻¹`` with K = −|pᵢ − pⱼ| (Wahba 1990).
        weights : wᵢ of the points, where λ is above 0; 1 each when left out.

        Raises
        ------
        TransformError : too few points, too many, two at one place, or all in one plane.
        """
        inverse, polynomial = solve(fixed_um, smoothing, weights)
        middle, spread = _frame(fixed_um)
        c, d = inverse @ moving_um, polynomial @ moving_um
        matrix = np.eye(4)
        matrix[:3, :3] = d[1:].T / spread
        matrix[:3, 3] = d[0] - matrix[:3, :3] @ middle
        out = cls(fixed_um.copy(), -c / spread, Affine(matrix))
        if smoothing == 0:
            _require_hit(out, fixed_um, moving_um)
        return out

    def __call__(self, points: ArrayLike) -> Points:
        """Moving points (n, 3) of fixed points (n, 3)."""
        given = np.asarray(points, dtype=np.float64)
        out = self.affine(given)
        for part in blocks(len(given), len(self.centres_um)):
            out[part] += cdist(given[part], self.centres_um) @ self.coefficients
        return out

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((self, other))

    def inverse(self) -> ThinPlateInverse:
        """The map back, found point by point when it is asked for."""
        return ThinPlateInverse(self)

    def jacobian(self, points: ArrayLike) -> Float64[np.ndarray, "n 3 3"]:
        """``∂f/∂x`` at points (n, 3): row a, column b is the change of component a along b.

        At a centre itself the spline has a kink, and the centre's own term counts 0: see :meth:`kinks`.
        """
        given, (middle, spread) = np.asarray(points, dtype=np.float64), _frame(self.centres_um)
        centres = self.centres_um - middle
        # Σ c (x − p)ᵀ / r, as (Σ c / r) xᵀ − Σ (c pᵀ) / r: two products instead of an array of all differences.
        outer = (self.coefficients[:, :, None] * centres[:, None, :]).reshape(-1, 9)
        out = np.empty((len(given), 3, 3))
        for part in blocks(len(given), len(centres)):
            at = given[part] - middle
            length = cdist(at, centres)
            near = np.divide(1.0, length, out=np.zeros_like(length), where=length > _AT_CENTRE * spread)
            out[part] = (near @ self.coefficients)[:, :, None] * at[:, None, :]
            out[part] -= (near @ outer).reshape(-1, 3, 3)
        out += self.affine.matrix[:3, :3]
        return out

    def kinks(self) -> Float64[np.ndarray, " n"]:
        """The least determinant of the Jacobian next to each centre; 0 or less where the spline folds there.

        Towards direction n the Jacobian at a centre tends to ``J + c nᵀ`` with the determinant
        ``det J · (1 + nᵀ J⁻¹ c)``, least for n against ``J⁻¹ c``.
        """
        smooth = self.jacobian(self.centres_um)
        size, step = np.linalg.det(smooth), newton(smooth, self.coefficients)
        out: NDArray[np.float64] = size - np.abs(size) * np.linalg.norm(step, axis=1)
        return out


def solve(
    fixed_um: Points, smoothing: float = 0.0, weights: NDArray[np.float64] | None = None
) -> tuple[Solved, Float64[np.ndarray, "4 n"]]:
    """H (n, n) and D (4, n): from moving points y the coefficients ``H y`` and the polynomial ``D y``.

    Both are over points centred and divided by their spread, so that the equations do not depend on the unit.

    Raises
    ------
    TransformError : as :meth:`ThinPlateSpline.through`.
    """
    count = len(fixed_um)
    _require_count(count)
    middle, spread = _frame(fixed_um)
    at = (fixed_um - middle) / spread
    extents = np.linalg.svd(at, compute_uv=False)
    if extents[2] <= COPLANAR * extents[0]:
        raise TransformError(
            "must not lie in one plane for a thin-plate spline",
            field="fixed_um",
            value=f"least extent {extents[2] / extents[0]:.2g} of the largest",
            remedy="Add a point outside the plane, or fit model='rigid'",
        )
    apart = cdist(at, at)
    if (apart + np.eye(count)).min() <= _AT_CENTRE:
        raise TransformError("has two points at one place", field="fixed_um", remedy="Leave one of them out")
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = -apart
    system[np.arange(count), np.arange(count)] += smoothing / spread / (1.0 if weights is None else weights)
    system[:count, count] = system[count, :count] = 1
    system[:count, count + 1 :], system[count + 1 :, :count] = at, at.T
    inverse = np.linalg.inv(system)
    return inverse[:count, :count], inverse[count:, :count]


def left_out_misses(solved: Solved, moving_um: Points) -> Float64[np.ndarray, " n"]:
    """How far each moving point lies from where the spline through the others brings it; inf where there is none.

    Without pair i the miss is ``cᵢ / Hᵢᵢ``, c and H of the spline through all (Rippa 1999, *Leave-one-out choice*).
    """
    size = np.abs(np.diag(solved))
    miss = np.linalg.norm(solved @ moving_um, axis=1)
    out: NDArray[np.float64] = np.divide(miss, size, out=np.full(len(size), np.inf), where=size > _SINGULAR)
    return out


def _require_count(count: int) -> None:
    if not 4 <= count <= MOST_POINTS:
        raise TransformError(
            f"a thin-plate spline needs 4 to {MOST_POINTS} points",
            field="fixed_um",
            value=count,
            remedy="Add landmarks" if count < 4 else "Thin the landmarks out, or fit model='affine'",
        )


def _require_hit(spline: ThinPlateSpline, fixed: Points, moving: Points) -> None:
    off = float(np.abs(spline(fixed) - moving).max())
    if not off <= _MISSED * _frame(moving)[1]:
        raise TransformError(
            f"misses its own landmarks by {off:.3g} µm: points lie too close together for their equations",
            field="fixed_um",
            remedy="Remove near-duplicates, or give a smoothing above 0",
        )


def _frame(points: Points) -> tuple[NDArray[np.float64], float]:
    """The middle, and the root mean square distance from it."""
    middle: NDArray[np.float64] = points.mean(axis=0)
    return middle, float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean())) or 1.0
