"""The cells of a mask: its connected parts, or these cut at their necks."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.image import Image
from volumes.shapes import Mask

Split: TypeAlias = Literal["parts", "necks"]
SEED_DEPTH = 0.2
"""Share by which a neck must be narrower than the smaller cell, as the watershed's own default."""
SPECK = 8
"""Voxels; what is smaller is not cut."""


def cells_of(mask: Mask, image: Image, split: Split) -> NDArray[np.int32]:
    """Labels from 1.

    Parameters
    ----------
    mask : (Z, Y, X).
    image : for the size of a voxel, and where there is data.
    split : ``parts`` that touch by faces are one cell; ``necks`` cuts each by a watershed of its distance map in µm.
    """
    import cc3d

    from tracking3d.segment import pieces

    if split == "parts" or not mask.any():
        labels: NDArray[np.int32] = cc3d.connected_components(mask, connectivity=6).astype(np.int32)
        return labels
    radius = typical_radius_um(mask, image)
    scale = pieces.Scale(image.spacing_um, radius, SPECK, SEED_DEPTH, 0.0)
    return pieces.cells_in(image.voxels, mask, image.inside, scale, 0)


def typical_radius_um(mask: Mask, image: Image) -> float:
    """Of a cell in a mask that is not empty, µm: the median over its voxels of their part's largest distance."""
    from tracking3d.segment import pieces

    return pieces.typical_radius_um(pieces.distance_um(mask | ~image.inside, image.spacing_um), mask)
