"""Linear maps of least squares between paired points, in closed form, many at a time from their moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from volumes.shapes import Points

LinearModel: TypeAlias = Literal["rigid", "similarity", "affine"]
Model: TypeAlias = Literal["rigid", "similarity", "affine", "thin_plate"]
FREEDOM = {"rigid": 6, "similarity": 7, "affine": 12, "thin_plate": 12}
"""Parameters of each model; of the thin plate those that its landmarks do not bend."""
LEAST_POINTS = {"rigid": 3, "similarity": 3, "affine": 4, "thin_plate": 4}

Many3: TypeAlias = Float64[np.ndarray, "m 3"]
Many33: TypeAlias = Float64[np.ndarray, "m 3 3"]
Weights: TypeAlias = Float64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Landmarks seen in two volumes.

    Parameters
    ----------
    names : of the pairs, n.
    fixed_um, moving_um : (n, 3) each, world (z, y, x) µm.
    weights : of the pairs; they sum to 1.
    """

    names: tuple[str, ...]
    fixed_um: Points
    moving_um: Points
    weights: Weights

    @property
    def spread_um(self) -> float:
        """The smaller of both sets' root mean square distances from their middle."""
        return min(spread_um(self.fixed_um), spread_um(self.moving_um))


@dataclass(frozen=True)
class Moments:
    """Weighted means and covariances of m sets of pairs.

    Parameters
    ----------
    fixed_um, moving_um : means, (m, 3).
    fixed, moving : covariances, (m, 3, 3).
    cross : of moving (rows) with fixed (columns), (m, 3, 3).
    """

    fixed_um: Many3
    moving_um: Many3
    fixed: Many33
    moving: Many33
    cross: Many33


def spread_um(points: Points) -> float:
    """Root mean square distance of points (n, 3) from their middle."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def moments(fixed_um: Points, moving_um: Points, weights: Weights) -> Moments:
    """Of all pairs, as one set; the weights sum to 1."""
    f, m = weights @ fixed_um, weights @ moving_um
    a, b = fixed_um - f, moving_um - m
    wa, wb = a * weights[:, None], b * weights[:, None]
    return Moments(f[None], m[None], (wa.T @ a)[None], (wb.T @ b)[None], (wb.T @ a)[None])


def moments_without_each(fixed_um: Points, moving_um: Points, weights: Weights) -> Moments:
    """Of n sets, the i-th without pair i."""
    whole = moments(fixed_um, moving_um, weights)
    a, b = fixed_um - whole.fixed_um, moving_um - whole.moving_um
    rest = (1 - weights)[:, None]
    off_a, off_b = -a * weights[:, None] / rest, -b * weights[:, None] / rest

    def without(total: Many33, u: Points, v: Points, off_u: Points, off_v: Points) -> Many33:
        taken = weights[:, None, None] * u[:, :, None] * v[:, None, :]
        out: Many33 = (total - taken) / rest[:, :, None] - off_u[:, :, None] * off_v[:, None, :]
        return out

    return Moments(
        whole.fixed_um + off_a,
        whole.moving_um + off_b,
        without(whole.fixed, a, a, off_a, off_a),
        without(whole.moving, b, b, off_b, off_b),
        without(whole.cross, b, a, off_b, off_a),
    )


def fitted(model: LinearModel, given: Moments, mirrored: bool = False) -> Float64[np.ndarray, "m 4 4"]:
    """The matrix of least squares of each set: fixed → moving.

    Rigid and similarity by the singular values of the cross-covariance (Kabsch 1976; Umeyama 1991, who keeps the
    determinant at +1, so that no fit is a mirror image); affine by the normal equations.

    Parameters
    ----------
    model : which.
    given : the sets; each must determine the model (:func:`thinness`).
    mirrored : with the best reflection in place of the best rotation, to see whether that fits better.
    """
    linear = given.cross @ np.linalg.inv(given.fixed) if model == "affine" else _turned(model, given, mirrored)
    out = np.zeros((len(linear), 4, 4))
    out[:, :3, :3], out[:, 3, 3] = linear, 1
    out[:, :3, 3] = given.moving_um - np.einsum("mab,mb->ma", linear, given.fixed_um)
    return out


def thinness(model: Model, covariance: Many33) -> NDArray[np.float64]:
    """(m,): extent of the points along the least axis that the model needs, as a share of their largest.

    A rigid map or a similarity needs points that span a plane, the others points that span space.
    """
    extents = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
    needed = extents[:, 1] if model in ("rigid", "similarity") else extents[:, 0]
    return np.divide(needed, extents[:, 2], out=np.zeros_like(needed), where=extents[:, 2] > 0)


def misses(matrices: Float64[np.ndarray, "m 4 4"], fixed_um: Points, moving_um: Points) -> NDArray[np.float64]:
    """(n,): µm by which each matrix, or the one for all, misses the moving point of each pair."""
    moved = np.einsum("nab,nb->na", np.broadcast_to(matrices[:, :3, :3], (len(fixed_um), 3, 3)), fixed_um)
    out: NDArray[np.float64] = np.linalg.norm(moved + matrices[:, :3, 3] - moving_um, axis=1)
    return out


def leverage(model: LinearModel, moved_um: Points, weights: Weights, targets_um: Points) -> NDArray[np.float64]:
    """(t,): expected squared error at targets by the landmarks' variance along one axis, to first order.

    ``tr J (Σ wᵢ Jᵢᵀ Jᵢ)⁻¹ Jᵀ``, J the change of a point with the parameters. For rigid maps that is the formula of
    Fitzpatrick, West & Maurer 1998, *Predicting error in rigid-body point-based registration*.

    Parameters
    ----------
    model : which.
    moved_um, targets_um : both after the map, in moving space.
    weights : one over the variance of each landmark, relative.
    """
    middle = np.average(moved_um, axis=0, weights=weights)
    spread = float(np.linalg.norm(moved_um - middle, axis=1).mean())
    j = _changes(model, (moved_um - middle) / spread)
    information = np.einsum("n,nap,naq->pq", weights, j, j)
    t = _changes(model, (targets_um - middle) / spread)
    solved = np.linalg.solve(information, t.reshape(-1, t.shape[-1]).T)
    out: NDArray[np.float64] = np.einsum("tap,pta->t", t, solved.reshape(-1, *t.shape[:2]))
    return out


def _turned(model: LinearModel, given: Moments, mirrored: bool) -> Many33:
    """The rotation of each set, or its best reflection, times the scale where the model has one."""
    u, s, vt = np.linalg.svd(given.cross)
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0) * (-1 if mirrored else 1)
    u[:, :, 2] *= sign[:, None]
    out: Many33 = u @ vt
    if model == "similarity":
        scale = (s[:, 0] + s[:, 1] + sign * s[:, 2]) / np.trace(given.fixed, axis1=1, axis2=2)
        out *= scale[:, None, None]
    return out


def _changes(model: LinearModel, points: Points) -> Float64[np.ndarray, "n 3 p"]:
    """How a point, measured from the landmarks' middle, changes with each parameter."""
    shift = np.broadcast_to(np.eye(3), (len(points), 3, 3))
    if model == "affine":
        return np.concatenate([shift, np.einsum("ab,nc->nabc", np.eye(3), points).reshape(-1, 3, 9)], axis=2)
    turn = np.stack([np.cross(axis, points) for axis in np.eye(3)], axis=2)
    parts = [shift, turn] if model == "rigid" else [shift, turn, points[:, :, None]]
    return np.concatenate(parts, axis=2)
