"""Bodies whose surface is a radius in each direction: an ellipsoid with smooth bumps, of exact volume and centroid.

``r(û) = 1 + Σ b_k h_k(û)``, the ``h_k`` being the 16 real solid harmonics of degree 3 and 4 as polynomials of the unit
vector û = (z, y, x), each scaled so that its largest magnitude on the sphere is 1. Degree 0 is the size, 1 the place,
and 2 the ellipsoid's axes, which ``Cells.frame_um`` holds.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from volumes.jit import inlined
from volumes.shapes import AnyArray, Points

BUMPS = 16
"""Coefficients of one body: 7 harmonics of degree 3, 9 of degree 4."""
STEEPEST = 0.5
"""Σ|b| stays below this, so that a radius is never near zero."""
_LATITUDES = 12
"""Gauss-Legendre nodes: with 24 longitudes exact to degree 23; the highest integrand, ``r⁴ û``, has degree 17."""


@inlined
def radius(b: AnyArray, z: float, y: float, x: float) -> float:
    """``r(û)`` of one body, b (16,), in the direction of the unit vector (z, y, x)."""
    zz, yy, xx = z * z, y * y, x * x
    r = 1.0
    r += b[0] * 0.5 * z * (5.0 * zz - 3.0)
    r += 0.72618437 * (b[1] * y + b[2] * x) * (5.0 * zz - 1.0)
    r += 2.59807621 * z * (b[3] * (yy - xx) + b[4] * 2.0 * y * x)
    r += b[5] * y * (yy - 3.0 * xx) + b[6] * x * (xx - 3.0 * yy)
    r += b[7] * 0.125 * (35.0 * zz * zz - 30.0 * zz + 3.0)
    r += 0.94694 * z * (b[8] * y + b[9] * x) * (7.0 * zz - 3.0)
    r += 0.77777778 * (b[10] * (yy - xx) + b[11] * 2.0 * y * x) * (7.0 * zz - 1.0)
    r += 3.07920144 * z * (b[12] * y * (yy - 3.0 * xx) + b[13] * x * (xx - 3.0 * yy))
    r += b[14] * (yy * yy - 6.0 * yy * xx + xx * xx) + b[15] * 4.0 * y * x * (yy - xx)
    return float(r)


def harmonics(directions: Points) -> Float64[np.ndarray, "n k"]:
    """``h_k(û)`` for unit vectors (n, 3): the basis of :func:`radius`, which computes the same sum without it."""
    z, y, x = directions.T
    zz, yy, xx = z * z, y * y, x * x
    columns = [
        0.5 * z * (5 * zz - 3),
        0.72618437 * y * (5 * zz - 1),
        0.72618437 * x * (5 * zz - 1),
        2.59807621 * z * (yy - xx),
        2.59807621 * z * 2 * y * x,
        y * (yy - 3 * xx),
        x * (xx - 3 * yy),
        0.125 * (35 * zz * zz - 30 * zz + 3),
        0.94694 * z * y * (7 * zz - 3),
        0.94694 * z * x * (7 * zz - 3),
        0.77777778 * (yy - xx) * (7 * zz - 1),
        0.77777778 * 2 * y * x * (7 * zz - 1),
        3.07920144 * z * y * (yy - 3 * xx),
        3.07920144 * z * x * (xx - 3 * yy),
        yy * yy - 6 * yy * xx + xx * xx,
        4 * y * x * (yy - xx),
    ]
    return np.stack(columns, 1)


def normalised(bumps: Float64[np.ndarray, "n k"]) -> tuple[NDArray[np.float64], Points]:
    """``κ`` (n,) and ``g`` (n, 3): the scale and the shift that give the unit body volume 4/3 π and centroid 0.

    ``V = ∫ r³/3 dΩ``, ``g = ∫ r⁴/4 û dΩ / V``, ``κ = (4π / 3V)^⅓``, by a product quadrature that is exact here.
    """
    directions, weights, basis = _sphere()
    r = 1 + bumps @ basis.T
    volume = (r**3) @ weights / 3
    shift = ((r**4 * weights) @ directions) / (4 * volume[:, None])
    return np.cbrt(4 * np.pi / 3 / volume), shift


@lru_cache(maxsize=1)
def _sphere() -> tuple[Points, NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (288, 3), their weights (sum 4π), and the harmonics in them."""
    cosine, weight = np.polynomial.legendre.leggauss(_LATITUDES)
    angle = 2 * np.pi * np.arange(2 * _LATITUDES) / (2 * _LATITUDES)
    sine = np.sqrt(1 - cosine**2)
    z = np.repeat(cosine, len(angle))
    y = np.outer(sine, np.cos(angle)).ravel()
    x = np.outer(sine, np.sin(angle)).ravel()
    directions = np.stack([z, y, x], 1)
    return directions, np.repeat(weight, len(angle)) * 2 * np.pi / len(angle), harmonics(directions)
