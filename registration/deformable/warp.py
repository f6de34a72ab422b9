"""Dense displacement fields in torch: sampling, composing, inverting, and how they change volume.

A field is (1, 3, Z, Y, X): for every voxel x of the working grid its displacement u(x) along (z, y, x), in voxels of
that grid. A volume is (1, C, Z, Y, X) on the same grid. Both are float32 (float64 is taken as well, and kept). Every
function is differentiable, gives the same bytes each time whatever the number of threads, and stays on the device of
its arguments: compiled loops on the CPU, torch elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from registration.deformable.gaussian import blur
from registration.deformable.warp_loops import sample, scatter, slope
from volumes.errors import GridError
from volumes.shapes import Shape3, Triple

_FIXED_POINT_BITS = 40
"""Of a sum's integer form, below its largest term: 2²³ terms fit into 63 bits, each exact to 2⁻⁴⁰ of the largest."""


def warp(volume: Tensor, field: Tensor) -> Tensor:
    """The volume seen through a field: trilinear values at x + u(x), held constant past the outermost voxel centres.

    The derivative by the field is that of the trilinear piece, the upper one where a point lies on a voxel, and 0 past
    the border (Jaderberg et al. 2015, "Spatial transformer networks", eqs. 6–7).

    Parameters
    ----------
    volume : (1, C, Z, Y, X).
    field : (1, 3, Z, Y, X), voxels.

    Raises
    ------
    GridError : shapes, kinds or devices that do not fit together.
    """
    check_field(field)
    if volume.ndim != 5 or volume.shape[0] != 1 or volume.shape[2:] != field.shape[2:]:
        raise GridError(
            "a volume of (1, C, Z, Y, X) on the field's grid is needed",
            field="volume",
            value=tuple(volume.shape),
            remedy=f"The field has {tuple(field.shape)}",
        )
    if volume.dtype != field.dtype or volume.device != field.device:
        raise GridError(
            "must be of the field's kind and on its device",
            field="volume",
            value=f"{volume.dtype} on {volume.device}",
            remedy=f"The field is {field.dtype} on {field.device}",
        )
    return _warp(volume[0], field[0])[None]


def compose(a: Tensor, b: Tensor) -> Tensor:
    """The field of ``(id + a) ∘ (id + b)``: u(x) = b(x) + a(x + b(x)), both (1, 3, Z, Y, X) in voxels."""
    return b + warp(a, b)


def invert(field: Tensor, iterations: int) -> Tensor:
    """The field w with ``(id + u) ∘ (id + w) ≈ id``, by the fixed point w ← −u(x + w(x)).

    Chen et al. 2008, "A simple fixed-point approach to invert a deformation field", Medical Physics 35:81. It converges
    where u is a contraction (a slope below 1 everywhere), the faster the smoother u is; where it is not, the field does
    not converge, so compare ``compose(field, inverse)`` with 0 before the result is used.

    Parameters
    ----------
    field : (1, 3, Z, Y, X), voxels.
    iterations : at least 1; the error falls by the largest slope of u in each.
    """
    check_field(field)
    if iterations < 1:
        raise GridError("must be at least 1", field="iterations", value=iterations)
    inverse = -field
    for _ in range(iterations):
        inverse = -warp(field, inverse)
    return inverse


