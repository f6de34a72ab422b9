"""How much goes on in a picture, whatever it shows: none of these looks at the sources, and noise raises all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.metrics.levels import Grey


def standard_deviation(fused: Grey) -> float:
    """SD = √mean (F − mean F)², in grey levels."""
    return float(fused.std())


def spatial_frequency(fused: Grey, steps: Sequence[float]) -> float:
    """SF = √Σ_axes mean (difference of neighbours)², in grey levels a voxel of the finest axis.

    Eskicioglu & Fisher 1995, "Image quality measures and their performance".
    """
    squares = [float(np.mean((np.diff(fused, axis=i) / step) ** 2)) for i, step in enumerate(steps)]
    return float(np.sqrt(sum(squares)))


def average_gradient(fused: Grey, steps: Sequence[float]) -> float:
    """AG = mean √(|∇F|² / axes) by central differences, one-sided at the border; unit as of SF.

    Cui et al. 2015, "Detail preserved fusion of visible and infrared images using regional saliency extraction".
    """
    squares = sum((np.gradient(fused, step, axis=i) ** 2 for i, step in enumerate(steps)), np.zeros(fused.shape))
    return float(np.sqrt(squares / fused.ndim).mean())
