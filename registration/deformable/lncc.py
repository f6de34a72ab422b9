"""Squared local correlation of two volumes in torch: likeness whatever the local contrast, its sign included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from registration.deformable.lncc_loops import correlate, gather
from volumes.errors import GridError

NOISE = 1e-3
"""Standard deviation of what counts as noise, for intensities of about 0–1."""


def lncc_squared(
    fixed: Tensor, warped: Tensor, radius: int, weights: Tensor | None = None, noise: float = NOISE
) -> Tensor:
    """Mean over the windows of ``cov² / ((var_f + ν²)(var_m + ν²))``: 1 where one is an affine function of the other.

    The squared correlation coefficient in a cube of 2r + 1 voxels around each voxel, cut at the border; ν lets windows
    that hold nothing but noise count as unlike (Avants et al. 2008, "Symmetric diffeomorphic image registration with
    cross-correlation", Medical Image Analysis 12:26, eq. 7). Every moment is taken with the weights, and so is the mean
    over the windows. Differentiable by both volumes; weights count as constants. Channels are averaged.

    Parameters
    ----------
    fixed, warped : (1, C, Z, Y, X), one floating kind.
    radius : r, voxels, at least 1.
    weights : (1, 1, Z, Y, X), at least 0: how much each voxel counts; None: all alike.
    noise : ν, in the intensities' unit.

    Returns
    -------
    A number 0–1, of the volumes' kind; 0 where no voxel has weight.

    Raises
    ------
    GridError : shapes that differ, a radius below 1, noise that is not above 0.
    """
    weights = check_pair(fixed, warped, weights)
    if radius < 1:
        raise GridError("must be at least 1", field="radius", value=radius)
    if not noise > 0:
        raise GridError("must be above 0", field="noise", value=noise)
    alike = [_correlation(f, w, weights[0, 0], radius, noise) for f, w in zip(fixed[0], warped[0], strict=True)]
    mean: Tensor = torch.stack(alike).mean()
    return mean


def check_pair(fixed: Tensor, warped: Tensor, weights: Tensor | None) -> Tensor:
    """The weights, or ones; refuses volumes and weights that do not lie on one grid.

    Raises
    ------
    GridError : they do not.
    """
    if fixed.ndim != 5 or fixed.shape[0] != 1 or fixed.shape != warped.shape or fixed.dtype != warped.dtype:
        raise GridError(
            "must be (1, C, Z, Y, X), like the fixed volume",
            field="warped",
            value=(tuple(warped.shape), warped.dtype),
            remedy=f"The fixed volume is {tuple(fixed.shape)}, {fixed.dtype}",
        )
    shape = (1, 1, *fixed.shape[2:])
    if weights is None:
        return fixed.new_ones(shape)
    if tuple(weights.shape) != shape:
        raise GridError("must be (1, 1, Z, Y, X), as the volumes", field="weights", value=tuple(weights.shape))
    return weights.detach().to(fixed.dtype)


class _Correlation(torch.autograd.Function):
    """One channel: the gradients are made with the value, since they share its sums."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        fixed: Tensor,
        warped: Tensor,
        weights: Tensor,
        radius: int,
        noise: float,
    ) -> Tensor:
        needed = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        on_cpu = fixed.device.type == "cpu"
        value, *slopes = (_looped if on_cpu else correlated_anywhere)(fixed, warped, weights, radius, noise, needed)
        ctx.slopes = slopes  # type: ignore[attr-defined]
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        above = gradients[0]
        slopes = [None if s is None else s * above for s in ctx.slopes]  # type: ignore[attr-defined]
        return (*slopes, None, None, None)


_correlation: Callable[[Tensor, Tensor, Tensor, int, float], Tensor] = _Correlation.apply
Needed = tuple[bool, bool]
"""Whether a derivative is wanted by the fixed and by the warped volume."""
Found = tuple[Tensor, Tensor | None, Tensor | None]
"""The value and both derivatives."""


def _looped(fixed: Tensor, warped: Tensor, weights: Tensor, radius: int, noise: float, needed: Needed) -> Found:
    f, g, w = (t.detach().contiguous().numpy() for t in (fixed, warped, weights))
    total = float(w.sum(dtype=np.float64))
    if total <= 0:
        return fixed.new_zeros(()), torch.zeros_like(fixed), torch.zeros_like(fixed)
    parts = fixed.new_empty((5 if needed[0] else 3 if needed[1] else 0, *fixed.shape)).numpy()
    value = correlate(f, g, w, radius, noise**2, parts) / total
    slopes: list[Tensor | None] = [None, None]
    for side, own, other, places in ((0, f, g, (0, 3, 4)), (1, g, f, (0, 1, 2))):
        if needed[side]:
            joint, single, level = places
            slopes[side] = out = torch.empty(fixed.shape, dtype=fixed.dtype)
            gather(own, other, w, radius, (parts[joint], parts[single], parts[level]), 1 / total, out.numpy())
    return fixed.new_tensor(value), slopes[0], slopes[1]


def correlated_anywhere(
    fixed: Tensor, warped: Tensor, weights: Tensor, radius: int, noise: float, needed: Needed
) -> Found:
    """Value and gradients of one channel (Z, Y, X) in torch alone, for any device; in float64 inside."""
    f, g, w = fixed.double(), warped.double(), weights.double()
    count = _box(w, radius)
    n = count.clamp_min(torch.finfo(torch.float32).tiny)
    mean_f, mean_g = _box(w * f, radius) / n, _box(w * g, radius) / n
    var_f = (_box(w * f * f, radius) / n - mean_f**2).clamp_min(0) + noise**2
    var_g = (_box(w * g * g, radius) / n - mean_g**2).clamp_min(0) + noise**2
    cov = _box(w * f * g, radius) / n - mean_f * mean_g
    q = cov**2 / (var_f * var_g)
    share = w / w.sum().clamp_min(torch.finfo(torch.float64).tiny)
    joint = 2 * share * cov / (n * var_f * var_g)
    slopes: list[Tensor | None] = []
    for wanted, own, other, mean, mean_other, var in zip(
        needed, (f, g), (g, f), (mean_f, mean_g), (mean_g, mean_f), (var_f, var_g), strict=True
    ):
        single = -2 * share * q / (n * var)
        level = -(joint * mean_other + single * mean)
        slope = w * (other * _box(joint, radius) + own * _box(single, radius) + _box(level, radius)) if wanted else None
        slopes.append(None if slope is None else slope.to(fixed.dtype))
    return (share * q).sum().to(fixed.dtype), slopes[0], slopes[1]


def _box(values: Tensor, radius: int) -> Tensor:
    """Sums over cubes of 2r + 1 voxels, cut at the border, one axis after the other."""
    width, out = 2 * radius + 1, values[None, None]
    for axis in range(3):
        edges = [radius if a == axis else 0 for a in (2, 2, 1, 1, 0, 0)]
        size = [width if a == axis else 1 for a in range(3)]
        out = functional.avg_pool3d(functional.pad(out, edges), size, stride=1) * width
    return out[0, 0]
