"""Structural similarity in torch, of slices and volumes of any size, with its gradient.

SSIM = (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)), moments in a window around each voxel,
C₁ = (0.01 R)², C₂ = (0.03 R)², R the range of the data (Wang et al. 2004, "Image quality assessment: from error
visibility to structural similarity", IEEE TIP 13:600). The window is separable and ends at the border, where its
weights are scaled to sum to 1; an axis of a single voxel has no part in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion.losses.windows import GAUSSIAN, Window, windowed_mean


def ssim_map(x: Tensor, y: Tensor, data_range: float, window: Window = GAUSSIAN, sampled: bool = False) -> Tensor:
    """SSIM at each voxel, of the shape of ``x``.

    Parameters
    ----------
    x, y : (batch, channels, z, y, x), of shapes that spread to each other.
    data_range : R, what the data spans.
    window : weights along each axis.
    sampled : covariances of a sample, N/(N − 1) of the plain ones, as scikit-image takes them unless told otherwise.
    """
    factor = 1.0
    if sampled:
        number = len(window) ** sum(n > 1 for n in x.shape[2:])
        factor = number / (number - 1)
    mean_x, mean_y = windowed_mean(x, window), windowed_mean(y, window)
    var_x = factor * (windowed_mean(x * x, window) - mean_x * mean_x)
    var_y = factor * (windowed_mean(y * y, window) - mean_y * mean_y)
    cov = factor * (windowed_mean(x * y, window) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return above / ((mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2))


def ssim(
    x: Tensor,
    y: Tensor,
    data_range: float,
    window: Window = GAUSSIAN,
    sampled: bool = False,
    weights: Tensor | None = None,
    inner: bool = False,
) -> Tensor:
    """The mean of :func:`ssim_map`, (batch, channels).

    Parameters
    ----------
    x, y, data_range, window, sampled : as there.
    weights : how much each voxel counts, of a shape that spreads to that of the map; None: all alike.
    inner : only where the window lies wholly inside, as scikit-image averages; all where it fits nowhere.
    """
    similar = ssim_map(x, y, data_range, window, sampled)
    weight = torch.ones_like(similar) if weights is None else weights.to(similar.dtype).expand_as(similar)
    radius = len(window) // 2
    if inner:
        for axis, size in ((a, n) for a, n in enumerate(similar.shape) if a > 1 and n > 2 * radius):
            similar = similar.narrow(axis, radius, size - 2 * radius)
            weight = weight.narrow(axis, radius, size - 2 * radius)
    total = weight.sum((2, 3, 4)).clamp(min=torch.finfo(similar.dtype).tiny)
    return (similar * weight).sum((2, 3, 4)) / total
