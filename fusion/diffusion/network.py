"""The network of ``dmf-lp``: which source each voxel and each detail comes from, and a bounded correction.

Every source goes through one encoder; what the sources show together is the mean and the maximum of their features, so
neither their number nor their order plays a part. With vₘ and wₘₗ ≥ 0 that sum to 1 over the sources m, for every band
l of a Laplacian pyramid, and 0 < g < 1,

    x̂₁ = g · collapse(Σₘ wₘₗ Lₗ(Sₘ)) + (1 − g) Σₘ vₘ Sₘ + ρ · spread · tanh(r),   spread = maxₘ Sₘ − minₘ Sₘ,

held between minₘ Sₘ − ρ · spread and maxₘ Sₘ + ρ · spread: details of many scales, or the sources' own values where
those are to stay. Equal sources have no spread and any weights give them back, so fuse(A, A) = A; fuse(A, B) =
fuse(B, A); where all sources are black the result is. The weights say which source a voxel came from, and what goes
beyond them how much was invented. Untrained, the network is a soft LP-F beside a soft maximum.

All kernels are 3³. In a slice their middle planes act, as if the volume ended there: one set of weights serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.diffusion.architecture import MODALITIES, NetworkConfig
from fusion.diffusion.bands import Plan, collapse, gaussian, laplacian, local_energy

FAINT = 1e-4
"""Local energy, on a scale of 1, below which a detail counts as noise in the first guess of the weights."""
BASE, OWN, DARK = 4.0, 8.0, 0.002
"""First guess of a source's logit: a multiple of its brightness for the base; for its own values of the logarithm, so
that of two nearly black ones too the brighter wins."""
GATE = -2.0
"""First guess of the logit of g: mostly the sources' own values."""
HIDDEN = 16


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network sees.

    Parameters
    ----------
    sources : (batch, sources, z, y, x), about 0 to 1, filled where they have no data.
    plan : which axes each level halves.
    modalities : (batch, sources), numbers of :data:`MODALITIES`.
    barred : for each level, bands and base, coefficients that may not be chosen; None where all have data everywhere.
    """

    sources: Tensor
    plan: Plan
    modalities: Tensor
    barred: Sequence[Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says.

    Parameters
    ----------
    fused : (batch, 1, z, y, x), the estimate x̂₁ of the clean fused picture.
    weights : for each band and the base, finest first, (batch, sources, z, y, x) of that level.
    own : v (batch, sources, z, y, x).
    gate : g (batch, 1, z, y, x).
    invented : (batch, 1, z, y, x), what ``fused`` has beyond the weighted sources.
    """

    fused: Tensor
    weights: list[Tensor]
    own: Tensor
    gate: Tensor
    invented: Tensor


