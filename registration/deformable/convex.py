"""A deformation searched among whole displacements on a coarse grid, smoothed by coupled convex optimisation."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from registration.deformable.total import average
from registration.deformable.warp import warp
from volumes.errors import GridError
from volumes.shapes import Shape3

COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""How strongly each choice is drawn to the smooth field, one round after the other, by the costs' own spread."""
ROUNDS = 15
"""Of bringing the fields of both directions together."""


def search(fixed: Tensor, moving: Tensor, weights: Tensor, width: int) -> Tensor:
    """The smooth field of least cost: each cell chooses among the lattice of displacements up to ``width`` cells.

    For each cell all (2·width + 1)³ costs ``c(d) = |F(x) − M(x + d)|²`` stand in memory. In turns the smooth field u
    is made of the chosen displacements, and each cell chooses the d of least ``c(d) + θ |d − u(x)|²``, with θ growing
    (Heinrich, Papież, Schnabel & Handels 2014, "Non-parametric discrete registration with convex optimisation", WBIR,
    LNCS 8545:51). A cell without weight follows its neighbours.

    Parameters
    ----------
    fixed, moving : features (1, C, Z, Y, X), averaged over the cells.
    weights : (1, 1, Z, Y, X), 0–1: how much of a cell may be looked at.
    width : how far to look along each axis, cells, at least 1.

    Returns
    -------
    (1, 3, Z, Y, X), cells.

    Raises
    ------
    GridError : features or weights that do not fit together, a width below 1.
    """
    shape = _checked(fixed, moving, weights, width)
    steps = torch.tensor(list(product(range(-width, width + 1), repeat=3)), dtype=fixed.dtype, device=fixed.device)
    costs = _costs(fixed, moving, weights, width)
    spread = average(costs.std(dim=0).view(1, *shape)).clamp_min(torch.finfo(costs.dtype).tiny)
    chosen = steps[costs.argmin(dim=0)].T.reshape(1, 3, *shape)
    field = _smoothed(chosen, weights)
    for coupling in COUPLINGS:
        apart = torch.stack([(steps[:, a, None] - field[0, a].flatten()[None]).square() for a in range(3)]).sum(dim=0)
        chosen = steps[(costs + coupling * spread * apart).argmin(dim=0)].T.reshape(1, 3, *shape)
        field = _smoothed(chosen, weights)
    return field


def consistent(forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
    """Two fields of opposite direction brought to where each is the other's inverse.

    ``u ← (u − v∘(id + u)) / 2`` and the same for v, over and over: what only one direction says is taken half.

    Parameters
    ----------
    forward, backward : (1, 3, Z, Y, X), in units of their own voxels.
    """
    for _ in range(ROUNDS):
        forward, backward = (forward - warp(backward, forward)) / 2, (backward - warp(forward, backward)) / 2
    return forward, backward


def _checked(fixed: Tensor, moving: Tensor, weights: Tensor, width: int) -> Shape3:
    if fixed.ndim != 5 or fixed.shape[0] != 1 or fixed.shape != moving.shape:
        raise GridError("must be (1, C, Z, Y, X), like the fixed ones", field="moving", value=tuple(moving.shape))
    if tuple(weights.shape) != (1, 1, *fixed.shape[2:]):
        raise GridError("must be (1, 1, Z, Y, X), as the features", field="weights", value=tuple(weights.shape))
    if width < 1:
        raise GridError("must be at least 1", field="width", value=width)
    z, y, x = fixed.shape[2:]
    return z, y, x


def _costs(fixed: Tensor, moving: Tensor, weights: Tensor, width: int) -> Tensor:
    """(displacements, cells): the mean squared difference over the channels, averaged over a cell and its neighbours.

    Past the border the outermost features are held.
    """
    z, y, x = fixed.shape[2:]
    wide = functional.pad(moving, [width] * 6, mode="replicate")
    out = fixed.new_empty(((2 * width + 1) ** 3, fixed[0, 0].numel()))
    for n, (i, j, k) in enumerate(product(range(2 * width + 1), repeat=3)):
        apart = (fixed - wide[:, :, i : i + z, j : j + y, k : k + x]).square().mean(dim=1, keepdim=True)
        out[n] = _mean(apart * weights).flatten()
    return out


def _smoothed(field: Tensor, weights: Tensor) -> Tensor:
    """Twice the mean over 3³ cells, by weight; where there is none around, the plain mean."""
    floor = 1e-3
    for _ in range(2):
        field = _mean(field * (weights + floor)) / _mean(weights + floor)
    return field


def _mean(values: Tensor) -> Tensor:
    return functional.avg_pool3d(values, 3, stride=1, padding=1, count_include_pad=False)
