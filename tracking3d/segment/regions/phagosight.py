"""The segmentation of PhagoSight (Henry et al. 2013): two levels, hysteresis, too large blobs split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.image import Image
from tracking3d.segment.labelled import labelled
from tracking3d.segment.parts import cells_of
from tracking3d.segment.threshold import noise_level, otsu, stands_out
from volumes.volume import Volume

SMALLEST = 60
"""Voxels of PhagoSight's smallest blob."""
TOO_LARGE = 4.0
"""Standard deviations of the blobs' volumes above their mean, from which a blob is taken for several cells."""


class PhagoSightConfig(BaseModel):
    """How PhagoSight's two levels find cells. Lengths are in µm.

    Parameters
    ----------
    smoothing_um : Gaussian σ, in the place of its reduction in xy; left out, the voxel's shortest side.
    levels : ``published`` are the brightest slice's mean and that raised by the slices' spread, which cells of even
        brightness never reach; ``lowered`` are that mean, and the same less the spread.
    min_volume_um3 : smaller blobs are dropped; left out, 60 voxels, as there.
    split_above_um3 : larger blobs are split; left out, the blobs' mean volume + 4 of their standard deviations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["phagosight"] = "phagosight"
    smoothing_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    levels: Literal["lowered", "published"] = "lowered"
    min_volume_um3: float | None = Field(None, gt=0, allow_inf_nan=False)
    split_above_um3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self) -> PhagoSight:
        """The segmenter."""
        return PhagoSight(self)


@dataclass(frozen=True)
class PhagoSight:
    """Finds blobs that reach a high level, out to a low one, and cuts those at their necks that are too large.

    Its original reads a mean volume and the median of its standard deviations over seven frames; here each volume is
    judged by its own blobs, so that a frame's labels do not depend on its neighbours. Volumes are in µm³, and necks are
    measured in µm.
    """

    config: PhagoSightConfig = field(default_factory=PhagoSightConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        smallest = self.config.min_volume_um3 or SMALLEST * float(np.prod(volume.grid.spacing_um))
        return labelled(volume, lambda image: self._find(image, smallest), smallest)

    def _find(self, image: Image, smallest_um3: float) -> NDArray[np.int32]:
        width = self.config.smoothing_um
        smooth = image.smooth(min(image.spacing_um) if width is None else width)
        levels = two_levels(image, smooth, self.config.levels == "published")
        if levels is None:
            return np.zeros(image.inside.shape, np.int32)
        blobs = hysteresis(np.where(image.inside, smooth, -np.inf).astype(np.float32), *levels)
        return self._split(blobs, image, smallest_um3)

    def _split(self, blobs: NDArray[np.int32], image: Image, smallest_um3: float) -> NDArray[np.int32]:
        """Blobs above the limit cut at their necks; the others as they are."""
        volumes = np.bincount(blobs.ravel())[1:] * image.voxel_um3
        counted = volumes[volumes >= smallest_um3]
        if not len(counted):
            return blobs
        limit = self.config.split_above_um3
        limit = counted.mean() + TOO_LARGE * counted.std() if limit is None else limit
        large = np.concatenate([[False], volumes > limit])[blobs]
        if not large.any():
            return blobs
        cut = cells_of(large, image, "necks")
        return np.where(large, np.where(cut > 0, cut + blobs.max(), 0), blobs).astype(np.int32)


def two_levels(image: Image, smooth: NDArray[np.float32], published: bool) -> tuple[float, float] | None:
    """(low, high) from the slices in which something stands out from the noise; None without one.

    Of each slice: the mean of what lies above its own Otsu level. With M the largest of these means and s their
    standard deviation, (M, M + s) as published, or (M − s, M).
    """
    noise, bright = noise_level(image.voxels, image.inside), list[float]()
    for plane, within in zip(smooth, image.inside, strict=True):
        values = plane[within]
        level = otsu(values) if values.size else 0.0
        if stands_out(values, level, noise):
            bright.append(float(values[values > level].mean(dtype=np.float64)))
    if not bright:
        return None
    most, spread = max(bright), float(np.std(bright))
    return (most, most + spread) if published else (most - spread, most)


def hysteresis(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int32]:
    """(Z, Y, X) labels from 1 of the connected parts above ``low`` that reach above ``high``; 26 neighbours."""
    import cc3d

    parts, n = cc3d.connected_components(values > low, connectivity=26, return_N=True)
    reaches = np.zeros(n + 1, bool)
    reaches[np.unique(parts[values > high])] = True
    reaches[0] = False
    labels: NDArray[np.int32] = np.where(reaches, np.cumsum(reaches), 0).astype(np.int32)[parts]
    return labels
