"""From what a segmenter finds to the labels that it answers with."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracking3d.labels import label_volume
from tracking3d.segment.image import Image, checked
from volumes.volume import Volume

log = logging.getLogger(__name__)

SMALLEST = 0.15
"""Cells under this share of the typical cell are dropped, unless the smallest volume is stated."""


def labelled(volume: Volume, find: Callable[[Image], NDArray[np.int32]], min_volume_um3: float | None = None) -> Volume:
    """The labels that ``find`` gives, numbered from 1 without gaps, on the volume's grid.

    Cells of less than the smallest volume are dropped, and so is what lies on voxels without data. Without any cell all
    labels are 0, and a warning is logged.
    """
    image = checked(volume)
    labels = without_small(np.where(image.inside, find(image), 0), min_volume_um3, image.voxel_um3)
    if not labels.any():
        log.warning("no cell found in the volume at %g s", volume.time_s)
    return label_volume(labels, volume)


def without_small(labels: NDArray[np.int32], min_volume_um3: float | None, voxel_um3: float) -> NDArray[np.int32]:
    """Drop small cells and number the others without gaps; left out, the smallest is 0.15 of the typical cell.

    The typical cell is the one in which the median voxel lies, so that many specks do not make a speck typical.
    """
    voxels = np.bincount(labels.ravel())
    voxels[0] = 0
    if not voxels.any():
        return labels
    if min_volume_um3 is None:
        smallest = SMALLEST * float(np.median(voxels[labels[labels > 0]]))
    else:
        smallest = min_volume_um3 / voxel_um3
    kept = (voxels > 0) & (voxels >= smallest)
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]
