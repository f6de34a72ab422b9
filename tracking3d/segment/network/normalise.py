"""Intensities on the scale that the network knows: the background near 0, bright cells near 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import AnyArray, Voxels

LOW, HIGH = 2.0, 99.8
"""Percentiles that become 0 and 1."""
FLOOR = -1.0
COUNTED = 1 << 18
"""Voxels that are enough to find a percentile; of more, evenly spaced ones count."""


def levels(voxels: AnyArray) -> tuple[float, float]:
    """The intensities that become 0 and 1, from all voxels of a volume; equal where the volume is flat.

    Raises
    ------
    ValueError : no voxels.
    """
    counted = voxels.ravel()[:: max(1, voxels.size // COUNTED)]
    low, high = (float(v) for v in np.percentile(counted, (LOW, HIGH)))
    # Cells that fill less than what is cut off as glare are all there is to see.
    return low, high if high > low else float(voxels.max())


def normalised(voxels: Voxels, bounds: tuple[float, float]) -> NDArray[np.float32]:
    """(v − low) / (high − low), from 1 on growing as 1 + ln, not under −1: glare neither saturates nor dominates."""
    low, high = bounds
    span = max(high - low, float(np.finfo(np.float32).tiny))
    scaled = ((voxels.astype(np.float32) - np.float32(low)) / np.float32(span)).clip(FLOOR)
    bright = scaled > 1
    scaled[bright] = 1 + np.log(scaled[bright])
    return scaled
