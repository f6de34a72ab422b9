"""How a fluorescence microscope turns light into numbers: blur by the optics, shot noise, read noise, offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from volumes.errors import ConfigError, ContentError
from volumes.shapes import Triple, Voxels

TRUNCATE = 5.0
"""The blur's kernel ends this many σ away, where a Gaussian is down to 4e-6 of its peak."""


def blurred(light: Voxels, sigma_um: Sequence[float], spacing_um: Sequence[float]) -> Voxels:
    """The light after the optics: ``light ∗ N(0, σ²)``, float64.

    A Gaussian is the accepted approximation of a fluorescence point spread function (Zhang, Zerubia & Olivo-Marin 2007,
    "Gaussian approximations of fluorescence microscope point-spread function models", Applied Optics 46). Borders
    mirror half a voxel outside the outermost centres, so that no light is lost: the sum stays.

    Parameters
    ----------
    light : (z, y, x).
    sigma_um : σ along (z, y, x) in µm; 0 leaves an axis as it is.
    spacing_um : voxel size (z, y, x) in µm.

    Raises
    ------
    ConfigError : a σ below 0 or not finite.
    """
    sigma = np.asarray(sigma_um, dtype=np.float64)
    if sigma.shape != (3,) or not np.isfinite(sigma).all() or (sigma < 0).any():
        raise ConfigError("needs three finite values not below 0 (z, y, x)", field="sigma_um", value=sigma.tolist())
    in_voxels = tuple((sigma / np.asarray(spacing_um)).tolist())
    out: Voxels = ndimage.gaussian_filter(light.astype(np.float64), in_voxels, mode="reflect", truncate=TRUNCATE)
    return out


def shot_noise(photons: Voxels, rng: np.random.Generator) -> Voxels:
    """Photons counted where ``photons`` are expected: Poisson, so that the variance is the mean.

    Raises
    ------
    ContentError : an expectation that is negative or not finite.
    """
    if not np.isfinite(photons).all() or (photons < 0).any():
        raise ContentError("expected photons must be finite and not below 0", field="photons")
    return rng.poisson(photons).astype(np.float64)


def read_noise(counts: Voxels, sd: float, rng: np.random.Generator) -> Voxels:
    """Counts after the camera's electronics, which add N(0, sd²) to each voxel.

    With shot noise before it, ``Var = mean + sd²`` (Foi, Trimeche, Katkovnik & Egiazarian 2008, "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE Trans. Image Processing 17).

    Raises
    ------
    ConfigError : an ``sd`` below 0 or not finite.
    """
    if not 0 <= sd < np.inf:
        raise ConfigError("must be finite and not below 0", field="sd", value=sd)
    noisy: Voxels = counts + sd * rng.standard_normal(counts.shape)
    return noisy


@dataclass(frozen=True)
class Microscope:
    """One instrument, in photons a voxel.

    Parameters
    ----------
    psf_sigma_um : σ of the point spread function along (z, y, x).
    background : photons a voxel gets without any cell.
    offset : what the camera adds to every voxel.
    read_sd : standard deviation of the read noise.
    """

    psf_sigma_um: Triple = (0.9, 0.3, 0.3)
    background: float = 20.0
    offset: float = 100.0
    read_sd: float = 2.0

    def expected(self, light: Voxels, spacing_um: Sequence[float]) -> Voxels:
        """The mean of all pictures of ``light`` (photons): ``light ∗ PSF + background + offset``, float64."""
        seen: Voxels = blurred(light, self.psf_sigma_um, spacing_um) + self.background + self.offset
        return seen

    def picture(self, light: Voxels, spacing_um: Sequence[float], rng: np.random.Generator) -> Voxels:
        """One picture of ``light`` (photons), with shot and read noise, float64; it may fall below the offset."""
        photons = self.expected(light, spacing_um) - self.offset
        return read_noise(shot_noise(photons, rng), self.read_sd, rng) + self.offset
