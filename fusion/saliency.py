"""How much each source has to say at a voxel, and the mean that is weighted by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.local_entropy import RADIUS, local_entropy
from fusion.ranges import robust_range
from volumes.shapes import AnyArray, ChannelVoxels, Mask, Voxels

FLAT = 1e-12
"""Variances below this share of the greatest are rounding."""


def entropies(sources: Sequence[Voxels], masks: Sequence[Mask] | None, radius: int = RADIUS) -> list[Voxels]:
    """The local entropy of each source, bits, with bins over the range that all of them span together.

    Parameters
    ----------
    sources : (z, y, x) on one scale.
    masks : where each has data, which alone counts; None for everywhere.
    radius : of the window, voxels.
    """
    ranges = [robust_range(source, f"volumes[{i}]") for i, source in enumerate(sources)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return [
        local_entropy(source, low, high, None if masks is None else masks[i], radius)
        for i, source in enumerate(sources)
    ]


def softmax(levels: AnyArray, temperature: float) -> AnyArray:
    """Over the first axis: wₘ = exp(Hₘ/τ) / Σ exp(Hₙ/τ), float64.

    Parameters
    ----------
    levels : (sources, …).
    temperature : τ in the unit of the levels; the smaller, the more the greatest alone counts.
    """
    powers = np.exp((levels - levels.max(axis=0)) / np.float64(temperature))
    return np.asarray(powers / ordered_sum(powers))


def local_variances(sources: Sequence[Voxels], masks: Sequence[Mask] | None, radius: int) -> AnyArray:
    """The variance of each source in the (2·radius + 1)³ voxels around each voxel (sources, z, y, x), float64.

    Only voxels with data count; windows end at the volume's border.
    """
    whole = np.ones(sources[0].shape, bool)
    pairs = zip(sources, [whole] * len(sources) if masks is None else masks, strict=True)
    out = np.stack([_variance(source, mask, 2 * radius + 1) for source, mask in pairs])
    # A running sum leaves rounding of either sign where a source is flat.
    greatest = max(float(np.abs(source).max()) for source in sources)
    return np.where(out > FLAT * max(out.max(), FLAT * greatest**2), out, 0)


def _variance(source: Voxels, mask: Mask, width: int) -> AnyArray:
    from scipy.ndimage import uniform_filter

    centred = np.where(mask, source - source.mean(where=mask, dtype=np.float64), 0)
    share, mean, square = (
        uniform_filter(values, width, mode="constant") for values in (mask.astype(np.float64), centred, centred**2)
    )
    share = np.maximum(share, 0.5 / width**3)
    return np.asarray(square / share - (mean / share) ** 2)


def weighted_mean(sources: ChannelVoxels, weights: AnyArray) -> Voxels:
    """Σ wₘ Sₘ / Σ wₘ voxel by voxel, float32, and the plain mean where all weights are 0.

    Parameters
    ----------
    sources : (sources, z, y, x).
    weights : none below 0, of the sources' shape or one that spreads to it.
    """
    total = ordered_sum(weights)
    equal = np.where(total > 0, weights, 1.0)
    return np.asarray(ordered_sum(equal * sources) / ordered_sum(equal), np.float32)


def ordered_sum(terms: AnyArray) -> AnyArray:
    """Over the first axis, from the least to the greatest, so that the order of the sources leaves no trace."""
    return np.asarray(np.sort(terms, axis=0).sum(axis=0))
