"""A first guess of how large the cells of an image are, that needs no network: how thick is what is brighter.

Twice the largest distance to the background of what lies above Otsu's threshold, as the median over its voxels; of a
large image in the brightest of some windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.network.edges import noise_of
from tracking3d.segment.network.heads import DIAMETER
from tracking3d.segment.network.normalise import levels
from tracking3d.segment.network.view import Ranges, Read, View, each
from tracking3d.segment.pieces import distance_um, smooth_um, typical_radius_um
from tracking3d.segment.threshold import cell_level, step_at
from volumes.shapes import Shape3, Triple

GUESSED = 3.0
"""Largest step, in voxels of the image, at which the first guess looks."""
SEEN = 180_000
"""Voxels up to which the network sees an image as a whole to try a scale."""


@dataclass(frozen=True, eq=False)
class Guess:
    """What was seen without a network.

    Parameters
    ----------
    diameter_um : of a typical cell.
    place : where that was seen (z, y, x) in shares of the extents.
    contrast : how much brighter the cells are than the rest, in standard deviations of the noise; infinite without any.
    """

    diameter_um: float
    place: NDArray[np.float64]
    contrast: float


def guessed(read: Read, shape: Shape3, spacing_um: Triple) -> Guess:
    """A first guess, from an image of that shape (z, y, x) and spacing."""
    extent = math.prod(n * s for n, s in zip(shape, spacing_um, strict=True))
    least = finest(shape, spacing_um)
    step = min(max(least, (extent / SEEN) ** (1 / 3)), GUESSED * least)
    view = View(shape, spacing_um, DIAMETER * step)
    if math.prod(view.coarse) <= 4 * SEEN:
        ranges = each(lambda n: (0, n), view.coarse)
        seen = view.resampled(read, ranges)
    else:
        ranges, seen = _brightest(view, read)
    sides = each(lambda f, s: f * s, view.factors, spacing_um)
    smooth = smooth_um(seen, step, sides)
    level = cell_level(smooth)
    mask = smooth > level
    radius = typical_radius_um(distance_um(mask, sides), mask) if mask.any() else step
    noise = noise_of(seen)
    place = np.array([(a + b) / 2 / n for (a, b), n in zip(ranges, view.coarse, strict=True)])
    return Guess(2 * radius, place, step_at(smooth, level) / noise if noise else math.inf)


def finest(shape: Shape3, spacing_um: Triple) -> float:
    """The shortest side of the voxels, along axes that have several."""
    return min((s for s, n in zip(spacing_um, shape, strict=True) if n > 1), default=min(spacing_um))


def _brightest(view: View, read: Read) -> tuple[Ranges, NDArray[np.float32]]:
    """The probe with the most light, glare apart."""
    seen = [(ranges, view.resampled(read, ranges)) for ranges in view.probes()]
    glare = levels(np.concatenate([voxels.ravel() for _, voxels in seen]))[1]
    return max(seen, key=lambda one: float(np.minimum(one[1], glare).mean()))
