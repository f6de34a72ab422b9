"""Smooth displacement fields by few numbers: a sum of Gaussians on a coarse lattice, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from volumes.errors import GridError
from volumes.shapes import Shape3, Triple

OVER = 1.0
"""How far the lattice reaches past the outermost voxels, in widths."""
RIDGE = 1e-3
"""Of a projection: what keeps neighbouring Gaussians, which are nearly alike, from cancelling each other."""


@dataclass(frozen=True)
class SmoothBasis:
    """Fields ``u(x) = Σᵢ cᵢ Πₐ g((xₐ − pᵢₐ) / σₐ)``, g the Gaussian, p a lattice σ apart.

    With independent cᵢ of one variance such a field is white noise smoothed by σ, so that |c|² is its negative log
    likelihood, up to a factor: the Tikhonov penalty of a Gaussian process. Since g separates, a field is three small
    matrix products.

    Parameters
    ----------
    shape : voxels that the lattice covers (z, y, x).
    sigma : σ along (z, y, x), voxels.
    device : of the fields.

    Raises
    ------
    GridError : a width that is not above 0.
    """

    shape: Shape3
    sigma: Triple
    device: torch.device

    def __post_init__(self) -> None:
        if not all(0 < s < math.inf for s in self.sigma):
            raise GridError("must be finite and above 0", field="sigma", value=self.sigma)

    @property
    def lattice(self) -> Shape3:
        """Gaussians along (z, y, x)."""
        z, y, x = (math.ceil((n - 1) / s + 2 * OVER) + 1 for n, s in zip(self.shape, self.sigma, strict=True))
        return z, y, x

    def at(self, factors: Shape3) -> Sampled:
        """The fields at the middles of blocks of so many voxels along (z, y, x); what is over at the end is left."""
        return Sampled(tuple(self._weights(axis, factors[axis]) for axis in range(3)), factors)

    def nothing(self) -> Tensor:
        """The coefficients of the field that is 0 everywhere, (1, 3, lattice)."""
        return torch.zeros((1, 3, *self.lattice), device=self.device)

    def _weights(self, axis: int, factor: int) -> Tensor:
        n, sigma, count = self.shape[axis], self.sigma[axis], self.lattice[axis]
        middles = torch.arange(n // factor, dtype=torch.float64) * factor + (factor - 1) / 2
        places = (n - 1) / 2 + (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * sigma
        return torch.exp(-0.5 * ((middles[:, None] - places) / sigma) ** 2).float().to(self.device)


@dataclass(frozen=True)
class Sampled:
    """A basis at the voxels of one resolution.

    Parameters
    ----------
    weights : (n, k) along each axis.
    factors : voxels of the basis in one of these, along each axis.
    """

    weights: tuple[Tensor, ...]
    factors: Shape3

    def field(self, coefficients: Tensor) -> Tensor:
        """(1, 3, Z, Y, X), in these voxels, of coefficients (1, 3, lattice) in voxels of the basis."""
        return torch.einsum("nabc,za,yb,xc->nzyx", coefficients[0], *self.weights)[None] / self._scale

    def coefficients(self, field: Tensor) -> Tensor:
        """Those of the field nearest to a given one in these voxels, axis after axis by least squares."""
        z, y, x = (
            torch.linalg.solve(w.T @ w + RIDGE * torch.eye(w.shape[1], device=w.device), w.T) for w in self.weights
        )
        return torch.einsum("nzyx,az,by,cx->nabc", (field * self._scale)[0], z, y, x)[None]

    @property
    def _scale(self) -> Tensor:
        return torch.tensor(self.factors, dtype=torch.float32, device=self.weights[0].device).view(1, 3, 1, 1, 1)
