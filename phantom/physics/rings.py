"""Ring artefacts: a detector column that is a little too sensitive at every angle draws a circle about the axis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from volumes.errors import ConfigError


def gains(detectors: int, sd: float, rng: np.random.Generator) -> Float64[np.ndarray, " detectors"]:
    """Sensitivity of each column after an imperfect flat-field correction: ``g = e^{N(0, sd²)}``.

    A gain shifts the column's line integrals by −ln g at every angle, so the slice gets circles whose radii are the
    columns' offsets from the axis (Münch, Trtik, Marone & Stampanoni 2009, "Stripe and ring artifact removal with
    combined wavelet-Fourier filtering", Optics Express 17).

    Parameters
    ----------
    detectors : columns.
    sd : deviation of ln g; 0 for perfect columns.
    rng : the detector row's own.

    Raises
    ------
    ConfigError : an sd below zero or not finite.
    """
    if not 0 <= sd < np.inf:
        raise ConfigError("must be finite and not below zero", field="sd", value=sd)
    return np.exp(sd * rng.standard_normal(detectors))
