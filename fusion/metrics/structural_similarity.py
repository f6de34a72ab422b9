"""SSIM and MS-SSIM of the fused picture with each source.

SSIM = mean (2 μ_F μ_S + C₁)(2 σ_FS + C₂) / ((μ_F² + μ_S² + C₁)(σ_F² + σ_S² + C₂)), C₁ = (0.01 R)², C₂ = (0.03 R)²,
with R the range (Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.metrics.levels import TOP, Grey, window_axes
from fusion.metrics.windows import Weights, box, gaussian, windowed
from volumes.errors import ContentError

WIDTH = 7
"""Voxels of SSIM's window along an axis, all of one weight, as scikit-image has it."""
RANGES = (2.0, TOP)
"""R that old scikit-image took for any float, −1 to 1, and in which published SSIM was computed; and the true one."""
GAUSSIAN = (11, 1.5)
"""Taps and σ of MS-SSIM's window."""
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM's scales, finest first."""


@dataclass(frozen=True)
class Moments:
    """Local means of two pictures, the sum of their local variances, and twice their covariance."""

    mean_a: Grey
    mean_b: Grey
    variances: Grey
    covariance2: Grey


def structural_similarities(fused: Grey, source: Grey, steps: Sequence[float]) -> tuple[float, ...]:
    """SSIM with each R of ``RANGES``, from one pass; windows of 7 voxels along each axis, sample covariances.

    Axes that are short or coarse have no part in the windows (:func:`fusion.metrics.levels.window_axes`).

    Raises
    ------
    ContentError : no axis has 7 voxels.
    """
    axes = window_axes(fused.shape, steps, WIDTH)
    if not axes:
        raise ContentError(f"SSIM needs an axis of {WIDTH} voxels", field="fused", value=fused.shape)
    samples = WIDTH ** len(axes)
    seen = _moments(fused, source, box(WIDTH), axes, samples / (samples - 1))
    return tuple(float(np.mean(_luminance(seen, top) * _structure(seen, top))) for top in RANGES)


def multiscale_similarity(
    fused: Grey, source: Grey, steps: Sequence[float], exponents: Sequence[float] = SCALES
) -> float:
    """MS-SSIM = l_M^αM Πⱼ mean csⱼ^αⱼ with R = 255: structure at five scales, each half of the one before.

    Gaussian windows of 11 taps, σ 1.5; halving by means of 2 voxels. Where fewer scales have a window's width along
    two axes, the exponents of those that do are brought to a sum of 1. A scale without any agreement counts 0.
    Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for image quality assessment".

    Raises
    ------
    ContentError : no two axes of 11 voxels.
    """
    scales = _scales(fused, source, steps, len(exponents))
    if not scales:
        raise ContentError(f"MS-SSIM needs axes of {GAUSSIAN[0]} voxels", field="fused", value=fused.shape)
    powers = np.array(exponents[: len(scales)]) / sum(exponents[: len(scales)])
    parts = [max(float(np.mean(_structure(seen, TOP))), 0.0) for seen in scales[:-1]]
    last = _luminance(scales[-1], TOP) * _structure(scales[-1], TOP)
    return float(np.prod(np.array([*parts, max(float(np.mean(last)), 0.0)]) ** powers))


def _scales(a: Grey, b: Grey, steps: Sequence[float], most: int) -> list[Moments]:
    taps, sigma = GAUSSIAN
    wanted = min(2, len(window_axes(a.shape, steps, 1)))
    out: list[Moments] = []
    while len(out) < most:
        axes = window_axes(a.shape, steps, taps)
        if len(axes) < wanted:
            break
        out.append(_moments(a, b, gaussian(taps, sigma), axes, 1.0))
        a, b = _halved(a, axes), _halved(b, axes)
    return out


def _halved(values: Grey, axes: Sequence[int]) -> Grey:
    for axis in axes:
        even = values.shape[axis] // 2 * 2
        pairs = np.moveaxis(values, axis, 0)[:even]
        values = np.moveaxis((pairs[::2] + pairs[1::2]) / 2, 0, axis)
    return values


def _moments(a: Grey, b: Grey, weights: Weights, axes: Sequence[int], unbiased: float) -> Moments:
    mean_a, mean_b = windowed(a, weights, axes), windowed(b, weights, axes)
    squares, product = windowed(a * a + b * b, weights, axes), windowed(2 * a * b, weights, axes)
    return Moments(
        mean_a,
        mean_b,
        unbiased * (squares - mean_a**2 - mean_b**2),
        unbiased * (product - 2 * mean_a * mean_b),
    )


def _luminance(seen: Moments, top: float) -> Grey:
    c = (0.01 * top) ** 2
    return np.asarray((2 * seen.mean_a * seen.mean_b + c) / (seen.mean_a**2 + seen.mean_b**2 + c))


def _structure(seen: Moments, top: float) -> Grey:
    c = (0.03 * top) ** 2
    return np.asarray((seen.covariance2 + c) / (seen.variances + c))
