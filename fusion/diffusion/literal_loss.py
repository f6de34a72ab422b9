"""DMF-LP's composite loss in its probable letter, term by term.

L = ‖ε − ε_θ‖² + ᾱ_t [λ₁ Σ_m w_m |x̂₀ − S_m| + λ₂ (1 − Σ_m w̄_m SSIM(x̂₀, S_m)) + λ₃ relu(max_m H(S_m) − H(x̂₀))/log₂ B
+ λ₄ ‖ |∇x̂₀| − max_m |∇S_m| ‖₁], x̂₀ = (x_t − √(1 − ᾱ_t) ε_θ)/√ᾱ_t, w_m = softmax_m(H_loc(S_m)/τ), w̄_m their mean.
"""

from __future__ import annotations

from torch import Tensor

from fusion.diffusion.literal_weights import LiteralWeights
from fusion.diffusion.noise import FURTHEST, clean_estimate
from fusion.losses.entropy import entropy_hinge, entropy_weights
from fusion.losses.gradient import gradient_magnitude
from fusion.losses.ssim import ssim


def literal_loss(
    predicted: Tensor,
    noise: Tensor,
    x: Tensor,
    alpha_bar: Tensor,
    sources: Tensor,
    weights: LiteralWeights,
) -> dict[str, Tensor]:
    """The terms of L by name, weighted, averaged over the batch; their sum is L.

    Parameters
    ----------
    predicted, noise : ε_θ and ε, (batch, 1, z, y, x).
    x : x_t of pictures in [−1, 1].
    alpha_bar : ᾱ_t of each sample, (batch,).
    sources : (batch, sources, z, y, x) in [0, 1].
    weights : the λ and what belongs to their terms.

    Returns
    -------
    ``noise``, and ``intensity``, ``structure``, ``entropy``, ``gradient`` where their λ is above 0; pictures count in
    [0, 1] there.
    """
    at = alpha_bar.view(-1, 1, 1, 1, 1)
    clean = (clean_estimate(predicted, x, at, "epsilon").clamp(-FURTHEST, FURTHEST) + 1) / 2
    terms = {"noise": (predicted - noise).square().mean()}
    shares = entropy_weights(sources, weights.temperature) if weights.intensity or weights.structure else sources
    if weights.intensity:
        each = (shares * (clean - sources).abs()).sum(1).flatten(1).mean(1)
        terms["intensity"] = weights.intensity * (alpha_bar * each).mean()
    if weights.structure:
        similar = (shares.mean((2, 3, 4)) * ssim(clean, sources, data_range=1.0)).sum(1)
        terms["structure"] = weights.structure * (alpha_bar * (1 - similar)).mean()
    if weights.entropy:
        lost = entropy_hinge(clean, sources, weights.bins)
        terms["entropy"] = weights.entropy * (alpha_bar * lost).mean()
    if weights.gradient:
        steepest = gradient_magnitude(sources).amax(1, keepdim=True)
        off = (gradient_magnitude(clean) - steepest).abs().flatten(1).mean(1)
        terms["gradient"] = weights.gradient * (alpha_bar * off).mean()
    return terms
