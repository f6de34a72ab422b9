"""What tissue takes from light on its way: absorption, and scattering that turns a sharp picture into haze."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from volumes.errors import ConfigError, ContentError
from volumes.shapes import Voxels

ANISOTROPY = 0.9
"""Mean cosine of the scattering angle in soft tissue (Jacques 2013, Physics in Medicine & Biology 58, R37)."""


def transmission(path: Voxels) -> Voxels:
    """The share of light left after a path through absorbing or scattering tissue, ``e^(−τ)``, float32 (Beer–Lambert).

    Parameters
    ----------
    path : optical depth ``τ = ∫ μ ds``, without unit.

    Raises
    ------
    ContentError : an optical depth below 0, or one that is no number.
    """
    if not path.min(initial=0) >= 0:
        raise ContentError("an optical depth is at least 0", field="path", value=float(path.min()))
    left: Voxels = np.exp(-path.astype(np.float32, copy=False))
    return left


def scattering_per_mm(reduced_per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often light is scattered at all, ``μ_s = μ_s′ / (1 − g)``, 1/mm, from the reduced coefficient ``μ_s′``."""
    return reduced_per_mm / (1 - ANISOTROPY)


def parted(light: Voxels, path: Voxels, collected: float) -> tuple[Voxels, Voxels]:
    """Light from below scattering tissue: the ballistic share, which stays sharp, and the haze; both float32.

    ``ballistic = light e^(−τ)``, ``haze = collected · light (1 − e^(−τ))``: scattered photons are not lost, but a
    detector sees them somewhere else.

    Parameters
    ----------
    light : (z, y, x).
    path : optical depth of the scattering above each voxel.
    collected : share of the scattered light that still comes to the detector; 0 for a narrow pinhole.

    Raises
    ------
    ConfigError : a share outside of 0 to 1.
    """
    if not 0 <= collected <= 1:
        raise ConfigError("must be between 0 and 1", field="collected", value=collected)
    ballistic = light * transmission(path)
    haze = light - ballistic
    haze *= np.float32(collected)
    return ballistic, haze


def haze_sigma_um(depth_um: ArrayLike, reduced_per_mm: float) -> NDArray[np.float64]:
    """How wide scattered light from a depth spreads, ``σ = √(μ_s′ z³ / 3)`` along y and along x, µm.

    Small-angle diffusion: directions spread by ``μ_s′`` (rad² a mm, along each axis) and places by their integral
    (Fermi & Eyges; Eyges 1948, Physical Review 74, with ``⟨θ²⟩ = 2 μ_s (1 − g) z``). Depths below 0 count as 0.

    Raises
    ------
    ConfigError : a coefficient below 0 or not finite.
    """
    if not 0 <= reduced_per_mm < math.inf:
        raise ConfigError("must be finite and not below 0", field="reduced_per_mm", value=reduced_per_mm)
    depth_mm = np.maximum(np.asarray(depth_um, np.float64), 0) * 1e-3
    return 1e3 * np.sqrt(reduced_per_mm * depth_mm**3 / 3)
