"""Laplacian pyramids of batches in torch, the same numbers as :mod:`volumes.pyramid`, with gradients.

Tensors are (batch, channels, z, y, x). A plan says which axes each level halves; a slice is a volume of one plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from volumes.pyramid import halving_axes

Axes: TypeAlias = tuple[int, ...]
"""Spatial axes, 0 for z."""
Plan: TypeAlias = tuple[Axes, ...]
"""The axes that each level halves, finest first."""


def plan_of(shape: Sequence[int], spacing_um: Sequence[float], levels: int) -> Plan:
    """What :func:`volumes.pyramid.gaussian_pyramid` would halve; shorter than ``levels`` where no axis is left.

    Parameters
    ----------
    shape, spacing_um : (z, y, x), in voxels and µm.
    levels : how many times to halve at most.
    """
    sizes, spacing, plan = list(shape), list(spacing_um), []
    for _ in range(levels):
        axes = halving_axes(sizes, spacing)
        if not axes:
            break
        sizes = [(n + 1) // 2 if i in axes else n for i, n in enumerate(sizes)]
        spacing = [s * 2 if i in axes else s for i, s in enumerate(spacing)]
        plan.append(axes)
    return tuple(plan)


def gaussian(x: Tensor, plan: Plan) -> list[Tensor]:
    """G₀ = x; Gₗ₊₁ = Gₗ smoothed with [1 4 6 4 1]/16 and halved along the axes of the plan."""
    out = [x]
    for axes in plan:
        out.append(reduce(out[-1], axes))
    return out


def laplacian(x: Tensor, plan: Plan) -> list[Tensor]:
    """Detail bands, finest first, then the top; :func:`collapse` undoes it."""
    levels = gaussian(x, plan)
    bands = [
        fine - expand(coarse, fine.shape[2:], axes) for (fine, coarse), axes in zip(pairwise(levels), plan, strict=True)
    ]
    return [*bands, levels[-1]]


def collapse(bands: Sequence[Tensor], plan: Plan) -> Tensor:
    """Gₗ = Lₗ + up(Gₗ₊₁), from the top down."""
    out = bands[-1]
    for band, axes in zip(reversed(bands[:-1]), reversed(plan), strict=True):
        out = band + expand(out, band.shape[2:], axes)
    return out


def reduce(x: Tensor, axes: Axes) -> Tensor:
    """Smooth and keep every second voxel along the axes; edges mirror about the outermost voxel."""
    for axis in axes:
        dim, n = axis + 2, x.shape[axis + 2]
        padded = x.index_select(dim, _mirrored(n, x.device))
        m = (n + 1) // 2
        taps = [_strided(padded, dim, k, m) for k in range(5)]
        x = (6 / 16) * taps[2] + (4 / 16) * (taps[1] + taps[3]) + (1 / 16) * (taps[0] + taps[4])
    return x


def expand(x: Tensor, shape: Sequence[int], axes: Axes) -> Tensor:
    """Double along the axes back to ``shape`` (z, y, x); edges repeat the outermost voxel."""
    for axis in axes:
        dim, n, wanted = axis + 2, x.shape[axis + 2], shape[axis]
        left = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)], dim)
        right = torch.cat([x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)], dim)
        even, odd = (6 / 8) * x + (1 / 8) * (left + right), 0.5 * (x + right)
        x = torch.stack([even, odd], dim + 1).flatten(dim, dim + 1).narrow(dim, 0, wanted)
    return x


def local_energy(band: Tensor) -> Tensor:
    """Sum of squares over 3³ voxels, 3² in a slice; the window ends at the border."""
    z = 3 if band.shape[2] > 1 else 1
    # Torch's own padding refuses volumes of fewer voxels than the window.
    padded = functional.pad(band * band, (1, 1, 1, 1, z // 2, z // 2))
    return functional.avg_pool3d(padded, (z, 3, 3), stride=1) * (9 * z)


def chosen_by_energy(bands: Tensor, barred: Tensor | None = None) -> Tensor:
    """The coefficient of the source with the larger local energy; the mean of those that are equally large.

    Parameters
    ----------
    bands : one band of each source (batch, sources, z, y, x).
    barred : coefficients that may not be chosen, same shape.

    Returns
    -------
    (batch, 1, z, y, x).
    """
    energy = local_energy(bands)
    if barred is not None:
        energy = energy.masked_fill(barred, -1)
    best = (energy == energy.amax(1, keepdim=True)).to(bands.dtype)
    return (best * bands).sum(1, keepdim=True) / best.sum(1, keepdim=True)


def prefused(sources: Tensor, plan: Plan, barred: Sequence[Tensor] | None = None) -> Tensor:
    """LP-F in torch: details by local energy, the maximum of the bases (batch, sources, z, y, x) → (batch, 1, …)."""
    bands = laplacian(sources, plan)
    details = [chosen_by_energy(band, None if barred is None else barred[i]) for i, band in enumerate(bands[:-1])]
    return collapse([*details, bands[-1].amax(1, keepdim=True)], plan)


def _strided(padded: Tensor, dim: int, start: int, count: int) -> Tensor:
    return padded[(slice(None),) * dim + (slice(start, start + 2 * count - 1, 2),)]


def _mirrored(n: int, device: torch.device) -> Tensor:
    """Indices −2 … n + 1, mirrored about the outermost voxels as :mod:`volumes.pyramid` does."""
    i = torch.arange(-2, n + 2, device=device).abs()
    last = n - 1
    return torch.where(i > last, 2 * last - i, i).clamp_min(0) if n > 1 else torch.zeros_like(i)
