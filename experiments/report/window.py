"""Contrast: which values of a volume become black and white on the screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from volumes.shapes import AnyArray
from volumes.volume import Volume

Unit = Float32[np.ndarray, "h w"]
"""A picture with 0 for black and 1 for white."""

SAMPLES_AN_AXIS = 128
"""Statistics of a volume rest on at most this many voxels along each axis."""
LOW_PERCENT, HIGH_PERCENT = 1.0, 99.8
GAMMA = {"fluorescence": 0.75, "SWIR": 0.8, "PET": 0.8, "SPECT": 0.8}
"""Exponents below 1 lift what is dim; modalities left out are shown linearly."""


@dataclass(frozen=True)
class Window:
    """``shown = clip((value − low) / (high − low), 0, 1) ** gamma``; low and high in the volume's own unit."""

    low: float
    high: float
    gamma: float = 1.0

    def __call__(self, picture: AnyArray) -> Unit:
        """Values between 0 (black) and 1 (white); what is not finite becomes black."""
        span = self.high - self.low
        if span <= 0:
            return np.zeros(picture.shape, np.float32)
        scaled = (np.nan_to_num(np.asarray(picture, np.float64), nan=self.low) - self.low) / span
        return np.asarray(np.clip(scaled, 0, 1) ** self.gamma, np.float32)


def window_of(volume: Volume, channel: int = 0) -> Window:
    """The window from the 1st to the 99.8th percentile of a channel's finite voxels that hold data."""
    values, mask, _ = thinned(volume, channel)
    gamma = GAMMA.get(volume.channels[channel].modality, 1.0)
    return window_over(values[mask], gamma)


def window_over(values: AnyArray, gamma: float = 1.0) -> Window:
    """The window from the 1st to the 99.8th percentile of values; over their whole range where these two agree."""
    if values.size == 0:
        return Window(0.0, 0.0, gamma)
    low, high = np.percentile(values, (LOW_PERCENT, HIGH_PERCENT))
    if high <= low:
        low, high = values.min(), values.max()
    return Window(float(low), float(high), gamma)


def joint_window(volumes: Iterable[Volume]) -> Window:
    """One window for the frames of a movie: from the lowest of their blacks to the highest of their whites."""
    windows = [window_of(volume) for volume in volumes]
    return Window(min(w.low for w in windows), max(w.high for w in windows), windows[0].gamma)


def thinned(volume: Volume, channel: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[int, int, int]]:
    """Every n-th voxel of a channel, where it is finite and valid, and the steps n along (z, y, x)."""
    z, y, x = (max(1, n // SAMPLES_AN_AXIS) for n in volume.grid.shape)
    values = np.asarray(volume.data[channel, ::z, ::y, ::x], np.float64)
    mask: NDArray[Any] = np.isfinite(values)
    if volume.valid is not None:
        mask = mask & volume.valid[::z, ::y, ::x]
    return values, mask, (z, y, x)
