"""Cells as the clusters of brighter or steeper voxels: fuzzy c-means on intensity and local gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.clusters.fuzzy_c_means import fuzzy_c_means, nearest
from tracking3d.segment.gradient import steepness
from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.parts import Split, cells_of
from tracking3d.segment.threshold import noise_level, stands_out
from volumes.volume import Volume


class FuzzyClustersConfig(BaseModel):
    """How fuzzy clusters find cells. Lengths are in µm.

    Parameters
    ----------
    clusters : how many; the darkest is the background, all others are cells.
    gradient : weight of the local gradient beside the intensity, both in standard deviations; 0 leaves it out.
    smoothing_um : Gaussian σ before both are measured; left out, the voxel's shortest side.
    split : ``parts`` takes each connected part for a cell; ``necks`` cuts them where they are narrow.
    min_volume_um3 : smaller cells are dropped; left out, 0.15 of the typical cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fuzzy-c-means"] = "fuzzy-c-means"
    clusters: int = Field(2, ge=2, le=6)
    gradient: float = Field(0.5, ge=0, le=10)
    smoothing_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    split: Split = "necks"
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> FuzzyClusters:
        """The segmenter."""
        return FuzzyClusters(self)


@dataclass(frozen=True)
class FuzzyClusters:
    """Finds the connected parts of voxels that belong to the darkest cluster less than to another."""

    config: FuzzyClustersConfig = field(default_factory=FuzzyClustersConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return labelled(volume, self._find, self.config.min_volume_um3)

    def _find(self, image: Image) -> NDArray[np.int32]:
        width = self.config.smoothing_um
        smooth = image.smooth(min(image.spacing_um) if width is None else width)
        values = smooth[image.inside]
        steep = _standard(steepness(smooth, image.spacing_um)[image.inside])
        points = np.column_stack([_standard(values), np.float32(self.config.gradient) * steep])
        # Spread over the brightness, so that the first centre is the darkest and the same volume starts the same.
        share = (np.arange(self.config.clusters) + 0.5) / self.config.clusters
        start = np.quantile(points[:, 0], share)
        start = np.column_stack([start, np.zeros_like(start)])
        start[:, 0] += np.linspace(0, 1e-3, len(start))
        centres = fuzzy_c_means(points, start).centres
        mask = np.zeros(image.inside.shape, bool)
        mask[image.inside] = nearest(points, centres) != np.argmin(centres[:, 0])
        if mask.any() and not _differs(image, smooth, mask):
            mask[:] = False
        return cells_of(mask, image, self.config.split)


def _standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """In standard deviations from the mean."""
    spread = float(values.std(dtype=np.float64))
    out: NDArray[np.float32] = ((values - values.mean(dtype=np.float64)) / (spread or 1.0)).astype(np.float32)
    return out


def _differs(image: Image, smooth: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    """Whether the cells are brighter than the rest by more than noise would make them."""
    # A mask has no level; one between its two means says the same.
    rest = image.inside & ~mask
    if not rest.any():
        return False
    level = (float(smooth[mask].mean()) + float(smooth[rest].mean())) / 2
    return stands_out(smooth[image.inside], level, noise_level(image.voxels, image.inside))
