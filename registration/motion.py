"""Refine a rigid transform: climb the similarity from a start by its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import fmin_l_bfgs_b
from scipy.spatial.transform import Rotation

from registration.similarity import Similarity
from volumes.shapes import Matrix3, Matrix4

Six = Float64[np.ndarray, " 6"]
Allowed = Callable[[Matrix4, float], bool]
"""Whether a 4×4 transform with this share of the samples inside the moving field may be."""
EPSILON = float(np.finfo(np.float64).eps)


def _cross(v: Float64[np.ndarray, " 3"]) -> Matrix3:
    """[v]ₓ, so that [v]ₓ w = v × w."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


_AXES = np.stack([_cross(axis) for axis in np.eye(3)])


@dataclass(frozen=True)
class Candidate:
    """A transform with its similarity (NMI), its overlap, and how many evaluations it took."""

    matrix: Matrix4
    similarity: float
    overlap: float
    evaluations: int = 0


@dataclass(frozen=True)
class RigidMotion:
    """Rigid transforms around a start, by six numbers that are all lengths.

    x ↦ exp(ω/ρ) R₀ (x − c) + t₀ + c + τ with (ω, τ) = unit · parameters: a step of 1 in any of them moves the
    specimen's rim by about one unit.

    Parameters
    ----------
    start : the 4×4 matrix at parameters 0.
    centre_um : c, which the rotation leaves in place.
    radius_um : ρ, half the size of the specimen.
    unit_um : what a parameter of 1 means; the voxel of the resolution at hand.
    """

    start: Matrix4
    centre_um: Float64[np.ndarray, " 3"]
    radius_um: float
    unit_um: float

    def matrix(self, parameters: Six) -> Matrix4:
        """The 4×4 transform in µm."""
        turn = Rotation.from_rotvec(parameters[:3] * self.unit_um / self.radius_um).as_matrix()
        out = np.eye(4)
        out[:3, :3] = turn @ self.start[:3, :3]
        target = self.start[:3, :3] @ self.centre_um + self.start[:3, 3] + parameters[3:] * self.unit_um
        out[:3, 3] = target - out[:3, :3] @ self.centre_um
        return out

    def slope(self, parameters: Six, by_matrix: Float64[np.ndarray, "3 4"]) -> Six:
        """The derivative by the parameters, of a function whose derivative by the matrix's upper rows is given.

        With b = target − A c, a change dA of the linear part changes f by ⟨G_A − G_b cᵀ, dA⟩.
        """
        about_centre = by_matrix[:, :3] - np.outer(by_matrix[:, 3], self.centre_um)
        turns = rotation_slopes(parameters[:3] * self.unit_um / self.radius_um) @ self.start[:3, :3]
        turning = (turns * about_centre).sum(axis=(1, 2)) * self.unit_um / self.radius_um
        return np.concatenate([turning, by_matrix[:, 3] * self.unit_um])


def rotation_slopes(vector: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "3 3 3"]:
    """∂R/∂vᵢ of the rotation R of a rotation vector v, i first.

    Gallego & Yezzi 2015, "A compact formula for the derivative of a 3-D rotation in exponential coordinates", eq. 9:
    ∂R/∂vᵢ = (vᵢ [v]ₓ + [v × (I − R) eᵢ]ₓ) R / |v|², and [eᵢ]ₓ at v = 0.
    """
    square = float(vector @ vector)
    turn = Rotation.from_rotvec(vector).as_matrix()
    if square < 1e-16:
        return _AXES @ turn
    cross = _cross(vector)
    away = cross @ (np.eye(3) - turn)
    return np.stack([(vector[i] * cross + _cross(away[:, i])) @ turn for i in range(3)]) / square


def refine(
    similarity: Similarity, motion: RigidMotion, allowed: Allowed, iterations: int, tolerance: float
) -> Candidate:
    """The best transform that L-BFGS (Byrd et al. 1995) reaches from the start of ``motion``.

    Parameters
    ----------
    similarity : what is climbed.
    motion : the start and the parameters about it.
    allowed : whether a transform may be at all; one that may not counts as no similarity.
    iterations : at most.
    tolerance : NMI; a step that gains less ends the climb.
    """
    tried = 0

    def fall(parameters: Six) -> tuple[float, Six]:
        nonlocal tried
        tried += 1
        matrix = motion.matrix(parameters)
        nmi, overlap, by_matrix = similarity.slope(matrix)
        if not allowed(matrix, overlap):
            return 0.0, np.zeros(6)
        return -nmi, -motion.slope(parameters, by_matrix)

    zero = np.zeros(6)
    found, _, _ = fmin_l_bfgs_b(fall, zero, m=6, factr=tolerance / EPSILON, pgtol=1e-7, maxiter=iterations, maxls=10)
    best = motion.matrix(found if np.isfinite(found).all() else zero)
    value, overlap = similarity.value(best)
    return Candidate(best, value if allowed(best, overlap) else 0.0, overlap, tried + 1)
