"""Where a cell ends: what the network says of it, and how the light falls there.

The network is sure of where cells are, and less of where they end: in haze its foreground swells, and its grid is
coarse. How bright a voxel is between the mean of the background beside it (0) and that of the cell (1) says that by
itself, but knows no cells. An edge lies about midway (Chan and Vese 2001, here of each neighbourhood), and so further
out where a cell fades than where it ends at once; and a bright cell reaches as far as dim ones beside it would be seen,
to the level that parts cells from background in all that is seen at once. Network and light are averaged as logits: a
logarithmic opinion pool (Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1).

The means are taken on a coarse grid (:func:`ground`), the light itself on the grid on which cells are drawn
(:func:`sharpened`): as it is where a cell stands out from the noise, else as a mean over neighbours, the two weighted
as Wiener's filter weights what is seen and its mean.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from tracking3d.segment.network.heads import FOREGROUND
from tracking3d.segment.network.resampling import resampled
from tracking3d.segment.threshold import cell_level
from volumes.shapes import AnyArray, ChannelVoxels, Voxels

Ground: TypeAlias = Float32[np.ndarray, "3 z y x"]
"""The light as a mean, the level at which cells end, and the span from background to cells, on the coarse grid."""
POOL = 2
"""The coarse grid has voxels so many times as wide as the network's: means are less noisy there, and fewer."""
BESIDE, WITHIN = 7.0, 3.5
"""σ over which the background and cells are averaged, voxels of the network's grid; a cell has 14."""
STEEP = 8.0
"""By how much the logit of the light grows from the mean of the background to that of a cell."""
EDGE = (0.2, 0.6)
"""Between which of both a cell ends: where the level for all lies, but neither further out nor further in."""
MOST = 0.5
"""Most that the light can say, in the same spans."""
FAINT = 0.03
"""Least difference of the two, in shares of the span from background to bright cells: less is noise."""
NOISY = 8.0
"""A cell that stands out by so many standard deviations of the noise is seen as it is by one half."""
NEVER = 1e-4
DEVIATION = 1.4826 / 2**0.5
"""Standard deviation of normal noise, in medians of the absolute difference of two of its values."""


def edged(heads: ChannelVoxels, shown: Voxels, share: float) -> NDArray[np.float32]:
    """The logit (z, y, x) that a voxel belongs to a cell, by the network and by the light's means.

    Parameters
    ----------
    heads : (heads, z, y, x) as the network gives them.
    shown : (z, y, x), what it was shown.
    share : how much the light counts, from 0 (the network alone) to 1.
    """
    logit: NDArray[np.float32] = np.asarray(heads[FOREGROUND], np.float32)
    return logit if share == 0 else together(logit, excess(logit, shown), share)


def together(logit: Voxels, above: Voxels, share: float) -> NDArray[np.float32]:
    """The logits of the network and of the light, averaged."""
    return np.asarray((1 - share) * logit + (share * STEEP) * above, np.float32)


def excess(logit: Voxels, shown: Voxels) -> NDArray[np.float32]:
    """How much brighter voxels (z, y, x) are than the edge of the cell there, in spans from background to cell."""
    beside = ground(logit, shown)
    above = sharpened(beside[0], beside, 0.0)
    return resampled(above, [(0, n) for n in above.shape], [(0, n) for n in shown.shape], (1 / POOL,) * 3)


def ground(logit: Voxels, shown: Voxels) -> Ground:
    """What light is held against, from the foreground's logit and what the network was shown (z, y, x)."""
    light, cell = pooled(shown), expit(pooled(logit))
    dark = _averaged(light, (1 - cell) ** 2, BESIDE / POOL)
    bright = _averaged(light, cell**2, WITHIN / POOL)
    span = np.maximum(bright - dark, FAINT)
    edge = ((cell_level(light) - dark) / span).clip(*EDGE)
    return np.stack([light, dark + edge * span, span]).astype(np.float32)


def sharpened(light: Voxels, beside: Ground, noise: float) -> NDArray[np.float32]:
    """As :func:`excess`, of light (z, y, x) on any grid.

    Parameters
    ----------
    light : as the network would be shown it.
    beside : what :func:`ground` gave, brought to that grid.
    noise : standard deviation in ``light``.
    """
    mean, level, span = beside
    trust = span**2 / (span**2 + np.float32(NOISY * noise) ** 2)
    # The light alone makes no cell where the network is sure that there is none.
    above: NDArray[np.float32] = ((mean + trust * (light - mean) - level) / span).clip(-MOST, MOST)
    return above


def noise_of(light: AnyArray) -> float:
    """Standard deviation of the noise, from the median difference of neighbours along the last axis; 0 of a column."""
    if light.shape[-1] < 2:
        return 0.0
    return DEVIATION * float(np.median(np.abs(np.diff(light, axis=-1))))


def pooled(voxels: Voxels) -> NDArray[np.float32]:
    """Means over blocks of 2³ voxels (z, y, x); the last planes count twice where one is missing."""
    odd = [(0, -n % POOL) for n in voxels.shape]
    even = np.pad(voxels, odd, mode="edge") if any(after for _, after in odd) else voxels
    z, y, x = (n // POOL for n in even.shape)
    parts = even.reshape(z, POOL, y, POOL, x, POOL)
    return np.asarray(parts.mean((1, 3, 5), dtype=np.float32))


def _averaged(values: Voxels, weight: Voxels, sigma: float) -> Voxels:
    """Gaussian means that count each voxel by its weight."""
    weight = weight + np.float32(NEVER)
    total = ndimage.gaussian_filter(values * weight, sigma, truncate=2.5)
    return np.asarray(total / ndimage.gaussian_filter(weight, sigma, truncate=2.5))
