"""Weighted means around each voxel, separable along the axes, of slices and volumes of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

Window = Sequence[float]
"""Weights along each axis, an odd number of them."""


def gaussian_window(sigma: float = 1.5, radius: int = 5) -> tuple[float, ...]:
    """Weights exp(−d² / 2σ²), d up to ``radius`` voxels, that sum to 1."""
    weights = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)]
    return tuple(weight / sum(weights) for weight in weights)


def uniform_window(size: int = 7) -> tuple[float, ...]:
    """``size`` equal weights that sum to 1."""
    return (1 / size,) * size


GAUSSIAN = gaussian_window()
"""The window of structural similarity, as its paper has it."""


def windowed_mean(x: Tensor, window: Window) -> Tensor:
    """The weighted mean around each voxel, of the shape of ``x``; the window ends at the border.

    Parameters
    ----------
    x : (batch, channels, z, y, x).
    window : weights along each axis longer than one voxel.
    """
    flat = x.reshape(-1, 1, *x.shape[2:])
    for axis in (a for a in range(3) if x.shape[a + 2] > 1):
        shape = [len(window) if a == axis else 1 for a in range(3)]
        around = [n // 2 for n in shape]
        kernel = torch.tensor(window, dtype=x.dtype, device=x.device).reshape(1, 1, *shape)
        length = [x.shape[a + 2] if a == axis else 1 for a in range(3)]
        inside = functional.conv3d(x.new_ones(1, 1, *length), kernel, padding=around)
        flat = functional.conv3d(flat, kernel, padding=around) / inside
    return flat.reshape(x.shape)
