"""Filtered back-projection: slices from their parallel projections, and the noise that it passes on.

``µ(y, x) = π/N Σ_θ q_θ(x cos θ + y sin θ)`` with ``q = p ∗ h``, h the band-limited ramp: ``h(0) = 1/4a²``,
``h(na) = −1/(π n a)²`` for odd n, else 0 (Kak & Slaney 1988, "Principles of Computerized Tomographic Imaging", ch. 3),
whose spectrum a window may taper.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from phantom.physics.radon import PLANES, ParallelBeam, Sinograms
from volumes.errors import ConfigError, ContentError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels

Window = Literal["ram-lak", "shepp-logan", "hann"]


def reconstructed(sinograms: Sinograms, beam: ParallelBeam, window: Window = "hann") -> Voxels:
    """µ in 1/mm, (z, rows, columns) float32, each slice on its own to the last bit.

    Parameters
    ----------
    sinograms : line integrals, (z, views, detectors).
    beam : the rays.
    window : taper of the ramp; ``ram-lak`` is none, ``hann`` falls to 0 at half a cycle a pixel.

    Raises
    ------
    ContentError : sinograms that are not of these rays.
    ConfigError : no such window.
    """
    if sinograms.shape[1:] != (beam.views, beam.detectors):
        raise ContentError(
            f"needs {beam.views} views of {beam.detectors} columns", field="sinograms", value=sinograms.shape
        )
    response = ramp(_padded(beam.detectors), window).astype(np.float32)
    out = np.empty((len(sinograms), beam.rows, beam.columns), np.float32)
    for start in range(0, len(sinograms), PLANES):
        block = sinograms[start : start + PLANES]
        rays = np.empty((beam.views, beam.detectors, len(block)), np.float32)
        for z, sinogram in enumerate(block):
            rays[..., z] = _filtered(sinogram, response)
        sums = np.zeros((beam.rows, beam.columns, len(block)), np.float32)
        _back_project(rays, np.cos(beam.angles), np.sin(beam.angles), sums)
        out[start : start + PLANES] = np.moveaxis(sums * np.float32(np.pi / beam.views / beam.pixel_mm), -1, 0)
    return out


def ramp(length: int, window: Window) -> NDArray[np.float64]:
    """Spectrum of ``a² h`` under its window, (length // 2 + 1,), at f = 0 to 1/2 cycles a pixel.

    Raises
    ------
    ConfigError : no such window.
    """
    n = np.minimum(np.arange(length), length - np.arange(length))
    impulse = np.zeros(length)
    odd = n % 2 == 1
    impulse[odd] = -1 / (np.pi * n[odd]) ** 2
    impulse[0] = 0.25
    f = np.arange(length // 2 + 1) / length
    tapers = {"ram-lak": np.ones_like(f), "shepp-logan": np.sinc(f), "hann": (1 + np.cos(2 * np.pi * f)) / 2}
    if window not in tapers:
        raise ConfigError("no such window", field="window", value=window, remedy=f"One of {', '.join(tapers)}")
    return np.asarray(np.fft.rfft(impulse).real * tapers[window])


def noise_per_mm(beam: ParallelBeam, window: Window = "hann") -> float:
    """Deviation of µ (1/mm) in a slice, for projections of independent noise of deviation 1.

    ``σ_µ = π/(a √N) √(⅔ R(0) + ⅓ R(1))``, R the filter's autocorrelation; the mixture is the mean over all fractions of
    the linear interpolation. Without a window ``R(0) = 1/12``: the law of Gore & Tofts 1978, "Statistical limitations
    in computed tomography", Physics in Medicine and Biology 23.
    """
    length = _padded(beam.detectors)
    power = ramp(length, window) ** 2
    both_sides = np.full(len(power), 2.0)
    both_sides[[0, -1]] = 1
    turn = 2 * np.pi * np.arange(len(power)) / length
    mean = float((both_sides * power * (2 + np.cos(turn))).sum() / (3 * length))
    return float(np.pi / (beam.pixel_mm * np.sqrt(beam.views)) * np.sqrt(mean))


def _padded(detectors: int) -> int:
    """A power of two that keeps the circular convolution from wrapping."""
    return 1 << (2 * detectors - 1).bit_length()


def _filtered(sinogram: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """One slice's projections under the ramp, (views, detectors), in units of 1/a."""
    length = 2 * (len(response) - 1)
    spectrum = fft.rfft(sinogram, length, axis=-1) * response
    rays: NDArray[np.float32] = fft.irfft(spectrum, length, axis=-1)[:, : sinogram.shape[1]]
    return rays


@kernel
def _back_project(rays: AnyArray, cosine: AnyArray, sine: AnyArray, out: AnyArray) -> None:
    """Sums over the views; rays (views, detectors, z), out (y, x, z) of zeros."""
    rows, columns, planes = out.shape
    views, detectors, _ = rays.shape
    for i in range(rows):
        for view in range(views):
            first = (i - (rows - 1) / 2) * sine[view] + (detectors - 1) / 2
            for j in range(columns):
                at = first + (j - (columns - 1) / 2) * cosine[view]
                low = int(at)
                part = np.float32(at - low)
                rest = np.float32(1) - part
                for z in range(planes):
                    out[i, j, z] += rest * rays[view, low, z] + part * rays[view, low + 1, z]
