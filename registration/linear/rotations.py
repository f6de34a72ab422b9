"""Rotations spread evenly over the whole rotation space."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

PSI = 1.533751168755204288118041
"""The positive root of ψ⁴ = ψ + 4."""


def spread_rotations(count: int) -> Float64[np.ndarray, "m 3 3"]:
    """The identity, then ``count`` rotations by the super-Fibonacci spiral; mirror images are never among them.

    Alexa 2022, "Super-Fibonacci spirals: fast, low-discrepancy sampling of SO(3)", CVPR: with s = i + ½, the unit
    quaternion (√(s/n) sin α, √(s/n) cos α, √(1 − s/n) sin β, √(1 − s/n) cos β), α = 2πs/√2, β = 2πs/ψ. Neighbours are
    about (8π²/n)^⅓ rad apart: 30° for 500.
    """
    s = np.arange(count) + 0.5
    low, high = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / PSI
    quaternions = np.stack([low * np.sin(alpha), low * np.cos(alpha), high * np.sin(beta), high * np.cos(beta)], -1)
    matrices = Rotation.from_quat(quaternions).as_matrix() if count else np.empty((0, 3, 3))
    return np.concatenate([np.eye(3)[None], matrices])
