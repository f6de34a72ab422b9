"""Visual information fidelity of each source, and its gradient: :mod:`fusion.losses.visual_fidelity` in closed form.

With moments of F in a window, v = σ_F², c = σ_SF and r = v − c²/σ_S² + σ_n², what is told at a place is
log₁₀((v + σ_n²)/r), ∂/∂c = 2c/(σ_S² r ln 10) and ∂/∂v = (1/(v + σ_n²) − 1/r)/ln 10; 0 where F runs against the source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusion.guidance.moments import moments_of, to_plane
from fusion.guidance.windows import inner_means, spread
from fusion.losses import visual_fidelity as published
from fusion.losses.windows import gaussian_window
from volumes.jit import kernel
from volumes.shapes import AnyArray

FAINT, NOISE = np.float32(published.FAINT), np.float32(published.NOISE)
ONE, TWO = np.float32(1), np.float32(2)
MANY = 1e200
"""Products of ratios up to this are taken before their logarithm."""


@dataclass(frozen=True, eq=False)
class Scale:
    """The sources at one scale.

    Parameters
    ----------
    sources : (sources, y, x) float32, on 0–255.
    mean, variance : (sources, …) in the window.
    window : its weights, float32.
    """

    sources: AnyArray
    mean: AnyArray
    variance: AnyArray
    window: AnyArray


class VisualFidelity:
    """What each of the sources tells, ready to be compared with fused planes."""

    def __init__(self, sources: AnyArray) -> None:
        self.scales: list[Scale] = []
        asked = np.zeros(len(sources))
        for number in range(published.SCALES):
            radius = 2 ** (published.SCALES - number - 1)
            window = np.array(gaussian_window((2 * radius + 1) / 5, radius), np.float32)
            if number:
                if min(sources.shape[1:]) < len(window):
                    break
                sources = inner_means(sources, window, 2)
            if min(sources.shape[1:]) < len(window):
                break
            mean, square = inner_means(sources, window, 1), inner_means(sources * sources, window, 1)
            variance = np.maximum(square - mean * mean, 0)
            self.scales.append(Scale(sources, mean, variance, window))
            asked += np.log10(1 + np.where(variance < FAINT, 0, variance) / NOISE, dtype=np.float64).sum((1, 2))
        self.asked = np.maximum(asked, published.LITTLE)

    def seen(self, fused: AnyArray) -> Seen:
        """A fused plane (y, x), float32 on 0–255, at all scales."""
        planes, moments = [], []
        for number, scale in enumerate(self.scales):
            if number:
                fused = inner_means(fused[None], scale.window, 2)[0]
            planes.append(fused)
            moments.append(moments_of(fused, scale.sources, scale.window))
        return Seen(self, planes, moments)


@dataclass(frozen=True, eq=False)
class Seen:
    """A fused plane beside the sources.

    Parameters
    ----------
    before : the sources.
    planes : the fused plane at each scale.
    moments : (2 + sources, …) at each scale: means of F, of F² and of F with each source.
    """

    before: VisualFidelity
    planes: list[AnyArray]
    moments: list[AnyArray]

    def told(self) -> AnyArray:
        """VIF of each source (sources,)."""
        total = np.zeros(len(self.before.asked))
        for scale, moments in zip(self.before.scales, self.moments, strict=True):
            total += _told(moments, scale.mean, scale.variance)
        return total / self.before.asked

    def gradient(self, weights: AnyArray) -> AnyArray:
        """Of Σ weightsₘ VIFₘ (y, x), for each grey level of the fused plane."""
        shares = weights / (self.before.asked * math.log(10))
        coarser: AnyArray | None = None
        for number in reversed(range(len(self.planes))):
            scale, fused = self.before.scales[number], self.planes[number]
            to_moments = _to_moments(self.moments[number], scale.mean, scale.variance, shares)
            own = to_plane(to_moments, fused, scale.sources, scale.window)
            if coarser is not None:
                own += spread(coarser[None], self.before.scales[number + 1].window, 2, *fused.shape)[0]
            coarser = own
        assert coarser is not None  # noqa: S101 - there is a scale
        return coarser


@kernel
def _told(moments: AnyArray, mean: AnyArray, variance: AnyArray) -> AnyArray:
    total = np.zeros(len(mean))
    for m in range(len(mean)):
        product = 1.0
        for i in range(mean.shape[1]):
            for j in range(mean.shape[2]):
                own = moments[1, i, j] - moments[0, i, j] * moments[0, i, j]
                shared = moments[2 + m, i, j] - moments[0, i, j] * mean[m, i, j]
                if variance[m, i, j] < FAINT or own < FAINT or shared <= 0:
                    continue
                explained = shared * shared / variance[m, i, j]
                product *= ONE + explained / (max(own - explained, FAINT) + NOISE)
                if product > MANY:
                    total[m] += math.log10(product)
                    product = 1.0
        total[m] += math.log10(product)
    return total


@kernel
def _to_moments(moments: AnyArray, mean: AnyArray, variance: AnyArray, shares: AnyArray) -> AnyArray:
    out = np.zeros_like(moments)
    for m in range(len(mean)):
        share = np.float32(shares[m])
        for i in range(mean.shape[1]):
            for j in range(mean.shape[2]):
                middle = moments[0, i, j]
                own = moments[1, i, j] - middle * middle
                shared = moments[2 + m, i, j] - middle * mean[m, i, j]
                if variance[m, i, j] < FAINT or own < FAINT or shared <= 0:
                    continue
                gain = shared / variance[m, i, j]
                explained = gain * shared
                rest = max(own - explained, FAINT) + NOISE
                for_shared = share * TWO * gain / rest
                for_own = -share * explained / (rest * (rest + explained))
                out[0, i, j] -= for_shared * mean[m, i, j] + TWO * for_own * middle
                out[1, i, j] += for_own
                out[2 + m, i, j] += for_shared
    return out
