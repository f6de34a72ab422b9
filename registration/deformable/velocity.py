"""Diffeomorphisms as the flow of a stationary velocity field, in torch."""

from __future__ import annotations

import math

from torch import Tensor

from registration.deformable.warp import check_field, compose, warp
from volumes.errors import GridError

LARGEST_STEP = 0.5
"""Voxels that a first step of the flow may go where the number of squarings is chosen for a field."""
_MOST = 30


def exponential(velocity: Tensor, squarings: int) -> Tensor:
    """The displacement field of ``exp(v)``: where the flow ẋ = v(x) has taken every voxel after unit time.

    Scaling and squaring: ``exp(v) = exp(h v)^(2ⁿ)`` with h = 2⁻ⁿ, the first factor composed with itself n times
    (Arsigny et al. 2006, "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI, LNCS 4190:924). The
    first step is that of the midpoint rule, ``h v(x + h v(x) / 2)``, of error h² instead of the plain h v(x)'s h.
    ``exp(−v)`` is its inverse. The derivative goes through all compositions, whose fields are kept for it.

    Parameters
    ----------
    velocity : v, (1, 3, Z, Y, X), voxels per unit of time.
    squarings : n, at least 0; :func:`squarings_for` says how many a field needs.

    Returns
    -------
    u, (1, 3, Z, Y, X), voxels.
    """
    check_field(velocity)
    if not 0 <= squarings <= _MOST:
        raise GridError(f"must be 0–{_MOST}", field="squarings", value=squarings)
    step = velocity / 2.0**squarings
    field = warp(step, step / 2)
    for _ in range(squarings):
        field = compose(field, field)
    return field


def squarings_for(velocity: Tensor, step: float = LARGEST_STEP) -> int:
    """Squarings after which no voxel's first step is longer than ``step`` voxels.

    Raises
    ------
    GridError : a velocity that is not finite, or so large that no number of squarings would do.
    """
    check_field(velocity)
    fastest = float(velocity.detach().square().sum(dim=1).max().sqrt())
    if not fastest / step < 2.0**_MOST:
        raise GridError("is not finite, or far too fast", field="velocity", value=fastest)
    return max(0, math.ceil(math.log2(fastest / step))) if fastest > 0 else 0
