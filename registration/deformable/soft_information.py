"""Normalised mutual information of two volumes in torch, from a joint histogram that is smooth in the intensities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from registration.deformable.information_loops import count, push
from registration.deformable.lncc import check_pair
from registration.linear.histogram import normalised_information
from volumes.errors import ContentError, GridError
from volumes.shapes import AnyArray

FEWEST_BINS = 6
RANGE_PERCENT = (0.5, 99.5)
"""Intensities beyond these percentiles count as the percentile."""
_RANGE_VOXELS = 200_000
_CHUNK = 1 << 17


def soft_nmi(fixed: Tensor, warped: Tensor, bins: int, weights: Tensor | None = None) -> Tensor:
    """``(H_f + H_m) / H_fm``, 1–2, larger for likeness of any kind; differentiable by the warped volume.

    Studholme, Hill & Hawkes 1999, "An overlap invariant entropy measure of 3D medical image alignment", Pattern
    Recognition 32:71; a voxel takes the fixed volume's nearest bin and is spread over four of the warped one by the
    cubic B-spline (Mattes et al. 2003, IEEE TMI 22:120). The fixed volume and the weights count as constants. Beside
    the volumes it keeps one gradient and works through them bit by bit.

    Parameters
    ----------
    fixed, warped : (1, 1, Z, Y, X), intensities 0–1, as :func:`scaled` gives; what lies beyond counts as the end.
    bins : on either side, at least 6.
    weights : (1, 1, Z, Y, X), at least 0: how much each voxel counts; None: all alike.

    Returns
    -------
    A number, of the volumes' kind; 1 where no voxel has weight.

    Raises
    ------
    GridError : shapes that differ, more than one channel, too few bins, a fixed volume that wants a derivative.
    """
    weights = check_pair(fixed, warped, weights)
    if fixed.shape[1] != 1:
        raise GridError("has one channel in a histogram", field="fixed", value=tuple(fixed.shape))
    if bins < FEWEST_BINS:
        raise GridError(f"must be at least {FEWEST_BINS}", field="bins", value=bins)
    if fixed.requires_grad:
        raise GridError(
            "has no derivative here",
            field="fixed",
            remedy="Give the volume that moves as warped, or fixed.detach()",
        )
    return _information(fixed[0, 0], warped[0, 0], weights[0, 0], bins)


def scaled(volume: Tensor, weights: Tensor | None = None) -> Tensor:
    """Intensities brought to 0–1 over their percentiles 0.5–99.5, what lies beyond cut off; each channel by itself.

    Parameters
    ----------
    volume : (1, C, Z, Y, X).
    weights : (1, 1, Z, Y, X); the percentiles are those of voxels with a weight above 0. None: of all.

    Raises
    ------
    ContentError : a channel that is constant or not finite where it has weight.
    """
    inside = check_pair(volume, volume, weights)[0, 0] > 0
    out = torch.empty_like(volume)
    for source, target in zip(volume[0], out[0], strict=True):
        seen = source.detach()[inside].double().cpu().numpy()
        low, high = _range(seen[:: max(1, seen.size // _RANGE_VOXELS)]) if np.isfinite(seen).all() else (np.nan, np.nan)
        if not 0 < high - low < np.inf:
            raise ContentError("is constant or not finite", field="volume", value=(low, high))
        target.copy_(((source - low) / (high - low)).clamp(0, 1))
    return out


def joint_histogram(fixed: Tensor, warped: Tensor, weights: Tensor, bins: int) -> AnyArray:
    """Sums of the weights (fixed bins, warped bins), float64, of (Z, Y, X) volumes 0–1."""
    if fixed.device.type != "cpu":
        return counted_anywhere(fixed, warped, weights, bins)
    histogram = np.zeros((bins, bins))
    count(_flat(fixed), _flat(warped), _flat(weights), histogram)
    return histogram


class _Information(torch.autograd.Function):
    """(Z, Y, X) each: the gradient is made with the value, since it takes the same histogram."""

    @staticmethod
    def forward(ctx: FunctionCtx, fixed: Tensor, warped: Tensor, weights: Tensor, bins: int) -> Tensor:
        histogram, table = joint_histogram(fixed, warped, weights, bins), np.zeros((bins, bins))
        total = float(histogram.sum())
        value = normalised_information(histogram, total, table) if total > 0 else 1.0
        ctx.slope = None  # type: ignore[attr-defined]
        if ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            ctx.slope = _pushed(fixed, warped, weights, table)  # type: ignore[attr-defined]
        return warped.new_tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slope = ctx.slope  # type: ignore[attr-defined]
        return None, None if slope is None else slope * gradients[0], None, None


_information: Callable[[Tensor, Tensor, Tensor, int], Tensor] = _Information.apply


def _pushed(fixed: Tensor, warped: Tensor, weights: Tensor, table: AnyArray) -> Tensor:
    if fixed.device.type != "cpu":
        return pushed_anywhere(fixed, warped, weights, table)
    out = torch.empty(warped.shape, dtype=warped.dtype)
    push(_flat(fixed), _flat(warped), _flat(weights), table, out.numpy().reshape(-1))
    return out


def counted_anywhere(fixed: Tensor, warped: Tensor, weights: Tensor, bins: int) -> AnyArray:
    """:func:`joint_histogram` in torch alone, for any device: a product of both sides' weights, chunk by chunk."""
    histogram = torch.zeros(bins, bins, dtype=torch.float64, device=fixed.device)
    for f, g, w in _chunks(fixed, warped, weights):
        rows = functional.one_hot(_nearest(f, bins), bins).to(g.dtype) * w[:, None]
        histogram += rows.T @ _spline(_distances(g, bins))
    return np.asarray(histogram.cpu().numpy())


