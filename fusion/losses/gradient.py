"""Gradients of pictures in torch, by central differences, with a magnitude that can be differentiated where it is 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SOFT = 1e-4
"""Magnitudes well below this, in the pictures' unit a length, have a gradient that fades to 0."""


def gradient(x: Tensor, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> list[Tensor]:
    """The derivatives along z, y and x, without those of axes of a single voxel; one-sided at the border.

    Parameters
    ----------
    x : (batch, channels, z, y, x).
    spacing : of the voxels (z, y, x), in whatever unit of length.
    """
    axes = [axis for axis in (2, 3, 4) if x.shape[axis] > 1]
    return [torch.gradient(x, spacing=spacing[axis - 2], dim=axis)[0] for axis in axes]


def gradient_magnitude(x: Tensor, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    """√(|∇x|² + ε²) − ε with ε = :data:`SOFT`, of the shape of ``x``; 0 where all around are equal.

    Parameters
    ----------
    x : (batch, channels, z, y, x).
    spacing : of the voxels (z, y, x), in whatever unit of length.
    """
    squares = torch.zeros_like(x)
    for part in gradient(x, spacing):
        squares = squares + part.square()
    # The same number as in the docstring, but without the difference of two that are nearly equal.
    return squares / ((squares + SOFT**2).sqrt() + SOFT)
