"""What a detector counts behind a specimen, and the line integrals that those counts give back."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from volumes.errors import ConfigError, ContentError

STARVED = 0.5
"""Counts below this are taken for it before the logarithm: a column that saw no photon still gets a finite value."""
BRIGHTEST = 1e15
"""Most photons that a column may get; the Poisson generator ends at 9e18."""


def counted(
    paths: Float32[np.ndarray, "views detectors"],
    photons: float,
    gain: Float64[np.ndarray, " detectors"],
    electronic_sd: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "views detectors"]:
    """Counts in each detector column: ``g · Poisson(I₀ e^{−p}) + N(0, σ²)``.

    Parameters
    ----------
    paths : line integrals p of one slice.
    photons : I₀, that a column counts without the specimen.
    gain : g of each column, which no calibration knows; 1 where it is perfect.
    electronic_sd : σ of the electronics, in photons.
    rng : the slice's own.

    Raises
    ------
    ConfigError : an I₀ that is not above zero or above :data:`BRIGHTEST`; a σ below zero.
    ContentError : paths that are not finite, or so negative that the counts overflow.
    """
    if not 0 < photons <= BRIGHTEST:
        raise ConfigError(f"must be above zero and at most {BRIGHTEST:g}", field="photons", value=photons)
    if not 0 <= electronic_sd < np.inf:
        raise ConfigError("must be finite and not below zero", field="electronic_sd", value=electronic_sd)
    if not np.isfinite(paths).all() or paths.min(initial=0.0) < -np.log(BRIGHTEST / photons) - 1:
        raise ContentError("line integrals must be finite and attenuate", field="paths")
    counts: NDArray[np.float64] = rng.poisson(photons * np.exp(-paths.astype(np.float64))) * gain
    if electronic_sd:
        counts += electronic_sd * rng.standard_normal(paths.shape)
    return np.asarray(counts, np.float32)


def line_integrals(counts: NDArray[np.float32], photons: float) -> NDArray[np.float32]:
    """``p = −ln(counts / I₀)``; counts below :data:`STARVED` are lifted to it.

    For I₀e^{−p} ≫ 1 its variance is ``e^p / I₀``; when photons are few, p is biased upwards by half of that.
    """
    return np.float32(np.log(photons)) - np.log(np.maximum(counts, np.float32(STARVED)))