def jacobian(field: Tensor) -> Tensor:
    """``det(I + ∂u/∂x)`` (Z, Y, X): change of volume by central differences, one-sided at the border.

    An axis of a single voxel has no slope.
    """
    check_field(field)
    rows = [[_difference(field[0, a], axis) + (1.0 if a == axis else 0.0) for axis in range(3)] for a in range(3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def resize(field: Tensor, shape: Shape3) -> Tensor:
    """The same field on a grid of another shape that fills the same box, its values scaled to the new voxels.

    Trilinear, held constant over the outer half voxel. The voxel centres of both grids lie half a voxel inside the
    box, as those of a volume before and after averaging blocks of voxels do.

    Parameters
    ----------
    field : (1, 3, Z, Y, X), voxels.
    shape : of the result (z, y, x).
    """
    check_field(field)
    if min(shape) < 1:
        raise GridError("must be at least one voxel along every axis", field="shape", value=shape)
    scale = field.new_tensor([new / old for new, old in zip(shape, field.shape[2:], strict=True)])
    return functional.interpolate(field, size=shape, mode="trilinear", align_corners=False) * scale[:, None, None, None]


def smooth(field: Tensor, sigma: float | Triple) -> Tensor:
    """Gaussian smoothing of each component, mirrored at the border; constants stay as they are.

    Parameters
    ----------
    field : (1, 3, Z, Y, X), voxels.
    sigma : standard deviation, voxels, one for all axes or (z, y, x); 0 leaves an axis as it is.
    """
    check_field(field)
    widths = sigma if isinstance(sigma, tuple) else (sigma, sigma, sigma)
    return blur(field[0], widths)[None]


def check_field(field: Tensor) -> None:
    """Refuse what is no field.

    Raises
    ------
    GridError : a shape other than (1, 3, Z, Y, X), no voxels, or not floating point.
    """
    if field.ndim != 5 or field.shape[:2] != (1, 3) or min(field.shape) < 1 or not field.is_floating_point():
        raise GridError("must be (1, 3, Z, Y, X) in floats", field="field", value=(tuple(field.shape), field.dtype))


def _difference(values: Tensor, axis: int) -> Tensor:
    return torch.zeros_like(values) if values.shape[axis] < 2 else torch.gradient(values, dim=axis)[0]


class _Warp(torch.autograd.Function):
    """Volume (C, Z, Y, X) and field (3, Z, Y, X) → (C, Z, Y, X)."""

    @staticmethod
    def forward(ctx: FunctionCtx, volume: Tensor, field: Tensor) -> Tensor:
        volume, field = volume.contiguous(), field.contiguous()
        ctx.save_for_backward(volume, field)
        return _sampled(volume, field)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        volume, field = ctx.saved_tensors  # type: ignore[attr-defined]
        above = gradients[0].contiguous()
        by_volume, by_field = ctx.needs_input_grad  # type: ignore[attr-defined]
        return (
            _scattered(above, field) if by_volume else None,
            _sloped(volume, field, above) if by_field else None,
        )


_warp: Callable[[Tensor, Tensor], Tensor] = _Warp.apply


def _sampled(volume: Tensor, field: Tensor) -> Tensor:
    if volume.device.type != "cpu":
        return sampled_anywhere(volume, field)
    out = torch.empty_like(volume)
    sample(volume.detach().numpy(), field.detach().numpy(), out.numpy())
    return out


def _sloped(volume: Tensor, field: Tensor, above: Tensor) -> Tensor:
    if volume.device.type != "cpu":
        return sloped_anywhere(volume, field, above)
    out = torch.empty_like(field)
    slope(volume.detach().numpy(), field.detach().numpy(), above.detach().numpy(), out.numpy())
    return out


def _scattered(above: Tensor, field: Tensor) -> Tensor:
    if above.device.type != "cpu":
        return scattered_anywhere(above, field)
    out = torch.zeros_like(above)
    scatter(above.detach().numpy(), field.detach().numpy(), out.numpy())
    return out


def sampled_anywhere(volume: Tensor, field: Tensor) -> Tensor:
    """:func:`warp` of (C, Z, Y, X) in torch alone, for any device."""
    out = torch.zeros_like(volume)
    for index, weight, _ in _corners(field):
        out += weight * volume.flatten(1)[:, index].view_as(out)
    return out


def sloped_anywhere(volume: Tensor, field: Tensor, above: Tensor) -> Tensor:
    """The gradient by the field (3, Z, Y, X), given that by the warped volume, in torch alone."""
    out = torch.zeros_like(field)
    for index, _, slopes in _corners(field):
        value = (volume.flatten(1)[:, index].view_as(above) * above).sum(dim=0)
        for axis, by in enumerate(slopes):
            out[axis] += by * value
    return out


def scattered_anywhere(above: Tensor, field: Tensor) -> Tensor:
    """The gradient by the volume (C, Z, Y, X), in torch alone.

    It sums integers, whose sum does not depend on the order in which a device takes them.
    """
    top = above.abs().amax().clamp_min(torch.finfo(above.dtype).tiny)
    unit = torch.exp2(torch.floor(torch.log2(top.double())) - _FIXED_POINT_BITS)
    out = torch.zeros(above.shape[0], above[0].numel(), dtype=torch.int64, device=above.device)
    for index, weight, _ in _corners(field):
        out.index_add_(1, index, torch.round((weight * above).flatten(1).double() / unit).long())
    return (out.double() * unit).to(above.dtype).view_as(above)


def _corners(field: Tensor) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]]:
    """The eight voxels around x + u(x): flat index (n,), weight (Z, Y, X), and the weight's slope along each axis."""
    shape = field.shape[1:]
    low, high, share = zip(*(_split(field[a], a, n) for a, n in enumerate(shape)), strict=True)
    for corner in range(8):
        upper = [corner >> 2 & 1, corner >> 1 & 1, corner & 1]
        at = [high[a] if upper[a] else low[a] for a in range(3)]
        weight = [share[a] if upper[a] else 1 - share[a] for a in range(3)]
        sign = [2 * u - 1 for u in upper]
        index = ((at[0] * shape[1] + at[1]) * shape[2] + at[2]).flatten()
        z, y, x = weight
        yield index, z * y * x, (sign[0] * y * x, sign[1] * z * x, sign[2] * z * y)


def _split(displacement: Tensor, axis: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Both neighbours along an axis of n voxels and the share of the upper; past the border twice the outermost."""
    start = torch.arange(n, dtype=displacement.dtype, device=displacement.device)
    position = displacement + start.view([-1 if a == axis else 1 for a in range(3)])
    clamped = position.clamp(0, n - 1)
    low = clamped.floor()
    high = torch.where(position < 0, low, (low + 1).clamp_max(n - 1))
    return low.long(), high.long(), clamped - low
