"""Visual information fidelity in torch: how much of what a source tells can still be told from the fused picture.

VIF = Σ log₁₀(1 + g² σ_S²/(σ_v² + σ_n²)) / Σ log₁₀(1 + σ_S²/σ_n²) over four scales, with g = σ_SF/σ_S² and σ_v² = σ_F² −
g σ_SF in Gaussian windows (Sheikh & Bovik 2006, "Image information and visual quality", IEEE TIP 15, in the form for
pixels). Fusion papers add it up over the sources. Planes are judged one by one, as the published figure judges slices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.losses.planes import as_planes
from fusion.losses.windows import gaussian_window, inner_mean

NOISE = 2.0
"""σ_n², the variance of the eye's noise, in squared grey levels of 0–255."""
SCALES = 4
FAINT = 1e-10
"""Variances below this count as 0."""
LITTLE = 1.0
"""What a source tells in all, log₁₀, at least: one that is nearly flat has nothing to be faithful to."""


def visual_fidelity(source: Tensor, fused: Tensor) -> Tensor:
    """VIF of the fused picture against one source (batch,), mean over planes.

    Scales that a plane is too small for are left out.

    Parameters
    ----------
    source, fused : (batch, 1, z, y, x), on 0–255.
    """
    reference, other = as_planes(source), as_planes(fused)
    told = asked = reference.new_zeros(len(reference))
    for scale in range(SCALES):
        window = gaussian_window((2 ** (SCALES - scale) + 1) / 5, 2 ** (SCALES - scale - 1))
        if scale:
            reference, other = (inner_mean(x, window, every=2) for x in (reference, other))
        if min(reference.shape[-2:]) < len(window):
            break
        above, below = _information(reference, other, window)
        told, asked = told + above, asked + below
    return (told / asked.clamp_min(LITTLE)).reshape(len(source), -1).mean(1)


def _information(source: Tensor, fused: Tensor, window: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    moments = torch.cat([source, fused, source * source, fused * fused, source * fused], 1)
    mean_s, mean_f, square_s, square_f, product = inner_mean(moments, window).unbind(1)
    var_s = (square_s - mean_s * mean_s).clamp_min(0)
    var_f = (square_f - mean_f * mean_f).clamp_min(0)
    cov = product - mean_s * mean_f
    flat = (var_s < FAINT) | (var_f < FAINT)
    gain = torch.where(flat, torch.zeros_like(cov), cov / (var_s + FAINT))
    # A picture that runs against its source tells nothing of it.
    against = gain < 0
    rest = torch.where(against | flat, var_f, var_f - gain * cov).clamp_min(FAINT)
    gain, var_s = gain.clamp_min(0), torch.where(var_s < FAINT, torch.zeros_like(var_s), var_s)
    told = torch.log10(1 + gain * gain * var_s / (rest + NOISE))
    return told.sum((1, 2)), torch.log10(1 + var_s / NOISE).sum((1, 2))
