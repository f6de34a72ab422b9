"""Cells as spots of one size, drawn as balls or grown to a watershed's regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.spots.balls import balls
from tracking3d.segment.spots.seeds import Seeds, blob_seeds
from tracking3d.segment.spots.trackpy_spots import trackpy_seeds
from tracking3d.segment.thresholds.level import Level, foreground
from tracking3d.segment.typical import measured_radius_um
from volumes.shapes import Mask
from volumes.volume import Volume

SMOOTHING = 0.15
"""Width of the Gaussian before thresholding and flooding, as a share of the radius."""


class SpotsConfig(BaseModel):
    """How spots are found. Lengths are in µm.

    Parameters
    ----------
    finder : ``log``, maxima of the Laplacian of Gaussian at the radius's scale, or ``trackpy``, its ``locate``.
    shape : ``watershed`` floods the brightness from the spots, ``balls`` draws each with the radius.
    radius_um : of a cell; left out, it is measured.
    level : spots below it, and regions beyond it, are no cell.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["spots"] = "spots"
    finder: Literal["log", "trackpy"] = "log"
    shape: Literal["watershed", "balls"] = "watershed"
    radius_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    level: Level = "clipped-otsu"
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> Spots:
        """The segmenter."""
        return Spots(self)


@dataclass(frozen=True)
class Spots:
    """Finds one seed for each bright blob of about one size, and the region around it."""

    config: SpotsConfig = field(default_factory=SpotsConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return labelled(volume, self._find, self.config.min_volume_um3)

    def _find(self, image: Image) -> NDArray[np.int32]:
        radius = self.config.radius_um or measured_radius_um(image)
        if radius is None:
            return np.zeros(image.inside.shape, np.int32)
        smooth = image.smooth(SMOOTHING * radius)
        mask = foreground(image, smooth, self.config.level)
        seeds = self._seeds(image, radius, mask)
        if self.config.shape == "balls":
            return balls(seeds, radius, image.inside.shape, image.spacing_um)
        return flooded(smooth, seeds, mask)

    def _seeds(self, image: Image, radius: float, mask: Mask) -> Seeds:
        if self.config.finder == "log":
            return blob_seeds(image, radius, mask)
        seeds = trackpy_seeds(image, radius)
        bright: Seeds = seeds[mask[tuple(seeds.T)]]
        return bright


def flooded(smooth: NDArray[np.float32], seeds: Seeds, mask: Mask) -> NDArray[np.int32]:
    """Labels by a watershed of the brightness from seeds, inside a mask; a part without a seed has none."""
    from skimage.segmentation import watershed

    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    if not len(seeds):
        return markers
    labels: NDArray[np.int32] = watershed(-smooth, markers, mask=mask)
    return labels
