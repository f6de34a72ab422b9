"""A smooth deformation refined by its derivative, from coarse to fine, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from registration.deformable.smooth_basis import Sampled, SmoothBasis
from registration.deformable.total import average
from registration.deformable.unlikeness import Loss, Pictures
from registration.deformable.velocity import exponential
from volumes.errors import ContentError
from volumes.shapes import AnyArray, Shape3

SQUARINGS = 6
"""Of a velocity field, fixed: the objective must not jump between two of its values."""
MEMORY = 8
"""Steps that L-BFGS remembers."""
TRIES = 10
"""Of a line search, at most."""
FLAT = 1e-7
"""A step that gains less than this share of the objective ends a refinement."""


@dataclass(frozen=True)
class Refinement:
    """How a deformation is refined.

    Parameters
    ----------
    basis : of the fields.
    levels : voxels averaged along (z, y, x), coarse to fine, and the steps made at most.
    stiffness : of the penalty, the mean of ``|c/σ|²`` of the basis: a mean squared strain.
    diffeomorphic : whether the basis describes a stationary velocity field.
    """

    basis: SmoothBasis
    levels: tuple[tuple[Shape3, int], ...]
    stiffness: float
    diffeomorphic: bool

    def refine(self, pictures: Mapping[Shape3, Pictures], start: Tensor) -> tuple[Tensor, int]:
        """The coefficients of least objective near a start, level after level, and how often it was looked at.

        Parameters
        ----------
        pictures : what is compared at each of the levels.
        start : (1, 3, lattice).
        """
        coefficients, evaluations = start, 0
        for factors, steps in self.levels:
            sampled, level = self.basis.at(factors), pictures[factors]
            loss = level.loss(self.displacement(sampled, coefficients))
            coefficients, more = self._descend(loss, sampled, coefficients, steps)
            evaluations += more
        return coefficients, evaluations

    def displacement(self, sampled: Sampled, coefficients: Tensor) -> Tensor:
        """The field (1, 3, Z, Y, X) in voxels of a resolution."""
        field = sampled.field(coefficients)
        return exponential(field, SQUARINGS) if self.diffeomorphic else field

    def _descend(self, loss: Loss, sampled: Sampled, start: Tensor, steps: int) -> tuple[Tensor, int]:
        """L-BFGS (Byrd et al. 1995) of the loss and the penalty."""
        widths = start.new_tensor(self.basis.sigma).view(1, 3, 1, 1, 1)

        def objective(flat: AnyArray) -> tuple[float, AnyArray]:
            coefficients = torch.from_numpy(flat.astype(np.float32)).to(start.device).view(start.shape).requires_grad_()
            value = loss(self.displacement(sampled, coefficients))
            value = value + self.stiffness * average((coefficients / widths).square())
            (slope,) = torch.autograd.grad(value, coefficients)
            return float(value.detach()), slope.cpu().double().numpy().ravel()

        begun = start.cpu().double().numpy().ravel()
        found, _, told = fmin_l_bfgs_b(
            objective, begun, m=MEMORY, factr=FLAT / np.finfo(float).eps, pgtol=0.0, maxiter=steps, maxls=TRIES
        )
        if not np.isfinite(found).all():
            raise ContentError("the deformation is not finite", field="moving", remedy="Check the intensities")
        return torch.from_numpy(found.astype(np.float32)).to(start.device).view(start.shape), int(told["funcalls"])
