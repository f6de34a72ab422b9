"""Refine a linear transform: its parameters, the derivative by them, and the climb of the similarity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float64
from scipy.optimize import fmin_l_bfgs_b
from scipy.spatial.transform import Rotation

from registration.linear.similarity import Similarity
from volumes.shapes import Matrix3, Matrix4

Parameters = Float64[np.ndarray, " p"]
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


class Motion(Protocol):
    """Transforms around a start, by ``size`` numbers that are 0 there and all lengths."""

    size: ClassVar[int]

    def matrix(self, parameters: Parameters) -> Matrix4:
        """The 4×4 transform in µm."""
        ...

    def slope(self, parameters: Parameters, by_matrix: Float64[np.ndarray, "3 4"]) -> Parameters:
        """The derivative by the parameters, of a function whose derivative by the matrix's upper rows is given."""
        ...


@dataclass(frozen=True)
class CentredMotion(ABC):
    """x ↦ A(p) (x − c) + A₀ c + t₀ + τ around the start x ↦ A₀ x + t₀; what A(p) may be, tells the class.

    τ = unit · the last three parameters. A step of 1 in any parameter moves the specimen's rim by about one unit.

    Parameters
    ----------
    start : the 4×4 matrix at parameters 0.
    centre_um : c, which only τ moves.
    radius_um : ρ, half the size of the specimen.
    unit_um : what a parameter of 1 means; the voxel of the resolution at hand.
    """

    size: ClassVar[int]
    start: Matrix4
    centre_um: Float64[np.ndarray, " 3"]
    radius_um: float
    unit_um: float

    @abstractmethod
    def linear(self, shares: Parameters) -> Matrix3:
        """A of the first parameters, given as shares of the radius: parameter · unit / ρ."""

    @abstractmethod
    def linear_slope(self, shares: Parameters, by_linear: Matrix3) -> Parameters:
        """The derivative by those shares, of a function whose derivative by A is given."""

    def matrix(self, parameters: Parameters) -> Matrix4:
        """The 4×4 transform in µm."""
        out = np.eye(4)
        out[:3, :3] = self.linear(parameters[:-3] * self.unit_um / self.radius_um)
        target = self.start[:3, :3] @ self.centre_um + self.start[:3, 3] + parameters[-3:] * self.unit_um
        out[:3, 3] = target - out[:3, :3] @ self.centre_um
        return out

    def slope(self, parameters: Parameters, by_matrix: Float64[np.ndarray, "3 4"]) -> Parameters:
        """The derivative by the parameters, of a function whose derivative by the matrix's upper rows is given.

        With b = target − A c, a change dA of the linear part changes f by ⟨G_A − G_b cᵀ, dA⟩.
        """
        about_centre = by_matrix[:, :3] - np.outer(by_matrix[:, 3], self.centre_um)
        shares = parameters[:-3] * self.unit_um / self.radius_um
        turning = self.linear_slope(shares, about_centre) * self.unit_um / self.radius_um
        return np.concatenate([turning, by_matrix[:, 3] * self.unit_um])


@dataclass(frozen=True)
class RigidMotion(CentredMotion):
    """A = exp[ω/ρ]ₓ A₀ with parameters (ω, τ): whatever stretch the start has, stays."""

    size: ClassVar[int] = 6

    def linear(self, shares: Parameters) -> Matrix3:
        """A of ω/ρ."""
        turned: Matrix3 = Rotation.from_rotvec(shares).as_matrix() @ self.start[:3, :3]
        return turned

    def linear_slope(self, shares: Parameters, by_linear: Matrix3) -> Parameters:
        """The derivative by ω/ρ."""
        turns = rotation_slopes(shares) @ self.start[:3, :3]
        slope: Parameters = (turns * by_linear).sum(axis=(1, 2))
        return slope


@dataclass(frozen=True)
class SimilarityMotion(CentredMotion):
    """A = e^(σ/ρ) exp[ω/ρ]ₓ A₀ with parameters (ω, σ, τ): all lengths grow alike."""

    size: ClassVar[int] = 7

    def linear(self, shares: Parameters) -> Matrix3:
        """A of (ω, σ)/ρ."""
        turn = Rotation.from_rotvec(shares[:3]).as_matrix()
        grown: Matrix3 = np.exp(shares[3]) * turn @ self.start[:3, :3]
        return grown

    def linear_slope(self, shares: Parameters, by_linear: Matrix3) -> Parameters:
        """The derivative by (ω, σ)/ρ."""
        turns = np.exp(shares[3]) * rotation_slopes(shares[:3]) @ self.start[:3, :3]
        turning = (turns * by_linear).sum(axis=(1, 2))
        return np.append(turning, (self.linear(shares) * by_linear).sum())


@dataclass(frozen=True)
class AffineMotion(CentredMotion):
    """A = (I + M/ρ) A₀ with parameters (M row by row, τ): turns, stretches and shears."""

    size: ClassVar[int] = 12

    def linear(self, shares: Parameters) -> Matrix3:
        """A of M/ρ."""
        changed: Matrix3 = (np.eye(3) + shares.reshape(3, 3)) @ self.start[:3, :3]
        return changed

    def linear_slope(self, shares: Parameters, by_linear: Matrix3) -> Parameters:
        """The derivative by M/ρ, the same at any M."""
        slope: Parameters = (by_linear @ self.start[:3, :3].T).reshape(shares.shape)
        return slope


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


def refine(similarity: Similarity, motion: Motion, allowed: Allowed, iterations: int, tolerance: float) -> Candidate:
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

    def fall(parameters: Parameters) -> tuple[float, Parameters]:
        nonlocal tried
        tried += 1
        matrix = motion.matrix(parameters)
        nmi, overlap, by_matrix = similarity.slope(matrix)
        if not allowed(matrix, overlap):
            return 0.0, np.zeros(motion.size)
        return -nmi, -motion.slope(parameters, by_matrix)

    zero = np.zeros(motion.size)
    kept = max(6, motion.size)
    found, _, _ = fmin_l_bfgs_b(fall, zero, m=kept, factr=tolerance / EPSILON, pgtol=1e-7, maxiter=iterations, maxls=10)
    best = motion.matrix(found if np.isfinite(found).all() else zero)
    value, overlap = similarity.value(best)
    return Candidate(best, value if allowed(best, overlap) else 0.0, overlap, tried + 1)
