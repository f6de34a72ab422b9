"""The sum of the correlations of differences, in torch: does what a source adds to the others look like that source?

SCD = Σₘ r(F − Rₘ, Sₘ) with Rₘ the other source (Aslantas & Bendes 2015, "A new image quality metric for image fusion:
the sum of the correlations of differences", AEÜ 69); of more than two sources Rₘ is the mean of the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

FAINT = 1e-6
"""Added to the product of the two sums of squares: what is constant has no correlation, and no steep gradient."""


def difference_correlation(fused: Tensor, sources: Tensor) -> Tensor:
    """SCD (batch,), −sources to sources.

    Parameters
    ----------
    fused : (batch, 1, z, y, x).
    sources : (batch, sources, z, y, x).
    """
    number = sources.shape[1]
    total = sources.sum(1, keepdim=True)
    parts = []
    for m in range(number):
        own = sources[:, m : m + 1]
        parts.append(correlation(fused - (total - own) / (number - 1), own))
    return torch.stack(parts).sum(0)


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's r of each item (batch,); 0 where one is constant."""
    a, b = x.flatten(1), y.flatten(1)
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / ((a * a).sum(1) * (b * b).sum(1) + FAINT).sqrt()
