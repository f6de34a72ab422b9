"""What ``dmf-lp`` is trained for: the clean target, and that each clean source stays to be seen.

L = λ_t |x̂₁ − x₁| + λ_g Σ_k hinge(gain_k) + λ_e Σₘ edges + λ_h entropy, x₁ the LP-F of the clean sources. Gains are
those of the field's figures over the pixelwise maximum, in shares of what they usually are: VIF and Q of each source
apart, so that none is bought at the other's cost, SCD and SSIM; a loss counts three times what a gain does. They are
asked where the sources came undegraded: there nothing is to be recovered, and what remains is to show all of them.
Metrics that are losses are no evidence of quality: the edges lost, d′ and the recovery of the target are judged beside
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fusion.diffusion.objective_config import ObjectiveConfig
from fusion.losses.differences import difference_correlation
from fusion.losses.edge_transfer import edge_transfer
from fusion.losses.entropy import boundary_entropy_hinge, entropy_hinge
from fusion.losses.ssim import ssim
from fusion.losses.strong_edges import strong_edge_hinge
from fusion.losses.visual_fidelity import visual_fidelity
from fusion.losses.windows import uniform_window

LEVELS = 255.0
"""Grey levels that the common scale of 0 to 1 has in the field's figures."""
ENOUGH = 0.02
"""Relative gain below which a figure pulls three times as hard."""
BINS = 32
USUAL = {"SCD": 2.5, "VIF": 0.3, "Q": 0.5, "SSIM": 1.4}
"""What the figures of the pixelwise maximum are about, a source; twice that of SCD, which is the easiest to raise."""
FLAT = 0.03
"""Deviation, on the scale of 1, below which a source shows nothing to be judged by."""
LOUDEST = 30.0
FAINT = 1e-7
RANGE = 4.0
"""Of SSIM: near the published 2 of 255, where black must stay black, and less steep there."""


def objective(
    config: ObjectiveConfig, fused: Tensor, target: Tensor, sources: Tensor, undegraded: Tensor
) -> dict[str, Tensor]:
    """The weighted terms by name, each a number.

    Parameters
    ----------
    config : the weights.
    fused : x̂₁ (batch, 1, z, y, x), on a scale of about 0 to 1.
    target : x₁, same shape.
    sources : the clean sources (batch, sources, z, y, x).
    undegraded : which items were seen clean (batch,) bool.
    """
    terms: dict[str, Tensor] = {}
    seen, there = tamed(fused[undegraded]), sources[undegraded]
    if config.target:
        terms["target"] = config.target * 10 * _error(config, fused, target, undegraded)
    if config.gains:
        terms["gains"] = config.gains * (_gains(seen, there, config.similarity) if len(seen) else fused.sum() * 0)
    if config.edges:
        own = [sources[:, m : m + 1] for m in range(sources.shape[1])]
        terms["edges"] = config.edges * torch.stack([strong_edge_hinge(fused, s).mean() for s in own]).sum()
    if config.entropy:
        terms["entropy"] = config.entropy * entropy_hinge(fused.clamp(0, 1), sources.clamp(0, 1), BINS).mean()
    if config.boundary_entropy:
        hinge = boundary_entropy_hinge(fused.clamp(0, 1), sources.clamp(0, 1), BINS)
        terms["boundary_entropy"] = config.boundary_entropy * hinge.mean()
    return terms


def tamed(fused: Tensor) -> Tensor:
    """The same picture, for whose gradient no voxel counts more than :data:`LOUDEST` times the median of its item.

    The figures are steep where gradients vanish or all is black, and a single voxel there would drown the others.
    """
    out = fused * 1
    if out.requires_grad and len(out):
        out.register_hook(_bounded)  # type: ignore[no-untyped-call]
    return out


def _bounded(gradient: Tensor) -> Tensor:
    flat = gradient.nan_to_num(0.0, 0.0, 0.0).flatten(1)
    limit = LOUDEST * flat.abs().median(1, keepdim=True).values + FAINT
    return flat.clamp(-limit, limit).reshape(gradient.shape)


def _error(config: ObjectiveConfig, fused: Tensor, target: Tensor, undegraded: Tensor) -> Tensor:
    """Where gains are asked of undegraded items, the target weighs less there: it is not the best for them."""
    share = torch.where(undegraded, config.target_undegraded, 1.0) if config.gains else torch.ones(len(fused))
    errors = (fused - target).abs().flatten(1).mean(1)
    return (share.to(errors) * errors).mean()


def _gains(fused: Tensor, sources: Tensor, similarity: float) -> Tensor:
    highest = sources.amax(1, keepdim=True)
    with torch.no_grad():
        before = _figures(highest, sources)
    after = _figures(fused, sources)
    total = fused.new_zeros(len(fused))
    for name, figure in after.items():
        kind = name.rstrip("0123456789")
        gain = (figure - before[name]) / USUAL[kind]
        total = total + (similarity if kind == "SSIM" else 1.0) * _bent(gain)
    shown = (sources.flatten(2).std(2) > FLAT).all(1).to(total.dtype)
    return -(shown * total).mean()


def _figures(fused: Tensor, sources: Tensor) -> Mapping[str, Tensor]:
    out = {"SCD": difference_correlation(fused, sources)}
    similar = []
    for m in range(sources.shape[1]):
        own = sources[:, m : m + 1]
        out[f"VIF{m}"] = visual_fidelity(LEVELS * own, LEVELS * fused)
        out[f"Q{m}"] = edge_transfer(own, fused)
        similar.append(ssim(LEVELS * own, LEVELS * fused, RANGE, uniform_window(), sampled=True, inner=True)[:, 0])
    return {**out, "SSIM": torch.stack(similar).sum(0)}


def _bent(gain: Tensor) -> Tensor:
    """The gain, three times as steep below :data:`ENOUGH`; large ones saturate, so that none drowns the rest."""
    return gain.clamp_max(0.5) + 2 * (gain - ENOUGH).clamp(-1.0, 0.0)
