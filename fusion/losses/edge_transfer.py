"""Q^{AB/F} in torch: how well strength and direction of a source's edges are those of the fused picture.

With g and α the strength and the direction of Sobel gradients, G = min(g_F/g_A, g_A/g_F), A = 1 − |α_A − α_F| 2/π,
Q = Γ_g/(1 + e^{κ_g (G − σ_g)}) · Γ_α/(1 + e^{κ_α (A − σ_α)}), averaged with the weights g_A (Xydeas & Petrović 2000,
"Objective image fusion performance measure", Electronics Letters 36). Planes are judged one by one, as the published
figure judges slices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from fusion.losses.planes import as_planes

STRENGTH = (0.9994, -15.0, 0.5)
DIRECTION = (0.9879, -22.0, 0.8)
"""Γ, κ and σ of the two sigmoids."""
FAINT = 1e-6


def edge_transfer(sources: Tensor, fused: Tensor) -> Tensor:
    """Q (batch,), 0 to 1, of one source or of several together: every edge of each counts by its strength.

    Parameters
    ----------
    sources : (batch, sources, z, y, x), of one scale with ``fused``; the range plays no part.
    fused : (batch, 1, z, y, x).
    """
    after, shape = _edges(as_planes(fused)), (len(sources), -1)
    kept = there = fused.new_zeros(len(sources))
    for m in range(sources.shape[1]):
        before = _edges(as_planes(sources[:, m : m + 1]))
        kept = kept + (_kept(before, after) * before[0]).reshape(shape).sum(1)
        there = there + before[0].reshape(shape).sum(1)
    return kept / there.clamp_min(FAINT)


def _kept(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Tensor:
    lesser, greater = torch.minimum(before[0], after[0]), torch.maximum(before[0], after[0])
    strength = lesser / greater.clamp_min(FAINT)
    direction = 1 - (before[1] - after[1]).abs() * (2 / math.pi)
    return _sigmoid(strength, STRENGTH) * _sigmoid(direction, DIRECTION)


def _sigmoid(x: Tensor, shape: tuple[float, float, float]) -> Tensor:
    top, slope, middle = shape
    return top / (1 + torch.exp(slope * (x - middle)))


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and direction, −π/2 to π/2; where there is no gradient along x the direction is π/2, as published."""
    smooth, slope = x.new_tensor([1.0, 2.0, 1.0]), x.new_tensor([-1.0, 0.0, 1.0])
    padded = functional.pad(x, (1, 1, 1, 1))
    # The published filter for x is mirrored by its convolution, the one for y is not.
    along_x = -functional.conv2d(padded, torch.outer(smooth, slope)[None, None])
    along_y = functional.conv2d(padded, torch.outer(slope, smooth)[None, None])
    flat = along_x.abs() < FAINT
    ratio = along_y / torch.where(flat, torch.ones_like(along_x), along_x)
    direction = torch.where(flat, torch.full_like(ratio, math.pi / 2), torch.atan(ratio))
    return (along_x * along_x + along_y * along_y + FAINT**2).sqrt(), direction
