"""Gaussian smoothing in torch that is its own adjoint, so that its derivative is itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from volumes.errors import GridError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Triple

REACH = 3.0
"""Half width of the kernel, in standard deviations."""


def blur(channels: Tensor, sigma: Triple) -> Tensor:
    """Each channel convolved with a Gaussian, mirrored at the border (d c b a | a b c d).

    A mirrored symmetric kernel keeps constants and is a symmetric matrix, so the gradient is smoothed as the values
    were. The kernel ends at three standard deviations.

    Parameters
    ----------
    channels : (C, Z, Y, X), floats.
    sigma : standard deviation along (z, y, x), voxels; 0 leaves an axis as it is.

    Raises
    ------
    GridError : a width below 0 or not finite.
    """
    if not all(0 <= s < np.inf for s in sigma):
        raise GridError("must be finite and at least 0", field="sigma", value=sigma)
    return _blur(channels, sigma)


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, channels: Tensor, sigma: Triple) -> Tensor:
        ctx.sigma = sigma  # type: ignore[attr-defined]
        return _blurred(channels, sigma)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _blurred(gradients[0], ctx.sigma), None  # type: ignore[attr-defined]


_blur: Callable[[Tensor, Triple], Tensor] = _Blur.apply


def _blurred(channels: Tensor, sigma: Triple) -> Tensor:
    out = channels
    for axis, width in enumerate(sigma):
        if width > 0 and channels.shape[axis + 1] > 1:
            out = along(out, axis + 1, width) if channels.device.type == "cpu" else along_anywhere(out, axis + 1, width)
    return out.clone() if out is channels else out


def along(values: Tensor, axis: int, sigma: float) -> Tensor:
    """One axis convolved on the CPU."""
    n, inner = values.shape[axis], values.shape[axis + 1 :].numel()
    source = values.detach().contiguous().view(-1, n, inner)
    out = torch.empty_like(source)
    _convolve(source.numpy(), _taps(sigma).astype(source.numpy().dtype), _mirror(n, sigma), out.numpy())
    return out.view(values.shape)


def along_anywhere(values: Tensor, axis: int, sigma: float) -> Tensor:
    """One axis convolved on any device."""
    mirror = torch.from_numpy(_mirror(values.shape[axis], sigma)).to(values.device)
    n, out = values.shape[axis], torch.zeros_like(values)
    for t, weight in enumerate(_taps(sigma).tolist()):
        out += weight * values.index_select(axis, mirror[t : t + n])
    return out


def _taps(sigma: float) -> AnyArray:
    reach = int(np.ceil(REACH * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(taps / taps.sum())


def _mirror(n: int, sigma: float) -> AnyArray:
    """Indices −reach … n − 1 + reach, folded into 0 … n − 1."""
    reach = int(np.ceil(REACH * sigma))
    folded = np.arange(-reach, n + reach) % (2 * n)
    return np.where(folded < n, folded, 2 * n - 1 - folded)


@kernel
def _convolve(source: AnyArray, taps: AnyArray, mirror: AnyArray, out: AnyArray) -> None:
    """Along the middle axis of (outer, n, inner)."""
    outer, n, inner = source.shape
    wide = np.empty(len(mirror), source.dtype)
    for o in range(outer):
        if inner == 1:
            for i in range(len(mirror)):
                wide[i] = source[o, mirror[i], 0]
        for i in range(n):
            if inner == 1:
                total = taps[0] * wide[i]
                for t in range(1, len(taps)):
                    total += taps[t] * wide[i + t]
                out[o, i, 0] = total
                continue
            out[o, i, :] = 0.0
            for t in range(len(taps)):
                row, weight = source[o, mirror[i + t]], taps[t]
                for k in range(inner):
                    out[o, i, k] += weight * row[k]
