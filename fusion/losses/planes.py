"""Volumes as planes, for the figures that the field defines on pictures."""

from __future__ import annotations

from torch import Tensor


def as_planes(x: Tensor) -> Tensor:
    """(batch, 1, z, y, x) → (batch · z, 1, y, x), the planes of one item beside each other."""
    return x.movedim(2, 1).flatten(0, 1)
