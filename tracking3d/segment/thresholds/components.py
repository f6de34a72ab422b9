"""Cells as the connected parts above a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.parts import Split, cells_of
from tracking3d.segment.thresholds.level import Level, foreground
from volumes.volume import Volume


class ThresholdConfig(BaseModel):
    """How a threshold finds cells. Lengths are in µm.

    Parameters
    ----------
    level : ``otsu``, ``moments`` (moment-preserving), ``maximum-entropy``, ``minimum-error`` (Kittler and Illingworth),
        or the level above which there are cells, in the image's own unit.
    smoothing_um : Gaussian σ before thresholding; left out, the voxel's shortest side.
    split : ``parts`` takes each connected part for a cell; ``necks`` cuts them where they are narrow.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["threshold"] = "threshold"
    level: Level = "otsu"
    smoothing_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    split: Split = "necks"
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> Threshold:
        """The segmenter."""
        return Threshold(self)


@dataclass(frozen=True)
class Threshold:
    """Finds the connected parts that are brighter than a level read off the histogram of the smoothed volume."""

    config: ThresholdConfig = field(default_factory=ThresholdConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return labelled(volume, self._find, self.config.min_volume_um3)

    def _find(self, image: Image) -> NDArray[np.int32]:
        width = self.config.smoothing_um
        smooth = image.smooth(min(image.spacing_um) if width is None else width)
        return cells_of(foreground(image, smooth, self.config.level), image, self.config.split)
