"""What ``dmf-lp`` is trained for: the clean target, and that each clean source stays to be seen.

L = λ_t |x̂₁ − x₁| − λ_g (Σ_k λ_k bent(gain_k) − λ_o Σₘ hidden) + λ_e Σₘ edges + λ_w dimmed + λ_h entropy, x₁ the LP-F
of the clean sources. Gains are relative, those of the field's figures of all sources together over the pixelwise
maximum's: SCD, VIF, Q and SSIM; up to what is asked of a figure a gain counts four times what it does beyond. Sums over
the sources are highest where one is copied and the others are left out; against that stand two hinges on each source by
itself: its strong edges, and its own VIF where that falls below a share of the maximum's. In flat white VIF also counts
patterns of a few grey levels that no eye sees: what is white in a source is to stay white. Gains are asked where the
sources came undegraded: there nothing is to be recovered, and what remains is to show all of them. Metrics that are
losses are no evidence of quality: the edges lost, d′ and the recovery of the target are judged beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fusion.diffusion.objective_config import ObjectiveConfig
from fusion.losses.differences import difference_correlation
from fusion.losses.edge_transfer import edge_transfer
from fusion.losses.entropy import boundary_entropy_hinge, entropy_hinge
from fusion.losses.figure_scales import FLAT, LEAST, LEVELS, RANGE, TOLD
from fusion.losses.ssim import ssim
from fusion.losses.strong_edges import strong_edge_hinge
from fusion.losses.visual_fidelity import visual_fidelity
from fusion.losses.windows import uniform_window

ASKED = {"SCD": 0.2, "VIF": 0.2, "Q": 0.1, "SSIM": 0.01}
"""Relative gains that are asked for; ascending the pixels of SPECT pairs reached these together."""
BEYOND = 0.25
"""What a gain beyond that counts."""
MOST = 0.5
"""Gain beyond that from which on nothing more is asked, so that none drowns the rest."""
BINS = 32
KEPT = 0.65
"""Of the VIF of a source that the maximum has, what is to stay."""
LOUDEST = 30.0
FAINT = 1e-7


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
    shown = held(fused)
    seen, there = tamed(shown[undegraded]), sources[undegraded]
    if config.target:
        terms["target"] = config.target * 10 * _error(config, fused, target, undegraded)
    if config.gains:
        terms["gains"] = config.gains * (_gains(config, seen, there) if len(seen) else fused.sum() * 0)
    if config.edges:
        lost = [strong_edge_hinge(shown, own).mean() for own in _each(sources)]
        terms["edges"] = config.edges * torch.stack(lost).sum()
    if config.white:
        terms["white"] = config.white * (_dimmed(seen, there) if len(seen) else fused.sum() * 0)
    if config.entropy:
        terms["entropy"] = config.entropy * entropy_hinge(fused.clamp(0, 1), sources.clamp(0, 1), BINS).mean()
    if config.boundary_entropy:
        hinge = boundary_entropy_hinge(fused.clamp(0, 1), sources.clamp(0, 1), BINS)
        terms["boundary_entropy"] = config.boundary_entropy * hinge.mean()
    return terms


def held(fused: Tensor) -> Tensor:
    """The picture cut to 0 to 1, as a file holds it; beyond, gradients pass that lead back, and no others.

    Else a picture would seem to show what it draws above the brightest white, on a saturated source, and lose it there.
    """
    cut = fused + (fused.clamp(0, 1) - fused).detach()
    if cut.requires_grad:
        above, below = fused.detach() > 1, fused.detach() < 0
        cut.register_hook(lambda g: g.masked_fill((above & (g < 0)) | (below & (g > 0)), 0.0))  # type: ignore[no-untyped-call]
    return cut


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


def _gains(config: ObjectiveConfig, fused: Tensor, sources: Tensor) -> Tensor:
    with torch.no_grad():
        highest = sources.amax(1, keepdim=True)
        told_before = _told(highest, sources)
        before = _figures(highest, sources, told_before)
    weights = {"SCD": config.differences, "VIF": config.fidelity, "Q": config.transfer, "SSIM": config.similarity}
    told = _told(fused, sources)
    total = -config.own_fidelity * (KEPT - told / told_before.clamp_min(TOLD)).clamp_min(0).sum(0)
    for name, figure in _figures(fused, sources, told).items():
        gain = (figure - before[name]) / before[name].clamp_min(LEAST[name])
        total = total + weights[name] * _bent(gain, ASKED[name])
    shown = (sources.flatten(2).std(2) > FLAT).all(1).to(total.dtype)
    return -(shown * total).mean()


def _dimmed(fused: Tensor, sources: Tensor) -> Tensor:
    """By how many grey levels what is white in a source comes darker, mean over all voxels."""
    white = sources.amax(1, keepdim=True) >= 1 - 0.5 / LEVELS
    return LEVELS * (white * (1 - fused).clamp_min(0)).mean()


def _each(sources: Tensor) -> list[Tensor]:
    return [sources[:, m : m + 1] for m in range(sources.shape[1])]


def _told(fused: Tensor, sources: Tensor) -> Tensor:
    """VIF of each source (sources, batch)."""
    return torch.stack([visual_fidelity(LEVELS * own, LEVELS * fused) for own in _each(sources)])


def _figures(fused: Tensor, sources: Tensor, told: Tensor) -> Mapping[str, Tensor]:
    """Each of all sources together (batch,)."""
    own = _each(sources)
    similar = [ssim(LEVELS * s, LEVELS * fused, RANGE, uniform_window(), sampled=True, inner=True)[:, 0] for s in own]
    return {
        "SCD": difference_correlation(fused, sources),
        "VIF": told.sum(0),
        "Q": edge_transfer(sources, fused),
        "SSIM": torch.stack(similar).sum(0),
    }


def _bent(gain: Tensor, asked: float) -> Tensor:
    """The gain as far as it is asked for, a share of what is beyond."""
    return gain.clamp(-1.0, asked) + BEYOND * (gain - asked).clamp(0.0, MOST)
