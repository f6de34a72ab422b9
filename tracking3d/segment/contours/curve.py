"""A closed curve that holds itself together: the snake of one slice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""(n, 2) points (y, x), even along the curve, the last next to the first."""


def stiffness(n: int, alpha: float, beta: float) -> NDArray[np.float64]:
    """(n // 2 + 1,) what the internal energy does to each Fourier component of a closed curve of n points.

    −α X″ + β X⁗ over the parameter s in 0 … 2π, by central differences: a circulant matrix with five bands, which the
    Fourier transform makes diagonal: α λ + β λ² with λ = (2 − 2 cos k h) / h², h = 2π / n.
    """
    h = 2 * np.pi / n
    own = (2 - 2 * np.cos(np.arange(n // 2 + 1) * h)) / h**2
    out: NDArray[np.float64] = alpha * own + beta * own**2
    return out


def evolved(curve: Curve, pull: Callable[[Curve], Curve], alpha: float, beta: float, step: float, steps: int) -> Curve:
    """The curve after so many steps of X_t = α X″ − β X⁗ + pull(X), the snake's equation (Kass et al. 1988).

    E = ∮ α |X′|² + β |X″|² + E_ext ds; semi-implicit: (1 + τ A) X₊ = X + τ pull(X), solved exactly. Points are spread
    evenly again after each step, since a pull along the curve would gather them.
    """
    damped = 1 / (1 + step * stiffness(len(curve), alpha, beta))[:, None]
    for _ in range(steps):
        wave = np.fft.rfft(curve + step * pull(curve), axis=0) * damped
        curve = even(np.fft.irfft(wave, n=len(curve), axis=0), len(curve))
    return curve


def even(curve: Curve, n: int) -> Curve:
    """The same closed curve through n points at equal distances along it."""
    closed = np.vstack([curve, curve[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    if way[-1] == 0:
        return np.repeat(curve[:1], n, axis=0)
    at = np.arange(n) * (way[-1] / n)
    return np.column_stack([np.interp(at, way, closed[:, axis]) for axis in (0, 1)])