def pushed_anywhere(fixed: Tensor, warped: Tensor, weights: Tensor, table: AnyArray) -> Tensor:
    """The gradient (Z, Y, X) by the warped volume, given that by the histogram, in torch alone."""
    by_bin = torch.from_numpy(table).to(fixed.device, warped.dtype)
    bins, out = len(table), []
    for f, g, w in _chunks(fixed, warped, weights):
        along = (by_bin[_nearest(f, bins)] * _spline_slope(_distances(g, bins))).sum(dim=1)
        out.append(along * w * ((g > 0) & (g < 1)) * (bins - 3))
    return torch.cat(out).to(warped.dtype).view(warped.shape)


def _chunks(*volumes: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(v.detach().flatten(), _CHUNK) for v in volumes), strict=True))


def _nearest(values: Tensor, bins: int) -> Tensor:
    return torch.floor(_coordinate(values, bins) + 0.5).long()


def _coordinate(values: Tensor, bins: int) -> Tensor:
    """Bins 1 … bins − 2, so that the spline stays within the histogram."""
    return 1 + values.clamp(0, 1) * (bins - 3)


def _distances(values: Tensor, bins: int) -> Tensor:
    centres = torch.arange(bins, dtype=values.dtype, device=values.device)
    return _coordinate(values, bins)[:, None] - centres


def _spline(d: Tensor) -> Tensor:
    """β³, the cubic B-spline."""
    near, far = d.abs(), (2 - d.abs()).clamp_min(0)
    return torch.where(near < 1, 2 / 3 - near**2 * (1 - near / 2), far**3 / 6)


def _spline_slope(d: Tensor) -> Tensor:
    near, far = d.abs(), (2 - d.abs()).clamp_min(0)
    return d.sign() * torch.where(near < 1, near * (1.5 * near - 2), -(far**2) / 2)


def _flat(volume: Tensor) -> AnyArray:
    return np.asarray(volume.detach().contiguous().numpy().reshape(-1))


def _range(values: AnyArray) -> tuple[float, float]:
    """The robust range; the whole one where all but a few values are alike."""
    if values.size == 0:
        return 0.0, 0.0
    low, high = (float(v) for v in np.percentile(values, RANGE_PERCENT))
    return (low, high) if high != low else (float(values.min()), float(values.max()))
