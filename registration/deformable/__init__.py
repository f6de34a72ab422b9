"""Deformations: a smooth field after a linear transform, searched coarsely and refined by its derivative, in torch."""

from registration.deformable.deformable import Deformable, DeformableConfig

__all__ = ["Deformable", "DeformableConfig"]
