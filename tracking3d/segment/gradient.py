"""How steeply an image rises, by µm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import Triple


def gradient(values: NDArray[np.float32], spacing_um: Triple) -> NDArray[np.float32]:
    """(3, Z, Y, X) central differences along z, y, x, in the image's unit by µm; 0 along an axis of one voxel."""
    out = np.zeros((3, *values.shape), np.float32)
    for axis, spacing in enumerate(spacing_um):
        if values.shape[axis] > 1:
            out[axis] = np.gradient(values, spacing, axis=axis)
    return out


def steepness(values: NDArray[np.float32], spacing_um: Triple) -> NDArray[np.float32]:
    """(Z, Y, X) the gradient's length."""
    out: NDArray[np.float32] = np.sqrt((gradient(values, spacing_um) ** 2).sum(axis=0))
    return out
