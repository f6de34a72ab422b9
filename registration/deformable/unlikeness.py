"""How unlike two volumes are under a displacement field: what a deformation is refined by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor
from torch.nn import functional

from registration.deformable.lncc import lncc_squared
from registration.deformable.mind import mind_ssc, reach
from registration.deformable.soft_information import soft_nmi
from registration.deformable.total import total
from registration.deformable.warp import warp
from volumes.shapes import Shape3

Likeness = Literal["mind", "lncc2", "nmi"]
Loss = Callable[[Tensor], Tensor]
"""A number, less for more likeness, of a field (1, 3, Z, Y, X) in voxels."""
DILATION, SIGMA = 1, 1.2
"""Of the MIND descriptors, voxels of the working grid."""
RADIUS = 3
"""Of the windows of the local correlation, voxels of the resolution at hand."""
BINS = 32
NOISE = 0.02
"""Of the local correlation, for intensities 0–1."""
SHARE = {"mind": 1.0, "lncc2": 300.0, "nmi": 10.0}
"""What one unit of each likeness is worth against the penalty: so that the same stiffness suits all of them."""


@dataclass(frozen=True)
class Pictures:
    """Two volumes on one grid, as they are compared.

    Parameters
    ----------
    fixed, moving : (1, C, Z, Y, X): intensities 0–1, or their descriptors.
    fixed_weights, moving_weights : (1, 1, Z, Y, X), 0–1: how much of a voxel may be looked at.
    likeness : how they are compared.
    """

    fixed: Tensor
    moving: Tensor
    fixed_weights: Tensor
    moving_weights: Tensor
    likeness: Likeness

    def described(self) -> Pictures:
        """Those of MIND, from intensities; weights lose the rim, where descriptors tell of what may not be seen."""
        rim = reach(DILATION, SIGMA)
        return Pictures(
            mind_ssc(self.fixed, DILATION, SIGMA),
            mind_ssc(self.moving, DILATION, SIGMA),
            _worn(self.fixed_weights, rim),
            _worn(self.moving_weights, rim),
            "mind",
        )

    def averaged(self, factors: Shape3) -> Pictures:
        """Over blocks of so many voxels along (z, y, x)."""
        f, m, v, w = (_averaged(t, factors) for t in (self.fixed, self.moving, self.fixed_weights, self.moving_weights))
        return Pictures(f, m, v, w, self.likeness)

    def swapped(self) -> Pictures:
        """The other way round."""
        return replace(
            self,
            fixed=self.moving,
            moving=self.fixed,
            fixed_weights=self.moving_weights,
            moving_weights=self.fixed_weights,
        )

    def weights(self, field: Tensor) -> Tensor:
        """What may be looked at of both, (1, 1, Z, Y, X), under a field."""
        return self.fixed_weights * warp(self.moving_weights, field)

    def loss(self, field: Tensor) -> Loss:
        """How unlike they are under fields not far from this one, which says what may be looked at."""
        seen = self.weights(field.detach())
        if self.likeness == "nmi":
            return lambda u: -soft_nmi(self.fixed, warp(self.moving, u), BINS, seen) / SHARE["nmi"]
        if self.likeness == "lncc2":
            return lambda u: -lncc_squared(self.fixed, warp(self.moving, u), RADIUS, seen, NOISE) / SHARE["lncc2"]
        share = seen / total(seen).clamp_min(1.0)
        return lambda u: total((warp(self.moving, u) - self.fixed).square().mean(dim=1, keepdim=True) * share)


def _averaged(values: Tensor, factors: Shape3) -> Tensor:
    return values if factors == (1, 1, 1) else functional.avg_pool3d(values, factors)


def _worn(weights: Tensor, rim: int) -> Tensor:
    """The least weight within ``rim`` voxels along each axis; the weights themselves where nothing would be left."""
    out = weights
    for axis in range(3):
        size = [1, 1, 1]
        size[axis] = 2 * rim + 1
        edge = [s // 2 for s in size]
        out = -functional.max_pool3d(-out, size, stride=1, padding=edge)
    return out if bool((out > 0).any()) else weights
