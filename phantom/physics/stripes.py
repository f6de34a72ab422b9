"""Shadows that specks at the side of a specimen cast through a light sheet."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.errors import ConfigError
from volumes.shapes import Triple, Voxels

WIDTH_UM = 1.5
"""σ of a shadow where it begins."""
WIDENING = 4.0
"""Across the field a shadow becomes so many times as wide along y: the sheet's rays come from an angle."""
APART_UM = 12.0
"""There is one speck in a square of this side."""
REACH = 4
"""A shadow ends this many σ away."""
BEFORE = 2**31
"""Seeds must not be below 0; planes before the first one are counted from here."""


def stripes(planes: range, shape: tuple[int, int], spacing_um: Triple, depth: float, seed: int) -> Voxels:
    """The share of a light sheet that comes through, 0 to 1, (z, y, x) float32; the light runs along x.

    Specks lie at random on the side before column 0. The light that enters beside them is ``(1 − depth)^s``: ``s``
    sums a Gaussian over (z, y) for each speck, of a height drawn evenly from 0 to 1. On its way the shadow widens along
    y and so fills with light, linearly from its narrow form to its wide one. A plane's stripes depend on the seed
    and the number of the plane alone, not on which others are asked for.

    Parameters
    ----------
    planes : numbers of the planes asked for, also below 0.
    shape : (y, x) voxels.
    spacing_um : (z, y, x).
    depth : share of the light that the strongest speck takes, from 0 to below 1.
    seed : of the specks, at least 0.

    Raises
    ------
    ConfigError : a depth out of its range.
    """
    if not 0 <= depth < 1:
        raise ConfigError("must be at least 0 and below 1", field="depth", value=depth)
    rows, columns = shape
    if depth == 0:
        return np.ones((len(planes), rows, columns), np.float32)
    along_z, along_y = (WIDTH_UM / step for step in spacing_um[:2])
    specks = _specks(planes, rows, along_z, spacing_um, seed)
    near, far = (
        _shadows(specks, along_z, along_y, widening, depth)[:, :, None].astype(np.float32)
        for widening in (1.0, WIDENING)
    )
    way = ((np.arange(columns) + 0.5) / columns).astype(np.float32)
    out: Voxels = near + (far - near) * way
    return out


def _specks(planes: range, rows: int, sigma: float, spacing_um: Triple, seed: int) -> NDArray[np.float64]:
    """Heights of the specks on the side, (planes with a halo of :data:`REACH` σ, rows)."""
    halo = math.ceil(REACH * sigma)
    mean = spacing_um[0] * spacing_um[1] / APART_UM**2
    drawn = (np.random.default_rng([seed, plane + BEFORE]) for plane in range(planes.start - halo, planes.stop + halo))
    return np.stack([(rng.poisson(mean, rows) * rng.random(rows)) for rng in drawn])


def _shadows(
    specks: NDArray[np.float64], along_z: float, along_y: float, widening: float, depth: float
) -> NDArray[np.float64]:
    """What comes through (planes, rows); a wider shadow misses the same light in all."""
    halo = math.ceil(REACH * along_z)
    wide = widening * along_y
    spread = ndimage.gaussian_filter1d(specks, along_z, axis=0, mode="constant", radius=halo)[halo : len(specks) - halo]
    spread = ndimage.gaussian_filter1d(spread, wide, axis=1, mode="reflect", radius=math.ceil(REACH * wide))
    passed: NDArray[np.float64] = (1 - depth) ** (2 * math.pi * along_z * along_y * spread)
    return passed
