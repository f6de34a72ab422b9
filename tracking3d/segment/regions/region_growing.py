"""Cells as regions that grow from blobs, against a region of background."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.regions.growing import grown
from tracking3d.segment.spots.balls import balls
from tracking3d.segment.spots.seeds import Seeds, blob_seeds
from tracking3d.segment.thresholds.level import foreground
from tracking3d.segment.typical import measured_radius_um
from volumes.errors import ContentError
from volumes.volume import Volume

SMOOTHING = 0.15
"""Width of the Gaussian before growing, as a share of the radius."""
REACH = 2.0
"""How far a region comes from its seed along each axis, as a share of the cell's radius: a dim cell would else take
all the haze."""
FIRST = 0.3
"""Radius of a region's first voxels, as a share of the cell's."""


class RegionGrowingConfig(BaseModel):
    """How regions grow into cells. Lengths are in µm.

    Parameters
    ----------
    seeds_um : places (z, y, x) of the cells in the world, one each; left out, the maxima of the Laplacian of Gaussian
        above Otsu's threshold, the brightest 1 % cut off.
    radius_um : of a cell; left out, it is measured.
    smoothing_um : Gaussian σ before growing; left out, 0.15 of the radius.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["region-growing"] = "region-growing"
    seeds_um: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat], ...] | None = Field(None, min_length=1)
    radius_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    smoothing_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> RegionGrowing:
        """The segmenter."""
        return RegionGrowing(self)


@dataclass(frozen=True)
class RegionGrowing:
    """Grows a region from each seed, and one of background from the darkest voxels, until they meet.

    A region's outline comes to lie where a voxel is as much like the cell's mean as like the background's: each cell
    has its own level, so that dim and bright ones stand side by side.
    """

    config: RegionGrowingConfig = field(default_factory=RegionGrowingConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter.

        Raises
        ------
        ContentError : besides, a stated seed that lies outside the volume or where there is no data.
        """
        given = None if self.config.seeds_um is None else _at(np.array(self.config.seeds_um), volume)
        return labelled(volume, lambda image: self._find(image, given), self.config.min_volume_um3)

    def _find(self, image: Image, given: Seeds | None) -> NDArray[np.int32]:
        radius = self.config.radius_um or measured_radius_um(image)
        if radius is None:
            return np.zeros(image.inside.shape, np.int32)
        width = self.config.smoothing_um
        smooth = image.smooth(SMOOTHING * radius if width is None else width)
        mask = foreground(image, smooth, "clipped-otsu")
        seeds = blob_seeds(image, radius, mask) if given is None else given
        first = balls(seeds, max(FIRST * radius, min(image.spacing_um)), image.inside.shape, image.spacing_um)
        first = np.where(mask if given is None else image.inside, first, 0)
        first = np.where(image.inside & ~mask & (first == 0), len(seeds) + 1, first).astype(np.int32)
        reach = np.ceil(REACH * radius / np.array(image.spacing_um)).astype(np.int64)
        labels = grown(smooth, first, image.inside, np.hstack([seeds - reach, seeds + reach + 1]))
        return np.where(labels > len(seeds), 0, labels).astype(np.int32)


def _at(seeds_um: NDArray[np.float64], volume: Volume) -> Seeds:
    """The voxels that hold places in the world."""
    index: Seeds = np.rint(volume.grid.to_index(seeds_um)).astype(np.int64)
    within = np.asarray(((index >= 0) & (index < np.array(volume.grid.shape))).all(axis=1), bool)
    within[within] = volume.mask()[tuple(index[within].T)]
    if not within.all():
        raise ContentError(
            "a seed lies outside the volume, or where there is no data",
            field="seeds_um",
            value=seeds_um[~within][0].tolist(),
            remedy="Seeds are (z, y, x) in µm, in the world of the volume's grid",
        )
    return index
