"""Where a cell ends: what the network says of it, and how the light falls there.

The network is sure of where cells are, and less of where they end: in haze its foreground swells. How bright a voxel
is between the mean of the background beside it (0) and that of the cell (1) says that by itself, but knows no cells.
An edge lies about midway (Chan and Vese 2001, here of each neighbourhood), and so further out where a cell fades than
where it ends at once; and a bright cell reaches as far as dim ones beside it would be seen, to the level that parts
cells from background in all that is seen at once. Network and light are averaged as logits: a logarithmic opinion pool
(Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from tracking3d.segment.network.heads import FOREGROUND
from tracking3d.segment.network.resampling import resampled
from tracking3d.segment.threshold import cell_level
from volumes.shapes import ChannelVoxels, Voxels

POOL = 2
"""The light is judged on voxels so many times as coarse as the network's: they are less noisy, and fewer."""
BESIDE, WITHIN = 7.0, 3.5
"""σ over which the background and cells are averaged, voxels of the network's grid; a cell has 14."""
STEEP = 8.0
"""By how much the logit of the light grows from the mean of the background to that of a cell."""
EDGE = (0.3, 0.55)
"""Between which of both a cell ends: where the level for all lies, but neither further out nor further in."""
MOST = 0.5
"""Most that the light can say, in the same spans."""
FAINT = 0.03
"""Least difference of the two, in shares of the span from background to bright cells: less is noise."""
NEVER = 1e-4


def edged(heads: ChannelVoxels, shown: Voxels, share: float) -> NDArray[np.float32]:
    """The logit (z, y, x) that a voxel belongs to a cell, by the network and by the light.

    Parameters
    ----------
    heads : (heads, z, y, x) as the network gives them.
    shown : (z, y, x), what it was shown.
    share : how much the light counts, from 0 (the network alone) to 1.
    """
    logit: NDArray[np.float32] = np.asarray(heads[FOREGROUND], np.float32)
    if share == 0:
        return logit
    return np.asarray((1 - share) * logit + (share * STEEP) * excess(logit, shown), np.float32)


def excess(logit: Voxels, shown: Voxels) -> NDArray[np.float32]:
    """How much brighter voxels (z, y, x) are than the edge of the cell there, in spans from background to cell."""
    light, cell = pooled(shown), expit(pooled(logit))
    dark = _averaged(light, (1 - cell) ** 2, BESIDE / POOL)
    bright = _averaged(light, cell**2, WITHIN / POOL)
    span = np.maximum(bright - dark, FAINT)
    edge = ((cell_level(light) - dark) / span).clip(*EDGE)
    # The light alone makes no cell where the network is sure that there is none.
    above = ((light - dark) / span - edge).clip(-MOST, MOST)
    return resampled(above, [(0, n) for n in above.shape], [(0, n) for n in shown.shape], (1 / POOL,) * 3)


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
