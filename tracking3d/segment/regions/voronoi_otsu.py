"""Voronoi–Otsu: Otsu's foreground, shared out among the local maxima of a smoother picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.regions.voronoi import voronoi
from tracking3d.segment.spots.seeds import maxima
from tracking3d.segment.thresholds.level import foreground
from tracking3d.segment.typical import measured_radius_um
from volumes.volume import Volume

SPOT, OUTLINE = 0.5, 0.15
"""The two Gaussians, as shares of the typical radius."""


class VoronoiOtsuConfig(BaseModel):
    """How Voronoi–Otsu labelling finds cells (after clEsperanto's). Lengths are in µm.

    Parameters
    ----------
    spot_sigma_um : Gaussian σ before the local maxima, one for each cell, are taken; left out, 0.5 of
        the typical radius.
    outline_sigma_um : Gaussian σ before Otsu's threshold; left out, 0.15 of the typical radius.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["voronoi-otsu"] = "voronoi-otsu"
    spot_sigma_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    outline_sigma_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> VoronoiOtsu:
        """The segmenter."""
        return VoronoiOtsu(self)


@dataclass(frozen=True)
class VoronoiOtsu:
    """Finds one cell for each local maximum of a smooth picture, inside Otsu's foreground of a sharper one."""

    config: VoronoiOtsuConfig = field(default_factory=VoronoiOtsuConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return labelled(volume, self._find, self.config.min_volume_um3)

    def _find(self, image: Image) -> NDArray[np.int32]:
        spot, outline = self.config.spot_sigma_um, self.config.outline_sigma_um
        if spot is None or outline is None:
            radius = measured_radius_um(image)
            if radius is None:
                return np.zeros(image.inside.shape, np.int32)
            spot = SPOT * radius if spot is None else spot
            outline = OUTLINE * radius if outline is None else outline
        mask = foreground(image, image.smooth(outline), "otsu")
        seeds = maxima(image.smooth(spot), mask, 0.0, image.spacing_um)
        return voronoi(mask, seeds, image.spacing_um)