class FusionNetwork(nn.Module):
    """Sources, a state on the path and its time → the clean fused picture."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.modality = nn.Embedding(len(MODALITIES), widths[0])
        self.enter = Convolution(1, widths[0])
        self.encoder = nn.ModuleList(Block(width) for width in widths)
        self.down = nn.ModuleList(Convolution(fine, coarse) for fine, coarse in pairwise(widths))
        self.time = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, sum(widths)))
        self.join = nn.ModuleList(Convolution(2 * width + 1, width) for width in widths)
        self.up = nn.ModuleList(Convolution(coarse, fine) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(Block(width) for width in widths)
        self.votes = nn.ModuleList(Votes(width) for width in widths)
        self.own_votes = Votes(widths[0])
        self.correction = Convolution(widths[0], 2)
        nn.init.zeros_(self.correction.weight)
        nn.init.constant_(self.correction.bias[1:], GATE)

    def forward(self, inputs: Inputs, state: Tensor, time: Tensor) -> Prediction:
        """The estimate of the clean fused picture.

        Parameters
        ----------
        inputs : the sources.
        state : x_t (batch, 1, z, y, x), on the sources' scale.
        time : t (batch,), 0 where the state is the pre-fusion, near 1 where it is the result.
        """
        number, plan = inputs.sources.shape[1], inputs.plan
        own = [self._encoded(inputs.sources[:, m : m + 1], inputs.modalities[:, m], plan) for m in range(number)]
        shared = self._decoded(own, gaussian(state, plan), time, plan)
        weights, details = self._details(inputs, own, shared)
        absent = None if inputs.barred is None else inputs.barred[0]
        guess = OWN * torch.log(inputs.sources.clamp_min(0) + DARK)
        kept = self.own_votes(guess, [e[0] for e in own], shared[0], absent)
        values = (kept * inputs.sources).sum(1, keepdim=True)
        correction, gate = self.correction(calmed(shared[0])).to(values.dtype).split(1, 1)
        gate = gate.sigmoid()
        mixed = gate * details + (1 - gate) * values
        low, high = inputs.sources.amin(1, keepdim=True), inputs.sources.amax(1, keepdim=True)
        beyond = self.config.residual * (high - low)
        fused = (mixed + beyond * correction.tanh()).clamp(low - beyond, high + beyond)
        return Prediction(fused, weights, kept, gate, fused - mixed)

    def _encoded(self, source: Tensor, modality: Tensor, plan: Plan) -> list[Tensor]:
        x = self.enter(source) + self.modality(modality)[:, :, None, None, None]
        levels = [self.encoder[0](functional.silu(x))]
        for i, axes in enumerate(plan):
            x = functional.silu(self.down[i](calmed(levels[-1]), axes))
            levels.append(self.encoder[i + 1](x))
        return levels

    def _decoded(self, own: Sequence[list[Tensor]], state: Sequence[Tensor], time: Tensor, plan: Plan) -> list[Tensor]:
        """Features of all sources together on each level, finest first; the state joins on each."""
        told = self.time(torch.stack([time, (time * (1 - time)).clamp_min(0).sqrt()], 1))
        offsets = told.split(list(self.config.widths), 1)
        out: list[Tensor] = []
        for i in reversed(range(len(plan) + 1)):
            levels = [features[i] for features in own]
            together = torch.cat([_mean(levels), _greatest(levels), state[i].to(levels[0].dtype)], 1)
            x = self.join[i](calmed(together)) + offsets[i][:, :, None, None, None].to(together.dtype)
            if out:
                x = x + _doubled(self.up[i](calmed(out[-1])), x.shape[2:], plan[i])
            out.append(self.decoder[i](functional.silu(x)))
        return out[::-1]

    def _details(
        self, inputs: Inputs, own: Sequence[list[Tensor]], shared: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """The weights of all bands, and the picture that the weighted bands make."""
        bands, weights = laplacian(inputs.sources, inputs.plan), []
        for i, band in enumerate(bands):
            is_base = i == len(inputs.plan)
            guess = BASE * band if is_base else 0.5 * torch.log(local_energy(band) + FAINT)
            barred = None if inputs.barred is None else inputs.barred[i]
            weights.append(self.votes[i](guess, [features[i] for features in own], shared[i], barred))
        chosen = [(w * band).sum(1, keepdim=True) for w, band in zip(weights, bands, strict=True)]
        return weights, collapse(chosen, inputs.plan)


class Votes(nn.Module):
    """How much each source counts: a softmax over the sources of a first guess and what their features add to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.shared = nn.Conv3d(width, HIDDEN, 1), nn.Conv3d(width, HIDDEN, 1)
        self.logit = nn.Conv3d(HIDDEN, 1, 1, bias=False)
        self.kappa = nn.Parameter(torch.ones(1))
        nn.init.zeros_(self.logit.weight)

    def forward(self, guess: Tensor, own: Sequence[Tensor], shared: Tensor, barred: Tensor | None) -> Tensor:
        """Weights (batch, sources, z, y, x) that sum to 1.

        Parameters
        ----------
        guess : logits to begin with, same shape.
        own : each source's features (batch, width, z, y, x).
        shared : those of all together.
        barred : where a source may not count.
        """
        together = self.shared(calmed(shared))
        added = [self.logit(functional.silu(self.own(calmed(features)) + together)) for features in own]
        logits = self.kappa * guess + torch.cat(added, 1).to(guess.dtype)
        return (logits if barred is None else logits.masked_fill(barred, float("-inf"))).softmax(1)


class Convolution(nn.Module):
    """A 3³ convolution with zeros outside, at every second voxel of chosen axes; in a slice its middle planes act."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outside, inside, 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outside))
        # A slice uses nine of the 27 taps; their variance is set for half way between both uses.
        nn.init.normal_(self.weight, std=(2 / (inside * 15)) ** 0.5)

    def forward(self, x: Tensor, halved: Sequence[int] = ()) -> Tensor:
        """(batch, inside, z, y, x) → (batch, outside, …), (n + 1) // 2 voxels along the halved axes."""
        stride = tuple(2 if axis in halved else 1 for axis in range(3))
        if x.shape[2] == 1:
            plane = x.squeeze(2).contiguous(memory_format=torch.channels_last)
            return functional.conv2d(plane, self.weight[:, :, 1], self.bias, stride[1:], padding=1).unsqueeze(2)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        return functional.conv3d(x, self.weight, self.bias, stride, padding=1)


class Block(nn.Module):
    """x + conv(silu(conv(calmed x))), both of one width; the second starts small."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(width, width), Convolution(width, width)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        added: Tensor = self.second(functional.silu(self.first(calmed(x))))
        return x + added


def calmed(x: Tensor) -> Tensor:
    """x / √(1 + mean over the channels of x²) at every voxel: small features stay, large ones cannot grow without end.

    Of one voxel alone, so that a block's features are those of the whole.
    """
    return x * torch.rsqrt(1 + (x * x).mean(1, keepdim=True))


def _mean(features: Sequence[Tensor]) -> Tensor:
    """Without a stack of all, which would hold them twice."""
    total = features[0]
    for other in features[1:]:
        total = total + other
    return total / len(features)


def _greatest(features: Sequence[Tensor]) -> Tensor:
    out = features[0]
    for other in features[1:]:
        out = torch.maximum(out, other)
    return out


def _doubled(x: Tensor, shape: Sequence[int], axes: Sequence[int]) -> Tensor:
    """Every voxel repeated along the axes, cut to ``shape``."""
    for axis in axes:
        x = x.repeat_interleave(2, axis + 2).narrow(axis + 2, 0, shape[axis])
    return x
