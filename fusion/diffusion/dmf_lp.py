"""``dmf-lp``: from the pre-fusion of the sources, in one or a few learnt steps, to what the clean sources would give.

In the style of DMF-LP, whose letter cannot learn (:mod:`fusion.diffusion.literal` says why): a diffusion bridge from
the LP-F of degraded sources to the LP-F of clean ones. The network chooses, band by band, among the sources' details,
and may add a bounded correction; so every result can say which source each voxel came from and how much was invented.
A picture of one plane is then led some steps by the gradient of what it is asked for (:mod:`fusion.guidance`).
With F the fusion and c > 0, F(A, A) = A to float32 rounding, F(A, B) = F(B, A) exactly, and F(cA + d, cB + d) = c
F(A, B) + d to rounding again, which guidance enlarges: to some thousandths of the scale, at a voxel in a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fusion.diffusion.architecture import NetworkConfig, number_of
from fusion.guidance.config import GuidanceConfig
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Match, Scale
from volumes import Channel, Volume
from volumes.device import DeviceName, Precision
from volumes.errors import ContentError
from volumes.shapes import ChannelVoxels, Mask, Triple, Voxels


class DMFLPConfig(BaseModel):
    """How the trained fuser is run.

    Parameters
    ----------
    goal : which of the package's weights: those that ``show`` clean sources at their best, or those that ``recover``
        what noisy and blurred ones would show if they were clean. With ``weights`` of one's own it still says whether
        pictures are led to show their sources, which noise is not to be.
    weights : a file that ``fusetrack train`` wrote; None takes the package's own.
    network : the architecture that the weights must have.
    steps : of the walk along the bridge; one is the regression.
    samples : 0 is deterministic; K ≥ 2 draws K walks, gives their mean, and their deviation in :meth:`DMFLP.explain`.
    sigma : σ of the bridge when it is sampled, on the scale of the sources.
    seed : of the samples.
    guidance : how the walk's result is led further: a single plane by default, a volume only where it is asked for.
    match : how the sources come onto one scale, as for LP-F.
    block : voxels along the side of a block; larger volumes are fused block by block.
    device : refused where it is not there.
    precision : of the network; ``bfloat16`` is faster on processors that have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dmf-lp"] = "dmf-lp"
    goal: Literal["show", "recover"] = "show"
    weights: Path | None = None
    network: NetworkConfig = NetworkConfig()
    steps: int = Field(1, ge=1, le=1000)
    samples: int = Field(0, ge=0, le=1000)
    sigma: float = Field(0.1, ge=0, allow_inf_nan=False)
    seed: int = Field(0, ge=0)
    guidance: GuidanceConfig = GuidanceConfig()
    match: Match = "percentile"
    block: int = Field(144, ge=64)
    device: DeviceName = "cpu"
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _samples_need_steps(self) -> DMFLPConfig:
        if self.samples == 1 or (self.samples and self.steps == 1):
            raise ValueError("samples need two walks or more of two steps or more: a single step has no noise")
        return self

    def build(self) -> DMFLP:
        """The fuser; its weights are read when it first fuses."""
        return DMFLP(self)


@dataclass(frozen=True, eq=False)
class Explained:
    """A fused volume, and where it comes from.

    Parameters
    ----------
    fused : the result.
    provenance : a channel for each source, its share 0 to 1 of what is seen at each voxel; they sum to 1.
    invented : how far ``fused`` is from the weighted sources alone, ≥ 0, in its unit: what the correction added, at
        most ρ times their spread; what guidance did; what it took to hold details that overshoot within their range.
    deviation : standard deviation of the samples; None without samples.
    """

    fused: Volume
    provenance: Volume
    invented: Volume
    deviation: Volume | None


@dataclass(frozen=True)
class DMFLP:
    """The trained fuser."""

    config: DMFLPConfig = field(default_factory=DMFLPConfig)

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, on the common scale that :meth:`scales` tells; 0 where no source is valid.

        Raises
        ------
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        ConfigError : the device is not there.
        WeightsError : no such weights, damaged ones, or those of another network.
        """
        return fused_on_common_scale(volumes, self.config.match, partial(self._combined, volumes, None))

    def explain(self, volumes: Sequence[Volume]) -> Explained:
        """The fused volume with its maps, of sources of one channel each.

        Raises
        ------
        ContentError, GridError, ConfigError, WeightsError : as :meth:`fuse`; less than two sources, several channels.
        """
        if len(volumes) < 2 or any(len(volume.channels) > 1 for volume in volumes):
            remedy = "Give one volume for each channel"
            raise ContentError("needs two or more sources of one channel each", field="volumes", remedy=remedy)
        found: list[ChannelVoxels] = []
        fused = fused_on_common_scale(volumes, self.config.match, partial(self._combined, volumes, found))
        number, maps = len(volumes), found[0]
        names = tuple(Channel(f"{i} {volume.channels[0].name}", "share") for i, volume in enumerate(volumes))
        return Explained(
            fused,
            replace(fused, data=maps[1 : number + 1], channels=names),
            fused.with_data(maps[number + 1 : number + 2]),
            fused.with_data(maps[number + 2 :]) if self.config.samples > 1 else None,
        )

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """As :func:`fusion.matched.matched_scales`."""
        return matched_scales(volumes, self.config.match, channel)

    def _combined(
        self,
        volumes: Sequence[Volume],
        found: list[ChannelVoxels] | None,
        sources: list[Voxels],
        masks: list[Mask] | None,
        spacing_um: Triple,
        channel: int | str,
    ) -> Voxels:
        """The network sees the sources' joint range as 0 to 1, so that no unit plays a part, in an order of its own."""
        from fusion.diffusion.inference import maps_of
        from fusion.diffusion.unit_range import unit_range

        found_range = unit_range(sources)
        low, span = np.float32(found_range.low), np.float32(found_range.span)
        modalities = [number_of(_modality(volume, channel)) for volume in volumes]
        order = _order(sources, modalities)
        stacked = np.stack([(sources[i] - low) / span for i in order])
        own = None if masks is None else [masks[i] for i in order]
        maps = maps_of(self.config, stacked, own, [modalities[i] for i in order], spacing_um, keep=found is not None)
        maps[0] = maps[0] * span + low
        if found is not None:
            maps[[i + 1 for i in order]] = maps[1 : len(order) + 1].copy()
            maps[len(sources) + 1 :] *= span
            found.append(maps)
        return np.asarray(maps[0])


def _order(sources: Sequence[Voxels], modalities: Sequence[int]) -> list[int]:
    """One that depends on what the sources are alone, so that theirs leaves no trace, not even in the last bit."""
    return sorted(range(len(sources)), key=lambda i: (modalities[i], sources[i].tobytes()))


def _modality(volume: Volume, channel: int | str) -> str:
    names = [own.name for own in volume.channels]
    return volume.channels[channel if isinstance(channel, int) else names.index(channel)].modality
