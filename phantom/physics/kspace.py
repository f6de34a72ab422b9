"""What an MRI scanner keeps of k-space: the point spread function of a finite matrix, and noise that has its colour."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import fft

from volumes.errors import ConfigError

Plane = Float32[np.ndarray, "y x"]


def kept(shape: tuple[int, int], share: float) -> Plane:
    """What an acquisition of the inner ``share`` of k-space keeps: 1 inside, 0 outside, as ``rfft2`` orders it.

    Zeros beyond the acquired matrix leave a point spread function ``sinc``, with Gibbs' ringing at edges.

    Parameters
    ----------
    shape : (y, x) of a slice.
    share : of the frequencies along each axis, in (0, 1].

    Raises
    ------
    ConfigError : a share outside of (0, 1].
    """
    if not 0 < share <= 1:
        raise ConfigError("must be in (0, 1]", field="share", value=share)
    inside = [np.abs(f) <= share / 2 for f in (np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1]))]
    window: Plane = np.outer(*inside).astype(np.float32)
    return window


def acquired(plane: Plane, window: Plane) -> Plane:
    """A real plane after k-space was multiplied by ``window`` (from :func:`kept`); borders wrap, as they do there."""
    out: Plane = fft.irfft2(fft.rfft2(plane) * window, plane.shape)
    return out


def thermal(shape: tuple[int, int], window: Plane, sd: float, rng: np.random.Generator) -> Plane:
    """Noise of one receiver channel of deviation ``sd`` in the picture, coloured by k-space's window.

    The coil's noise is white; frequencies that were not acquired hold none, so neighbours are correlated.

    Raises
    ------
    ConfigError : an sd below zero or not finite.
    """
    if not 0 <= sd < np.inf:
        raise ConfigError("must be finite and not below zero", field="sd", value=sd)
    white = rng.standard_normal(shape, np.float32)
    if window.all():
        return white * np.float32(sd)
    return acquired(white, window) * np.float32(sd / np.sqrt(_mean_square(window, shape[1])))


def _mean_square(window: Plane, columns: int) -> float:
    """Mean of the window's square over the whole of k-space, of which ``rfft2`` holds one half."""
    twice = np.full(window.shape[1], 2.0)
    twice[0] = 1
    if columns % 2 == 0:
        twice[-1] = 1
    return float((window**2 @ twice).sum() / (window.shape[0] * columns))
