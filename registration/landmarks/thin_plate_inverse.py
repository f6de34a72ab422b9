"""The way back through a thin-plate spline, point by point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from volumes.errors import TransformError
from volumes.shapes import Points
from volumes.transform import Composite, Transform

if TYPE_CHECKING:
    from registration.landmarks.thin_plate import ThinPlateSpline

TOLERANCE_UM = 1e-6
"""How near to the point asked for the inverse must come."""
_BLOCK = 1 << 20
"""Distances between points and centres that stand in memory together."""
_STEPS, _HALVINGS = 60, 12
_SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class ThinPlateInverse:
    """The inverse of a spline: for each ``y`` an ``x`` with ``|f(x) − y|`` within a tolerance.

    Newton's method, each step halved until it comes nearer; begun from the affine part and, where that does not
    arrive, from the centre whose image is nearest.

    Parameters
    ----------
    spline : what is inverted.
    tolerance_um : how near is near enough.

    Raises
    ------
    TransformError : a tolerance that is not above 0.
    """

    spline: ThinPlateSpline
    tolerance_um: float = TOLERANCE_UM

    def __post_init__(self) -> None:
        if not 0 < self.tolerance_um < np.inf:
            raise TransformError("must be finite and above 0", field="tolerance_um", value=self.tolerance_um)

    def __call__(self, points: ArrayLike) -> Points:
        """Fixed points (n, 3) of moving points (n, 3).

        Raises
        ------
        TransformError : points that nothing is moved to, or where the spline folds.
        """
        wanted = np.array(points, dtype=np.float64)
        found, good = np.empty_like(wanted), np.zeros(len(wanted), bool)
        for part in blocks(len(wanted), len(self.spline.centres_um)):
            found[part], good[part] = self._found(wanted[part])
        if not good.all():
            raise TransformError(
                f"has no inverse at {int((~good).sum())} of {len(wanted)} points: the spline folds there, or no "
                f"solution comes within {self.tolerance_um} µm",
                field="points",
                value=wanted[~good][0].tolist(),
                remedy="Check the pairs for a mismatch, or give a smoothing above 0",
            )
        return found

    def __matmul__(self, other: Transform) -> Composite:
        return Composite((self, other))

    def inverse(self) -> ThinPlateSpline:
        """The spline itself."""
        return self.spline

    def _found(self, wanted: Points) -> tuple[Points, NDArray[np.bool_]]:
        spline = self.spline
        found, good = self._climb(wanted, spline.affine.inverse()(wanted))
        again = np.flatnonzero(~good & np.isfinite(wanted).all(axis=1))
        if len(again):
            near = cdist(wanted[again], spline(spline.centres_um)).argmin(axis=1)
            found[again], good[again] = self._climb(wanted[again], spline.centres_um[near])
        return found, good

    def _climb(self, wanted: Points, start: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where each search ended, and whether it arrived where space is not turned inside out."""
        at = start.copy()
        rest = wanted - self.spline(at)
        alive = np.isfinite(rest).all(axis=1)
        for _ in range(_STEPS):
            (going,) = np.nonzero(alive & ~(np.linalg.norm(rest, axis=1) <= self.tolerance_um))
            if not len(going):
                break
            step = newton(self.spline.jacobian(at[going]), rest[going])
            alive[going] = self._step(wanted, at, rest, going, step)
        arrived = np.linalg.norm(rest, axis=1) <= self.tolerance_um
        arrived[arrived] = np.linalg.det(self.spline.jacobian(at[arrived])) > 0
        return at, arrived

    def _step(
        self, wanted: Points, at: Points, rest: Points, going: NDArray[np.intp], step: Points
    ) -> NDArray[np.bool_]:
        """Moves ``at`` and ``rest`` of the points that are going; whether each came nearer."""
        nearer = np.zeros(len(going), bool)
        for halving in range(_HALVINGS):
            (left,) = np.nonzero(~nearer)
            if not len(left):
                break
            trial = at[going[left]] + step[left] * 0.5**halving
            remains = wanted[going[left]] - self.spline(trial)
            better = np.linalg.norm(remains, axis=1) < np.linalg.norm(rest[going[left]], axis=1)
            moved = going[left[better]]
            at[moved], rest[moved], nearer[left[better]] = trial[better], remains[better], True
        return nearer


def newton(jacobian: Float64[np.ndarray, "n 3 3"], rest: Points) -> Points:
    """``J step = rest``; where J is singular the plain step of the fixed-point iteration."""
    singular = ~(np.abs(np.linalg.det(jacobian)) > _SINGULAR)
    safe = np.where(singular[:, None, None], np.eye(3), jacobian)
    step: Points = np.linalg.solve(safe, rest[..., None])[..., 0]
    return step


def blocks(points: int, each: int) -> Iterator[slice]:
    """Runs of points of whose ``each`` values no more than a block stand in memory together."""
    size = max(1, _BLOCK // max(each, 1))
    return (slice(first, min(first + size, points)) for first in range(0, points, size))
