"""The weighted mean of the sources: weights that are given, or what each source has to say around a voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fusion.local_entropy import RADIUS
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.saliency import entropies, local_variances, softmax, weighted_mean
from fusion.scales import Match, Scale
from volumes import Volume
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Mask, Triple, Voxels

Weight: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class WeightedConfig(BaseModel):
    """How the sources are weighted.

    Parameters
    ----------
    weights : ``local-energy``: the variance of each source in a window around the voxel; ``local-entropy``: the softmax
        over the sources of the entropies there. Numbers, one a source, are used as they are, everywhere.
    radius : of the window, voxels: 2 for 5³.
    temperature_bits : τ of the softmax; a source with τ bits more than another counts e times as much.
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["weighted"] = "weighted"
    weights: Literal["local-energy", "local-entropy"] | tuple[Weight, ...] = "local-energy"
    radius: int = Field(default=RADIUS, ge=1, le=8)
    temperature_bits: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    match: Match = "percentile"

    @model_validator(mode="after")
    def _some_weight(self) -> WeightedConfig:
        if not isinstance(self.weights, str) and not sum(self.weights) > 0:
            raise ValueError("weights: one of them must be above 0")
        return self

    def build(self) -> Weighted:
        """The fuser."""
        return Weighted(self)


@dataclass(frozen=True)
class Weighted:
    """F = Σ wₘ Sₘ / Σ wₘ over the sources that are valid at the voxel."""

    config: WeightedConfig = field(default_factory=WeightedConfig)

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, on the common scale that :meth:`scales` tells; 0 where no source is valid.

        Raises
        ------
        ConfigError : another number of weights than of sources.
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        """
        given = self.config.weights
        if not isinstance(given, str) and len(given) != len(volumes):
            raise ConfigError(f"{len(given)} weights for {len(volumes)} sources", field="weights")
        return fused_on_common_scale(volumes, self.config.match, self._combined)

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """As :func:`fusion.matched.matched_scales`."""
        return matched_scales(volumes, self.config.match, channel)

    def _combined(
        self, sources: list[Voxels], masks: list[Mask] | None, spacing_um: Triple, channel: int | str
    ) -> Voxels:
        del spacing_um, channel  # One rule for all, in voxels.
        weights = self._weights(sources, masks)
        return weighted_mean(np.stack(sources), weights if masks is None else weights * np.stack(masks))

    def _weights(self, sources: list[Voxels], masks: list[Mask] | None) -> AnyArray:
        given = self.config.weights
        if given == "local-energy":
            return local_variances(sources, masks, self.config.radius)
        if given == "local-entropy":
            return softmax(np.stack(entropies(sources, masks, self.config.radius)), self.config.temperature_bits)
        return np.reshape(np.asarray(given, np.float64), (-1, 1, 1, 1))
