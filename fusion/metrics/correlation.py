"""Linear agreement of the fused picture with its sources, and of what it adds to one with the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.metrics.levels import Grey
from volumes.errors import ConfigError


def correlation(fused: Grey, sources: Sequence[Grey]) -> float:
    """CC = meanₘ r(F, Sₘ), Pearson's, −1 to 1. Trap: no picture can correlate fully with two that differ."""
    return float(np.mean([_pearson(fused, source) for source in sources]))


def correlations_of_differences(fused: Grey, sources: Sequence[Grey]) -> float:
    """SCD = Σₘ mean_{k≠m} r(Sₘ, F − Sₖ): what F has beyond the others looks like this one; at most one a source.

    With two sources r(A, F − B) + r(B, F − A). Aslantas & Bendes 2015, "A new image quality metric for image fusion:
    the sum of the correlations of differences". Trap: the plain sum A + B, saturated or not, has the most.

    Raises
    ------
    ConfigError : a single source, which has no others.
    """
    if len(sources) < 2:
        raise ConfigError("SCD needs two sources or more", field="sources", value=len(sources))
    total = 0.0
    for m, source in enumerate(sources):
        others = [_pearson(source, fused - other) for k, other in enumerate(sources) if k != m]
        total += float(np.mean(others))
    return total


def peak_signal_to_noise(fused: Grey, sources: Sequence[Grey]) -> float:
    """PSNR = 10 log₁₀ ((max F)² / meanₘ mean (F − Sₘ)²), in dB; infinite where F is all of its sources.

    The peak is the fused picture's own maximum, as the reference has it. Trap: the plain mean of the sources has most.
    """
    error = float(np.mean([np.mean((fused - source) ** 2) for source in sources]))
    peak = float(fused.max())
    if error == 0:
        return np.inf
    return float(10 * np.log10(peak**2 / error)) if peak > 0 else -np.inf


def _pearson(a: Grey, b: Grey) -> float:
    """Pearson's r; 0 with a constant, which tells nothing of the other."""
    a, b = a - a.mean(), b - b.mean()
    # No dot product: BLAS would take every core for it, and on a busy machine wait for them.
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0
