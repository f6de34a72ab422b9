"""VIF: how much of the information that an eye would take from a source it can still take from the fused picture.

At four scales, with Gaussian windows of N = 17, 9, 5, 3 taps and σ = N/5: g = σ_SF / σ_S², σᵥ² = σ_F² − g σ_SF, and
VIF = Σ log(1 + g² σ_S² / (σᵥ² + σₙ²)) / Σ log(1 + σ_S² / σₙ²), σₙ² = 2, over all windows that lie inside; between
scales the picture is smoothed with the next window and every other voxel taken. Of contrast that is higher than the
source's it can exceed 1. Sheikh & Bovik 2006, "Image information and visual quality" (pixel domain); for fusion summed
over the sources. Trap: a copy of one source scores high; look at each source apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.metrics.levels import Grey, window_axes
from fusion.metrics.windows import gaussian, windowed
from volumes.errors import ContentError

TAPS = (17, 9, 5, 3)
NEEDED = (17, 25, 33, 41)
"""Voxels that an axis needs for one scale, two, three, all."""
NOISE = 2.0
"""σₙ², of the eye, in squared grey levels."""
EPSILON = 1e-10


def visual_fidelity(fused: Grey, sources: Sequence[Grey], steps: Sequence[float]) -> list[float]:
    """VIF of each source.

    An axis of fewer than 41 voxels, or a coarse one, has no part in the windows: its slices are pooled. Where no two
    axes have 41 voxels, as many scales are taken as fit along two.

    Raises
    ------
    ContentError : no two axes of 17 voxels.
    """
    axes, taps = _windows(fused.shape, steps)
    shared = np.zeros((len(sources), 2))
    pictures = [fused, *sources]
    for scale, count in enumerate(taps):
        weights = gaussian(count, count / 5)
        if scale:
            take = tuple(slice(None, None, 2) if i in axes else slice(None) for i in range(fused.ndim))
            pictures = [windowed(p, weights, axes)[take] for p in pictures]
        means = [windowed(p, weights, axes) for p in pictures]
        variances = [
            np.maximum(windowed(p * p, weights, axes) - mean**2, 0) for p, mean in zip(pictures, means, strict=True)
        ]
        for m in range(1, len(pictures)):
            joint = windowed(pictures[0] * pictures[m], weights, axes) - means[0] * means[m]
            shared[m - 1] += _information(variances[0], variances[m], joint)
    # A source without any variance inside has nothing to lose.
    return [float(kept / all_) if all_ > 0 else 1.0 for kept, all_ in shared]


def _windows(shape: Sequence[int], steps: Sequence[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes that take part, and the windows of the scales that fit."""
    wanted = min(2, len(window_axes(shape, steps, 1)))
    for scales in range(len(TAPS), 0, -1):
        axes = window_axes(shape, steps, NEEDED[scales - 1])
        if len(axes) >= wanted:
            return axes, TAPS[:scales]
    raise ContentError(f"VIF needs two axes of {NEEDED[0]} voxels", field="fused", value=tuple(shape))


def _information(var_f: Grey, var_s: Grey, joint: Grey) -> tuple[float, float]:
    """What of the source comes through, and what there is, in nats summed over windows."""
    gain = np.maximum(joint / (var_s + EPSILON), 0)
    gain[(var_s < EPSILON) | (var_f < EPSILON)] = 0
    var_s = np.where(var_s < EPSILON, 0, var_s)
    rest = np.where(gain > 0, np.maximum(var_f - gain * joint, EPSILON), np.maximum(var_f, EPSILON))
    kept = np.log1p(gain**2 * var_s / (rest + NOISE)).sum()
    return float(kept), float(np.log1p(var_s / NOISE).sum())
