"""Fusion without training on pairs (``kind: ddfm``): a diffusion prior of single pictures, corrected by the sources.

Reverse diffusion of an unconditional network; each estimate x̂₀ is replaced by what one EM step of the hierarchical
model of :mod:`fusion.diffusion.hierarchical` makes of it and the sources, and the walk goes on from there (Zhao et al.
2023, DDFM, arXiv:2303.06840). The network has seen clean pictures alone, never two of one thing, so any sources will
do. Where DDFM takes one EM step, five are the default here: one moves too little, since from x̂₀ each step goes only as
far as the splitting lets it, and with few steps of the walk the noise of the start is then still seen.

The noise of the walk comes from a seed: one seed, one result. Sources are exchangeable by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusion.diffusion.unet_sizes import UNetSizes
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Match, Scale
from volumes import Volume
from volumes.device import DeviceName, Precision, computing_in, require_device
from volumes.shapes import Mask, Triple, Voxels
from volumes.weights import load_into

if TYPE_CHECKING:
    from torch import Tensor

    from fusion.diffusion.patched_unet import PatchedUNet

PRIOR = Path(__file__).parent.parent / "weights" / "prior.safetensors"
"""The prior that comes with the package."""
PRIOR_SIZES = UNetSizes(widths=(32, 40))
"""Its sizes: 0.9 million parameters."""
SURE = 0.01
"""The least of 1 − ᾱ_t that the prior's variance is taken from: nothing is believed without a doubt."""


class Likelihood(BaseModel):
    """How the sources are believed, on a scale where their range is 2.

    Parameters
    ----------
    deviation : b, how far the fused picture typically is from a source.
    gradient : ψ, how closely its gradient follows the steepest source's: 1/variance.
    coupling : η of the splitting between the two.
    prior_variance : r² of the prior's estimate when all is noise; it shrinks with 1 − ᾱ_t.
    em_steps, sweeps : at each step of the walk, EM steps, and how often the two variables take turns in one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deviation: float = Field(default=0.1, gt=0)
    gradient: float = Field(default=1600.0, ge=0)
    coupling: float = Field(default=400.0, gt=0)
    prior_variance: float = Field(default=4.0, gt=0)
    em_steps: int = Field(default=5, ge=1)
    sweeps: int = Field(default=3, ge=1)


class DDFMConfig(BaseModel):
    """How the walk is done.

    Parameters
    ----------
    weights : file of a trained prior; None looks for one beside the package's weights, where none is yet.
    network : sizes, as the weights were trained.
    likelihood : what the sources say.
    scheduler, steps : the walk back from noise, and how often the network is asked.
    seed : of the noise.
    device, precision : where and how the network computes; all else is in float32.
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ddfm"] = "ddfm"
    weights: Path | None = None
    network: UNetSizes = Field(default_factory=lambda: PRIOR_SIZES)
    likelihood: Likelihood = Field(default_factory=Likelihood)
    scheduler: Literal["ddim", "dpm-solver++"] = "ddim"
    steps: int = Field(default=25, ge=1, le=1000)
    seed: int = Field(default=0, ge=0)
    device: DeviceName = "cpu"
    precision: Precision = "float32"
    match: Match = "percentile"

    def build(self) -> DDFM:
        """The fuser, with its prior loaded.

        Raises
        ------
        WeightsError : no weights, or none that fit.
        ConfigError : no such device.
        """
        device = require_device(self.device)
        network = self.network.network(inputs=1)
        load_into(network, self.weights or PRIOR, prior_architecture(self.network))
        return DDFM(self, network.to(device).eval())


def prior_architecture(sizes: UNetSizes) -> dict[str, object]:
    """What the header of a prior's weights says of the network, which says v of pictures in [−1, 1]."""
    return {"kind": "prior", "inputs": 1, "prediction": "v_prediction", **sizes.model_dump(mode="json")}


@dataclass(frozen=True)
class DDFM:
    """The corrected walk from noise to a fused picture."""

    config: DDFMConfig
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

        from fusion.diffusion.hierarchical import Evidence, rectified, steepest
        from fusion.diffusion.noise import gaussian, sampled
        from fusion.diffusion.unit_range import unit_range

        config, device = self.config, require_device(self.config.device)
        unit, told = unit_range(sources), config.likelihood
        spacing = [length / min(spacing_um) for length in spacing_um]
        given = unit.to_net(sources, device)

        def predict(x: Tensor, time: Tensor) -> Tensor:
            with computing_in(config.precision, device):
                said: Tensor = self.network(x, time)
            return said.float()

        with torch.no_grad():
            evidence = Evidence(given, told.deviation, told.gradient, told.coupling, spacing)
            target = steepest(evidence)

            def correct(clean: Tensor, alpha_bar: float) -> Tensor:
                variance = told.prior_variance * max(1 - alpha_bar, SURE)
                return rectified(clean, variance, evidence, target, told.em_steps, told.sweeps).fused

            start = gaussian(sources[0].shape, config.seed, device)
            picture = sampled(predict, start, config.scheduler, config.steps, "v_prediction", correct)
        return unit.from_net(picture)
