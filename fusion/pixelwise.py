"""The pixelwise fusers that any other is held against: the mean of the sources, and their maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Match, Scale
from volumes import Volume
from volumes.shapes import Mask, Triple, Voxels


class MeanConfig(BaseModel):
    """The mean of the sources: halves what only one of two shows.

    Parameters
    ----------
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mean"] = "mean"
    match: Match = "percentile"

    def build(self) -> Pixelwise:
        """The fuser."""
        return Pixelwise(self)


class MaxConfig(BaseModel):
    """The maximum of the sources: the brightest wins, and hides the others where it is saturated.

    Parameters
    ----------
    match : as in :class:`fusion.LPFConfig`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["max"] = "max"
    match: Match = "percentile"

    def build(self) -> Pixelwise:
        """The fuser."""
        return Pixelwise(self)


@dataclass(frozen=True)
class Pixelwise:
    """F = (1/M) Σ Sₘ or F = max Sₘ, over the sources that are valid at the voxel."""

    config: MeanConfig | MaxConfig = field(default_factory=MeanConfig)

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
        # What is filled holds the mean of the valid ones: it leaves their mean as it is, and is never the only maximum.
        del masks, spacing_um, channel
        if self.config.kind == "max":
            return np.asarray(np.maximum.reduce(sources))
        return np.asarray(np.mean(sources, axis=0, dtype=np.float64), np.float32)
