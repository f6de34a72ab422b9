"""The moment-preserving threshold: two grey levels that keep the first three moments of the picture."""

from __future__ import annotations

import numpy as np

from tracking3d.segment.thresholds.histogram import BINS, Histogram

ROUNDING = 1e-9
"""Of the share below: a picture of two values alone is parted between them."""


def moments_level(histogram: Histogram) -> float:
    """The level with a share p₀ of the values below it, where p₀ z₀ⁱ + (1 − p₀) z₁ⁱ = mᵢ for i = 0 … 3.

    Tsai 1985, "Moment-preserving thresholding: a new approach". The levels z₀ < z₁ are the roots of z² + c₁ z + c₀,
    with c₀ + c₁ m₁ = −m₂ and c₀ m₁ + c₁ m₂ = −m₃.
    """
    grey = np.arange(BINS, dtype=np.float64)
    m1, m2, m3 = (float((histogram.share * grey**i).sum()) for i in (1, 2, 3))
    spread = m2 - m1**2
    c0, c1 = (m1 * m3 - m2**2) / spread, (m1 * m2 - m3) / spread
    half = np.sqrt(max(c1**2 - 4 * c0, 0.0)) / 2
    z0, z1 = -c1 / 2 - half, -c1 / 2 + half
    below = (z1 - m1) / (z1 - z0)
    return histogram.edge(int(np.argmax(np.cumsum(histogram.share) > below - ROUNDING)) + 1)
