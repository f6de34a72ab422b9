"""How a detector turns photons into numbers: shot noise, dark current, gain, read noise, offset, saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumes.errors import ConfigError, ContentError, GridError
from volumes.shapes import AnyArray, Voxels

NORMAL_FROM = 1e6
"""From this mean on a count has the normal form: its skewness is 1/1000, and float32 no longer holds every number."""


def shot_noise(photons: AnyArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Photons counted where ``photons`` are expected: Poisson, so that the variance is the mean; float32.

    Raises
    ------
    ContentError : an expectation that is negative or not finite.
    """
    _check_photons(photons)
    if photons.max(initial=0) < NORMAL_FROM:
        return rng.poisson(photons).astype(np.float32)
    many = photons + np.sqrt(photons) * rng.standard_normal(photons.shape)
    few = rng.poisson(np.minimum(photons, NORMAL_FROM))
    return np.where(photons < NORMAL_FROM, few, np.rint(many)).astype(np.float32)


def multiplied(electrons: AnyArray, excess: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Electrons after a multiplier of mean gain 1 whose gain varies from one to the next, float32.

    A photomultiplier or an avalanche makes of ``n`` electrons a Gamma variate of mean ``n`` and variance
    ``n (F² − 1)``; after shot noise that gives ``Var = F² mean`` (excess noise; Robbins & Hadwen 2003, IEEE Trans.
    Electron Devices 50).

    Parameters
    ----------
    electrons : whole numbers, at least 0.
    excess : ``F²``, at least 1; 1 leaves the electrons as they are.

    Raises
    ------
    ConfigError : an ``excess`` below 1 or not finite.
    """
    if not 1 <= excess < np.inf:
        raise ConfigError("must be finite and at least 1", field="excess", value=excess)
    counted = np.asarray(electrons, np.float32)
    if excess == 1:
        return counted
    spread = np.float32(excess - 1)
    return rng.standard_gamma(counted / spread, dtype=np.float32) * spread


def read_noise(counts: AnyArray, sd: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Counts after the electronics, which add N(0, sd²) to each voxel, float32.

    With shot noise before it, ``Var = mean + sd²`` (Foi, Trimeche, Katkovnik & Egiazarian 2008, "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE Trans. Image Processing 17).

    Raises
    ------
    ConfigError : an ``sd`` below 0 or not finite.
    """
    if not 0 <= sd < np.inf:
        raise ConfigError("must be finite and not below 0", field="sd", value=sd)
    noisy: NDArray[np.float32] = counts + np.float32(sd) * rng.standard_normal(counts.shape, dtype=np.float32)
    return noisy


@dataclass(frozen=True)
class Camera:
    """A detector that writes whole numbers of 16 bits.

    Parameters
    ----------
    gain : counts an electron.
    offset : counts without light.
    read_sd : standard deviation of the read noise, electrons.
    efficiency : electrons a photon, above 0 up to 1.
    dark : electrons of dark current in each voxel.
    excess : excess noise factor ``F²`` of an electron multiplier; 1 without one.
    hot_share : share of the pixels whose dark current is far too large, the same in every plane.
    hot : electrons that a hot pixel has beside, on average; exponentially spread.
    saturation : the largest count.

    Raises
    ------
    ConfigError : a value out of its range.
    """

    gain: float = 1.0
    offset: float = 100.0
    read_sd: float = 1.6
    efficiency: float = 0.8
    dark: float = 0.0
    excess: float = 1.0
    hot_share: float = 0.0
    hot: float = 20.0
    saturation: int = 65535

    def __post_init__(self) -> None:
        ranges = {
            "gain": self.gain > 0,
            "offset": 0 <= self.offset < self.saturation,
            "read_sd": self.read_sd >= 0,
            "efficiency": 0 < self.efficiency <= 1,
            "dark": self.dark >= 0,
            "excess": self.excess >= 1,
            "hot_share": 0 <= self.hot_share <= 1,
            "hot": self.hot >= 0,
            "saturation": 0 < self.saturation <= np.iinfo(np.uint16).max,
        }
        for name, legal in ranges.items():
            if not (legal and np.isfinite(getattr(self, name))):
                raise ConfigError("is out of range", field=name, value=getattr(self, name))

    def expected(self, photons: Voxels) -> Voxels:
        """The mean of all pictures, hot pixels apart: ``offset + gain (efficiency · photons + dark)``, float32.

        Neither rounding nor saturation is in it.

        Raises
        ------
        ContentError : an expectation that is negative or not finite.
        """
        _check_photons(photons)
        out: Voxels = photons * np.float32(self.gain * self.efficiency)
        out += np.float32(self.offset + self.gain * self.dark)
        return out

    def picture(self, photons: Voxels, noise: Sequence[np.random.Generator], seed: int) -> Voxels:
        """One picture of the photons expected at each voxel, uint16: drawn, rounded, cut at 0 and at saturation.

        Parameters
        ----------
        photons : (z, y, x).
        noise : one generator for each plane.
        seed : of the sensor, that is, of its hot pixels.

        Raises
        ------
        GridError : another number of generators than planes.
        ContentError : an expectation that is negative or not finite.
        """
        if len(noise) != len(photons):
            raise GridError(f"needs one generator for each of {len(photons)} planes", field="noise", value=len(noise))
        out = np.empty(photons.shape, np.uint16)
        extra = np.float32(self.dark) + self.hot_pixels(photons.shape[1:], seed)
        for plane, (light, rng) in enumerate(zip(photons, noise, strict=True)):
            electrons = multiplied(shot_noise(light * np.float32(self.efficiency) + extra, rng), self.excess, rng)
            counts = read_noise(electrons, self.read_sd, rng) * np.float32(self.gain) + np.float32(self.offset)
            out[plane] = np.clip(np.rint(counts), 0, self.saturation)
        return out

    def hot_pixels(self, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
        """Electrons beside the dark current, (y, x) float32: 0 but in hot pixels."""
        rng = np.random.default_rng(seed)
        hot = rng.random(shape, dtype=np.float32) < self.hot_share
        return np.where(hot, rng.standard_exponential(shape, dtype=np.float32) * np.float32(self.hot), np.float32(0))


def _check_photons(photons: AnyArray) -> None:
    if not np.isfinite(photons).all() or (photons < 0).any():
        raise ContentError("expected photons must be finite and not below 0", field="photons")
