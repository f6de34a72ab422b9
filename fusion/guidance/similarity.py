"""Structural similarity to all sources, and its gradient: :func:`fusion.losses.ssim.ssim` in closed form, no borders.

With a₁ = 2 μ_S μ_F + C₁, a₂ = 2 σ_SF + C₂, b₁ = μ_S² + μ_F² + C₁, b₂ = σ_S² + σ_F² + C₂ and s = a₁ a₂/(b₁ b₂):
∂s/∂μ_F = 2 μ_S a₂/(b₁ b₂) − 2 μ_F s/b₁, ∂s/∂σ_SF = 2 a₁/(b₁ b₂), ∂s/∂σ_F² = −s/b₂.
"""

from __future__ import annotations

import numpy as np

from fusion.guidance.moments import moments_of, to_plane
from fusion.guidance.windows import inner_means
from fusion.losses.windows import uniform_window
from volumes.jit import kernel
from volumes.shapes import AnyArray

SIDE = 7
"""Of the window."""
SAMPLED = SIDE**2 / (SIDE**2 - 1)
"""Covariances are those of a sample."""


class Similarity:
    """What each of the sources looks like, ready to be compared with fused planes.

    Parameters
    ----------
    sources : (sources, y, x) on 0–255, no smaller than the window; in 64 bits, since in white the variance of a few
        grey levels is the difference of two means of squares.
    data_range : R.
    """

    def __init__(self, sources: AnyArray, data_range: float) -> None:
        self.window = np.array(uniform_window(SIDE))
        self.sources = sources.astype(np.float64)
        self.mean = inner_means(self.sources, self.window, 1)
        self.variance = SAMPLED * (inner_means(self.sources * self.sources, self.window, 1) - self.mean * self.mean)
        self.constants = np.array([(0.01 * data_range) ** 2, (0.03 * data_range) ** 2])

    def with_gradient(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """Σₘ SSIMₘ of a fused plane (y, x), float32 on 0–255, and its gradient for each grey level."""
        fused = fused.astype(np.float64)
        moments = moments_of(fused, self.sources, self.window)
        total, to_moments = _compared(moments, self.mean, self.variance, self.constants)
        return total, to_plane(to_moments, fused, self.sources, self.window)


@kernel
def _compared(moments: AnyArray, mean: AnyArray, variance: AnyArray, constants: AnyArray) -> tuple[float, AnyArray]:
    c1, c2 = constants
    out, total = np.zeros_like(moments), 0.0
    share = 1 / mean[0].size
    for m in range(len(mean)):
        for i in range(mean.shape[1]):
            for j in range(mean.shape[2]):
                fused, source = moments[0, i, j], mean[m, i, j]
                own = SAMPLED * (moments[1, i, j] - fused * fused)
                shared = SAMPLED * (moments[2 + m, i, j] - fused * source)
                above1, above2 = 2 * source * fused + c1, 2 * shared + c2
                below1, below2 = source * source + fused * fused + c1, variance[m, i, j] + own + c2
                both = share / (below1 * below2)
                similar = above1 * above2 * both
                total += similar
                for_shared, for_own = SAMPLED * 2 * above1 * both, -SAMPLED * similar / below2
                for_mean = 2 * source * above2 * both - 2 * fused * similar / below1
                out[0, i, j] += for_mean - for_shared * source - 2 * for_own * fused
                out[1, i, j] += for_own
                out[2 + m, i, j] += for_shared
    return total, out
