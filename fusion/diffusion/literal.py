"""DMF-LP in its probable letter (``kind: dmf-lp-literal``): diffusion onto the pre-fusion of the sources it is shown.

x₀ = LP-F(S₁, S₂, …); x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε; the net sees x_t, t and the sources, and estimates ε. The letter
concatenates two sources; here any number is pooled into their mean and their maximum at each voxel, which for two hold
the same as the two themselves but for their order.

What is wrong with the letter: LP-F is a deterministic function of the sources, and the sources are the condition, so
ε = (x_t − √ᾱ_t LP-F(S)) / √(1 − ᾱ_t) is known exactly. The posterior of x₀ is a delta: diffusion has nothing to learn
beyond LP-F itself, and the other terms of the loss do all the rest, while they pull against x₀ = LP-F. And who says ε
says x̂₀ only up to 157 times its error where the walk begins (:data:`fusion.diffusion.noise.FURTHEST`); a network that
says v instead bounds that. It is here to be compared with; ``dmf-lp`` learns from degraded sources, where the posterior
is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusion.diffusion.unet_sizes import UNetSizes
from fusion.lpf import LPF, LPFConfig
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Match, Scale
from fusion.sources import FUSED
from volumes import Volume, from_array
from volumes.device import DeviceName, Precision, computing_in, require_device
from volumes.errors import WeightsError
from volumes.shapes import Mask, Triple, Voxels
from volumes.weights import load_into

if TYPE_CHECKING:
    from torch import Tensor

    from fusion.diffusion.patched_unet import PatchedUNet

INPUTS = 3
"""x_t, the sources' mean and their maximum."""


class LiteralConfig(BaseModel):
    """How the letter is run.

    Parameters
    ----------
    weights : file of trained weights; none are shipped.
    network, prediction : sizes, and what it says, ε as in the letter or v, as the weights were trained.
    scheduler, steps : the walk back from noise, and how often the network is asked on a whole one.
    strength : share of the walk that is walked: 1 starts from noise alone, less from LP-F with noise on it.
    seed : of the noise: one seed, one result.
    device, precision : where and how the network computes; the walk itself is in float32.
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dmf-lp-literal"] = "dmf-lp-literal"
    weights: Path | None = None
    network: UNetSizes = Field(default_factory=UNetSizes)
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    scheduler: Literal["ddim", "dpm-solver++"] = "ddim"
    steps: int = Field(default=10, ge=1, le=1000)
    strength: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    device: DeviceName = "cpu"
    precision: Precision = "float32"
    match: Match = "percentile"

    def build(self) -> LiteralFuser:
        """The fuser, with its weights loaded.

        Raises
        ------
        WeightsError : no weights, or none that fit.
        ConfigError : no such device.
        """
        if self.weights is None:
            remedy = "Train them: fusetrack train configs/fusion/dmf_lp_literal.yaml, then give the file as weights"
            raise WeightsError(f"{self.kind} needs a file of weights; none are shipped", field="weights", remedy=remedy)
        device = require_device(self.device)
        network = self.network.network(INPUTS)
        load_into(network, self.weights, architecture(self.network, self.prediction))
        return LiteralFuser(self, network.to(device).eval())


def architecture(network: UNetSizes, prediction: str = "epsilon") -> dict[str, object]:
    """What the header of the weights says of the network."""
    return {"kind": "dmf-lp-literal", "inputs": INPUTS, "prediction": prediction, **network.model_dump(mode="json")}


def net_inputs(x: Tensor, sources: Tensor) -> Tensor:
    """What the network sees: x_t, mean and maximum of the sources, (batch, 3, z, y, x); all in [−1, 1].

    Summed in the order of size, so that the order of the sources leaves no trace.
    """
    import torch

    ordered = sources.sort(dim=1).values
    return torch.cat([x, ordered.mean(1, keepdim=True), ordered[:, -1:]], 1)


@dataclass(frozen=True)
class LiteralFuser:
    """The walk from noise to a fused picture, given the sources."""

    config: LiteralConfig
    network: PatchedUNet

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, on the common scale that :meth:`scales` tells; 0 where no source is valid.

        Raises
        ------
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        """
        return fused_on_common_scale(volumes, self.config.match, self._combined)

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """As :func:`fusion.matched.matched_scales`."""
        return matched_scales(volumes, self.config.match, channel)

    def _combined(
        self, sources: list[Voxels], masks: list[Mask] | None, spacing_um: Triple, channel: int | str
    ) -> Voxels:
        del masks, channel  # What is filled holds the mean of the valid sources; every channel is a picture of its own.
        import torch

        from fusion.diffusion.noise import first_alpha_bar, gaussian, noised, sampled
        from fusion.diffusion.unit_range import unit_range

        device, config = require_device(self.config.device), self.config
        unit = unit_range(sources)
        given = unit.to_net(sources, device)

        def predict(x: Tensor, time: Tensor) -> Tensor:
            with computing_in(config.precision, device):
                said: Tensor = self.network(net_inputs(x, given), time)
            return said.float()

        with torch.no_grad():
            start = gaussian(sources[0].shape, config.seed, device)
            if config.strength < 1:
                first = first_alpha_bar(config.scheduler, config.steps, config.strength).to(device)
                start = noised(unit.to_net([prefused(sources, spacing_um)], device), start, first)
            picture = sampled(
                predict, start, config.scheduler, config.steps, config.prediction, strength=config.strength
            )
        return unit.from_net(picture)


def prefused(sources: Sequence[Voxels], spacing_um: Triple) -> Voxels:
    """x₀ of the letter: LP-F of sources that are on one scale already, (z, y, x) each."""
    volumes = [from_array(source, spacing_um, modality=FUSED) for source in sources]
    return LPF(LPFConfig(match="none")).fuse(volumes).channel()
