"""LP-F, Laplacian pre-fusion: choose among the sources' details level by level, join their bases, collapse.

Lₗ(fused) = Lₗ of the source with the larger energy there; top(fused) = mean, weighted or not, or maximum of the tops
(Burt & Kolczynski 1993, "Enhanced image capture through fusion"; Toet 1989 for the choice by single coefficients).
With F the fusion, F(A, A) = A; F(A, B) = F(B, A); F(cA + d, cB + d) = c F(A, B) + d for c > 0: to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fusion.details import chosen_details
from fusion.gaps import barred
from fusion.matched import fused_on_common_scale, matched_scales
from fusion.saliency import entropies, softmax, weighted_mean
from fusion.scales import Match, Scale
from volumes import Volume
from volumes.pyramid import Level, collapse, detail, gaussian_pyramid
from volumes.shapes import ChannelVoxels, Mask, Triple, Voxels


class LPFConfig(BaseModel):
    """How LP-F is done.

    Parameters
    ----------
    detail : compare the sums of squares over 3³ voxels (``local-energy``) or single coefficients (``max-abs``).
    base : how the coarsest levels are joined; ``entropy`` is their mean, weighted by the softmax over the sources of
        their local entropies (5³ voxels, full resolution), brought to that level.
    temperature_bits : τ of that softmax; a source with τ bits more than another counts e times as much.
    levels : how many detail bands at most; None goes on until no axis has 8 voxels left.
    match : ``percentile`` brings the sources onto one scale first, the same for all frames of a movie; ``none`` takes
        them as they are. Scales given here, one a source, are used unmeasured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lpf"] = "lpf"
    detail: Literal["max-abs", "local-energy"] = "local-energy"
    base: Literal["mean", "max", "entropy"] = "mean"
    temperature_bits: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    levels: int | None = Field(default=None, ge=1)
    match: Match = "percentile"

    def build(self) -> LPF:
        """The fuser."""
        return LPF(self)


@dataclass(frozen=True)
class LPF:
    """Laplacian pre-fusion of any number of sources; nothing is learnt."""

    config: LPFConfig = field(default_factory=LPFConfig)

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """The fused volume, float32, on the common scale that :meth:`scales` tells; 0 where no source is valid.

        Raises
        ------
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        """
        return fused_on_common_scale(volumes, self.config.match, self._combined)

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """How each source's own unit becomes that of the fused volume, in the order of the sources.

        Parameters
        ----------
        volumes : the sources.
        channel : which of their channels.

        Raises
        ------
        ContentError, GridError : the volumes cannot be fused; see :func:`fusion.fuse`.
        """
        return matched_scales(volumes, self.config.match, channel)

    def _combined(
        self, sources: list[Voxels], masks: list[Mask] | None, spacing_um: Triple, channel: int | str
    ) -> Voxels:
        del channel  # One rule for all.
        levels = self.config.levels
        pyramids = [gaussian_pyramid(source, spacing_um, levels) for source in sources]
        bars = None if masks is None else barred(masks, spacing_um, levels)
        tops = np.stack([pyramid[-1].data for pyramid in pyramids])
        top = Level(self._base(tops, sources, masks, spacing_um), pyramids[0][-1].spacing_um)
        return collapse([*self._bands(pyramids, bars), top])

    def _bands(self, pyramids: Sequence[Sequence[Level]], bars: Sequence[Mask] | None) -> list[Level]:
        radius = 1 if self.config.detail == "local-energy" else 0
        bands = []
        for i, finest in enumerate(pyramids[0][:-1]):
            details = np.empty((len(pyramids), *finest.data.shape), np.float32)
            for pyramid, out in zip(pyramids, details, strict=True):
                detail(pyramid[i], pyramid[i + 1], out)
            chosen = chosen_details(details, None if bars is None else bars[i], radius)
            bands.append(Level(chosen, finest.spacing_um))
        return bands

    def _base(
        self, tops: ChannelVoxels, sources: Sequence[Voxels], masks: Sequence[Mask] | None, spacing_um: Triple
    ) -> Voxels:
        if self.config.base == "max":
            return np.asarray(tops.max(axis=0))
        if self.config.base == "mean":
            return np.asarray(tops.mean(axis=0, dtype=np.float64), np.float32)
        maps = entropies(sources, masks)
        levels = [gaussian_pyramid(bits, spacing_um, self.config.levels)[-1].data for bits in maps]
        return weighted_mean(tops, softmax(np.stack(levels), self.config.temperature_bits))
