"""Counts of a camera as photoelectrons, and their shot noise made alike everywhere: Anscombe's root and its inverse."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from volumes import Volume
from volumes.errors import ConfigError
from volumes.shapes import AnyArray
from volumes.volume import require_finite

MOST = 150.0
"""Electrons up to which the inverse is summed; beyond, the asymptotic form D²/4 − 1/8 − σ² is used."""

NODES = 2000


def photoelectrons(volume: Volume, gain: float, offset: float) -> Volume:
    """Electrons a voxel, float32: (counts − offset) / gain.

    Parameters
    ----------
    volume : counts of a camera.
    gain : counts an electron, above 0.
    offset : counts without light.

    Raises
    ------
    ConfigError : a gain that is not above 0, or a number that is not finite.
    ContentError : voxels that are NaN or infinite.
    """
    if not (np.isfinite([gain, offset]).all() and gain > 0):
        raise ConfigError("needs a gain above 0 and a finite offset", field="gain, offset", value=(gain, offset))
    require_finite(volume, "volume")
    return volume.with_data(((volume.array.astype(np.float64) - offset) / gain).astype(np.float32))


def stabilised(volume: Volume, read_sd: float = 0.0) -> Volume:
    """Noise of deviation 1 from about 4 electrons on: f(x) = 2 √(x + 3/8 + σ²), 0 where that has no root; float32.

    Anscombe 1948; with read noise Murtagh, Starck & Bijaoui 1995 (generalised Anscombe transform).

    Parameters
    ----------
    volume : photoelectrons.
    read_sd : σ of the read noise, electrons.

    Raises
    ------
    ConfigError : σ below 0 or not finite.
    ContentError : voxels that are NaN or infinite.
    """
    _check_read(read_sd)
    require_finite(volume, "volume")
    return volume.with_data(_root(volume.array.astype(np.float64), read_sd).astype(np.float32))


def unstabilised(volume: Volume, read_sd: float = 0.0) -> Volume:
    """Expected photoelectrons λ ≥ 0 of a smoothed :func:`stabilised` volume, float32: f's exact unbiased inverse.

    The λ for which E[f(Poisson(λ) + N(0, σ²))] is the value found, since the mean of a root is not the root of a mean
    (Mäkitalo & Foi 2011 and 2013, IEEE Trans. Image Processing 20 and 22). Squaring alone would lose up to half an
    electron in the dark.

    Parameters
    ----------
    volume : averages of stabilised values, for instance denoised or fused ones.
    read_sd : σ, as before.

    Raises
    ------
    ConfigError : σ below 0 or not finite.
    ContentError : voxels that are NaN or infinite.
    """
    _check_read(read_sd)
    require_finite(volume, "volume")
    electrons, means = _means(float(read_sd))
    values = volume.array.astype(np.float64)
    out = np.interp(values, means, electrons)
    bright = values > means[-1]
    d = np.where(bright, values, means[-1])
    beyond = d**2 / 4 - 1 / 8 - read_sd**2
    return volume.with_data(np.where(bright, beyond, out).astype(np.float32))


@lru_cache(maxsize=16)
def _means(read_sd: float) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """λ and E[f] for it: sums over all counts, and over the read noise in steps of σ / 50."""
    from scipy.stats import norm, poisson

    electrons = np.linspace(0, np.sqrt(MOST), NODES) ** 2
    counts = np.arange(int(MOST + 12 * np.sqrt(MOST)))
    steps = np.linspace(-8, 8, 801) if read_sd > 0 else np.zeros(1)
    weights = norm.pdf(steps) / norm.pdf(steps).sum()
    of_counts = _root(counts[:, None] + read_sd * steps, read_sd) @ weights
    return electrons, poisson.pmf(counts, electrons[:, None]) @ of_counts


def _root(electrons: AnyArray, read_sd: float) -> AnyArray:
    return 2 * np.sqrt(np.maximum(electrons + 3 / 8 + read_sd**2, 0))


def _check_read(read_sd: float) -> None:
    if not 0 <= read_sd < np.inf:
        raise ConfigError("must be finite and not below 0", field="read_sd", value=read_sd)
