"""The uneven sensitivity of a receiving coil: a smooth factor over the field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from phantom.physics.kspace import Plane
from volumes.errors import ConfigError
from volumes.shapes import Shape3

ORDER = 2
"""Half-waves over the field, at most, along each axis."""


@dataclass(frozen=True, eq=False)
class Bias:
    """``B(u) = exp(a Σ c_klm cos(πku_z) cos(πlu_y) cos(πmu_x) / Σ|c|)``, u in (0, 1) over the field along each axis.

    So ``e^{−a} ≤ B ≤ e^a``; the logarithm has mean 0 over the field. A few smooth waves are what bias correction
    assumes (Sled, Zijdenbos & Evans 1998, "A nonparametric method for automatic correction of intensity nonuniformity
    in MRI data", IEEE Trans. Medical Imaging 17).

    Parameters
    ----------
    strength : a; 0 for an even field.
    waves : c, (ORDER + 1,) along each axis.
    shape : voxels of the whole field (z, y, x).
    """

    strength: float
    waves: Float64[np.ndarray, "k l m"]
    shape: Shape3

    def plane(self, z: int) -> Plane:
        """The factor on plane ``z`` of the field, (y, x) float32; the same whatever planes are asked for with it."""
        along_z, along_y, along_x = (_cosines(n) for n in self.shape)
        in_plane = (self.waves * along_z[:, z, None, None]).sum(0)
        exponent = along_y.T @ in_plane @ along_x
        factor: Plane = np.exp(exponent * (self.strength / np.abs(self.waves).sum())).astype(np.float32)
        return factor


def bias(strength: float, shape: Shape3, rng: np.random.Generator) -> Bias:
    """A bias field drawn at random; long waves are stronger, as those of a coil are.

    Parameters
    ----------
    strength : a, the largest deviation of the logarithm; 0.2 for about ±20 %.
    shape : voxels of the whole field (z, y, x).
    rng : one of the instrument, not of the moment: coils stay as they are.

    Raises
    ------
    ConfigError : a strength below zero or not finite.
    """
    if not 0 <= strength < np.inf:
        raise ConfigError("must be finite and not below zero", field="strength", value=strength)
    order = np.arange(ORDER + 1)
    squared = order[:, None, None] ** 2 + order[:, None] ** 2 + order**2
    waves = rng.standard_normal(squared.shape) / np.maximum(squared, 1)
    waves[0, 0, 0] = 0
    return Bias(strength, waves, shape)


def _cosines(count: int) -> Float64[np.ndarray, "k n"]:
    """``cos(πku)`` at the voxels' centres, (ORDER + 1, count)."""
    u = (np.arange(count) + 0.5) / count
    return np.cos(np.pi * np.outer(np.arange(ORDER + 1), u))
