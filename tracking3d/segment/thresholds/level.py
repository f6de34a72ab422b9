"""The level above which there are cells, by the name of a method or as a number."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat

from tracking3d.segment.image import Image
from tracking3d.segment.threshold import cell_level, noise_level, otsu, stands_out
from tracking3d.segment.thresholds.entropy import entropy_level
from tracking3d.segment.thresholds.histogram import histogram
from tracking3d.segment.thresholds.minimum_error import minimum_error_level
from tracking3d.segment.thresholds.moments import moments_level
from volumes.shapes import AnyArray, Mask

Method: TypeAlias = Literal["otsu", "moments", "maximum-entropy", "minimum-error", "clipped-otsu"]
Level: TypeAlias = Method | FiniteFloat


def level_of(values: AnyArray, method: Level) -> float:
    """The level that a method finds in values; a number is its own level. Of equal values none is above it.

    ``clipped-otsu`` is Otsu's with the brightest 1 % counted as the level where they begin.
    """
    if not isinstance(method, str):
        return float(method)
    if method == "otsu" or values.min() == values.max():
        return otsu(values)
    if method == "clipped-otsu":
        return cell_level(values)
    of = {"moments": moments_level, "maximum-entropy": entropy_level, "minimum-error": minimum_error_level}
    return of[method](histogram(values))


def foreground(image: Image, smooth: NDArray[np.float32], method: Level) -> Mask:
    """Where the smoothed image lies above the level; nowhere, when nothing stands out more than noise would.

    Whether something does is asked of Otsu's level, since one far out on a tail parts noise from its own extremes. A
    level that is stated is taken at its word.
    """
    values = smooth[image.inside]
    if isinstance(method, str) and not stands_out(values, otsu(values), noise_level(image.voxels, image.inside)):
        return np.zeros(image.inside.shape, bool)
    mask: Mask = (smooth > level_of(values, method)) & image.inside
    return mask
