"""Cells without training: a threshold, a distance map, and a watershed, at the scale that the image itself shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.threshold import cell_level, noise_level, stands_out
from volumes.volume import Volume

if TYPE_CHECKING:
    from tracking3d.segment.pieces import Scale

SMOOTHING = 0.15
"""Width of the Gaussian before thresholding, as a share of the typical radius."""
SPECK = 0.05
"""Regions under this share of a ball of the typical radius are not looked at."""
TRIES = 2


class WatershedConfig(BaseModel):
    """How the watershed finds cells. The defaults take the scale from the image; lengths are in µm.

    Parameters
    ----------
    smoothing_um : Gaussian σ before thresholding; left out, 0.15 of the typical radius.
    threshold : ``otsu``, or the level above which there are cells, in the image's own unit.
    radius_um : of a typical cell; left out, it is the foreground's median largest distance to the background.
    seed_depth : two cells in contact stay apart when the neck between them is narrower than 1 − this share of the
        smaller one's radius.
    roundness : regions whose pieces look less like ellipsoids than this (1 is an ellipsoid) are thresholded again;
        0 switches that off, and so does a threshold that is stated.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["watershed"] = "watershed"
    smoothing_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    threshold: Literal["otsu"] | FiniteFloat = "otsu"
    radius_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    seed_depth: float = Field(0.2, gt=0, lt=1)
    roundness: float = Field(0.9, ge=0, le=1)
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> Watershed:
        """The segmenter."""
        return Watershed(self)


@dataclass(frozen=True)
class Watershed:
    """Finds cells that are brighter than what is around them.

    1. The typical radius is measured on the foreground of the volume smoothed by one voxel.
    2. The volume is smoothed in proportion to it and thresholded (:func:`~tracking3d.segment.threshold.cell_level`).
    3. Small holes are filled, and each region is cut at its necks by a watershed of its anisotropic distance map;
       regions whose pieces do not look like cells are thresholded again (:mod:`tracking3d.segment.pieces`).
    4. What is much smaller than the typical cell is dropped.

    Brightness may be scaled or shifted: the result is the same. Voxels without data hold no cell, and like the faces of
    the volume they do not count as background beside one. Deterministic; one thread.
    """

    config: WatershedConfig = field(default_factory=WatershedConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel.

        Returns
        -------
        Labels from 1, uint16 (uint32 past 65 535), on the volume's grid. Without any cell all are 0, and a warning is
        logged.

        Raises
        ------
        ContentError : NaN or infinite voxels, a constant volume, or more than one channel.
        """
        return labelled(volume, self._find, self.config.min_volume_um3)

    def _find(self, image: Image) -> NDArray[np.int32]:
        found = self._scale(image)
        return np.zeros(image.inside.shape, np.int32) if found is None else self._cells(image, found)

    def _scale(self, image: Image) -> Scale | None:
        """What a cell is here; None where nothing stands out from the noise."""
        from tracking3d.segment import pieces

        spacing, inside = image.spacing_um, image.inside
        smooth = image.smooth(min(spacing))
        level = self._level(smooth[inside])
        if self.config.threshold == "otsu" and not stands_out(smooth[inside], level, noise_level(image.voxels, inside)):
            return None
        mask = (smooth > level) & inside
        if not mask.any():
            return None
        radius = self.config.radius_um
        if radius is None:
            radius = pieces.typical_radius_um(pieces.distance_um(mask | ~inside, spacing), mask)
        ball = 4 / 3 * np.pi * radius**3 / image.voxel_um3
        again = self.config.roundness if self.config.threshold == "otsu" else 0.0
        return pieces.Scale(spacing, radius, max(8, round(SPECK * ball)), self.config.seed_depth, again)

    def _cells(self, image: Image, scale: Scale) -> NDArray[np.int32]:
        from tracking3d.segment import pieces

        width = self.config.smoothing_um
        smooth = image.smooth(SMOOTHING * scale.radius_um if width is None else width)
        mask = pieces.fill_holes((smooth > self._level(smooth[image.inside])) & image.inside, scale.smallest)
        return pieces.cells_in(smooth, mask, image.inside, scale, TRIES)

    def _level(self, values: NDArray[np.float32]) -> float:
        return cell_level(values) if self.config.threshold == "otsu" else float(self.config.threshold)
