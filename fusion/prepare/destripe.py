"""Stripes of a known direction, such as the shadows in a light sheet: found line by line in what most voxels agree on.

Wavelet–Fourier filters (Münch et al. 2009, Optics Express 17) take the low frequencies along the stripes out of every
fine band. Cells have such frequencies too: on stripes of depth 0.4 drawn over nuclei (a deviation of 5 % of the light)
they left 7–31 % behind, more than there had been, and changed the stripe-free picture as much. So the mean along the
stripes is a robust one here, which cells have little say in, and only what stands out of its own error is taken.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field
from scipy import fft, ndimage

from fusion.gaps import filled
from fusion.ranges import robust_range
from volumes import Volume
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Triple
from volumes.volume import require_finite

Axis = Literal["z", "y", "x"]
Plane = Float64[np.ndarray, "across along"]
_NUMBER = {"z": 0, "y": 1, "x": 2}

FLOOR = 0.01
"""Light below this share of the range is darkness, whose logarithm is noise."""
SHORTEST = 16
"""Voxels along a line, at least: of fewer a mean says little, and of one it is the voxel itself."""
ROUNDS = 6
REJECTED = 2.0
"""Deviations from which on a voxel has no say (Tukey's biweight)."""
CROWDED = 1.5
"""A line whose spread is more than so many times the usual one has structure in it, and counts as having the usual."""
LEAST = 0.2
"""Spread of a line, as a share of its plane's deviation, below which a voxel is never rejected: stripes fade."""
AGREEING = 0.5
"""Where a smaller share of a line's voxels has a say, it shows structure and nothing is taken."""
MAD_TO_SD = 1.4826


class DestripeConfig(BaseModel):
    """Which stripes are removed.

    Parameters
    ----------
    along : the axis that stripes run along, for a light sheet its direction.
    across : the axis on which they alternate.
    width_um : window across in µm; stripes narrower than half of it are found, an edge between halves is left alone.
    length_um : σ of the running mean along, in µm; stripes may fade over such a length.
    significance : only what exceeds so many standard errors of that mean is taken, and less of what is near to them.
    strongest : the largest share of the light that a stripe may have taken. It bounds the change of any voxel: by a
        factor of 1 − strongest to 1 / (1 − strongest).
    offset : intensity without light, above which stripes are a factor (shadows); None for stripes that are added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["destripe"] = "destripe"
    along: Axis = "x"
    across: Axis = "y"
    width_um: float = Field(default=60.0, gt=0)
    length_um: float = Field(default=20.0, gt=0)
    significance: float = Field(default=2.0, gt=0)
    strongest: float = Field(default=0.9, gt=0, lt=1)
    offset: float | None = 0.0


def destriped(volume: Volume, config: DestripeConfig | None = None) -> Volume:
    """The volume without its stripes, float32; 0 where it is not valid.

    Of the logarithm of the light (with ``offset`` None, of the values) each line along the stripes has a running robust
    mean m, iterated with Tukey's weights from the line's median; p = m − (running median of m across) is the stripe,
    shrunk to p · max(0, 1 − (k · error / p)²), and the light is divided by e^p. This needs lines that are mostly
    background or even tissue: where cells fill more than about a third of them, stripes stay.

    Raises
    ------
    ConfigError : one axis for both directions, or fewer than 16 voxels along the stripes.
    ContentError : voxels that are NaN or infinite, or too far apart for float32.
    """
    chosen = config or DestripeConfig()
    if chosen.along == chosen.across:
        raise ConfigError("needs two axes", field="along, across", value=chosen.along)
    voxels = volume.grid.shape[_NUMBER[chosen.along]]
    if voxels < SHORTEST:
        raise ConfigError(f"has fewer than {SHORTEST} voxels, too few for a line", field=chosen.along, value=voxels)
    require_finite(volume, "volume")
    spacing, mask = volume.grid.spacing_um, volume.mask()
    out = np.empty(volume.data.shape, np.float32)
    for i, channel in enumerate(volume.array):
        whole = filled([channel.astype(np.float32)], [mask], spacing)[0]
        out[i] = np.where(mask, _even(whole, spacing, chosen), np.float32(0))
    return volume.with_data(out)


def _even(values: AnyArray, spacing_um: Triple, config: DestripeConfig) -> AnyArray:
    if config.offset is None:
        return values - _stripes(values, spacing_um, config)
    light = values - np.float32(config.offset)
    low, high = robust_range(light, "volume")
    floor = FLOOR * max(high, high - low) or 1.0
    most = -math.log1p(-config.strongest)
    stripes = np.clip(_stripes(np.log(np.maximum(light, floor)), spacing_um, config), -most, most)
    return np.asarray(light * np.exp(-stripes) + np.float32(config.offset))


def _stripes(values: AnyArray, spacing_um: Triple, config: DestripeConfig) -> AnyArray:
    """Plane by plane, since each has stripes of its own."""
    axes = (_NUMBER[config.across], _NUMBER[config.along])
    planes = np.moveaxis(values, axes, (1, 2)).astype(np.float64)
    window = 2 * round(config.width_um / spacing_um[axes[0]] / 2) + 1
    sigma = config.length_um / spacing_um[axes[1]]
    found = [_of_plane(plane, window, sigma, config.significance) for plane in planes]
    return np.asarray(np.moveaxis(np.stack(found), (1, 2), axes), np.float32)


def _of_plane(plane: Plane, window: int, sigma: float, significance: float) -> Plane:
    mean, error = _robust_mean(plane, sigma)
    stripe = mean - ndimage.median_filter(mean, (window, 1), mode="reflect")
    size = np.abs(stripe)
    return np.asarray(stripe * np.clip(1 - (significance * error / np.where(size > 0, size, 1)) ** 2, 0, None))


def _robust_mean(plane: Plane, sigma: float) -> tuple[Plane, Plane]:
    """Mean along each line under a Gaussian of σ voxels, and its standard error; infinite where few voxels agree."""
    count = plane.shape[1]
    mean = np.broadcast_to(np.median(plane, axis=1, keepdims=True), plane.shape)
    least = LEAST * float(plane.std()) + 1e-12
    for _ in range(ROUNDS):
        spread = MAD_TO_SD * np.median(np.abs(plane - mean), axis=1, keepdims=True)
        spread = np.maximum(np.minimum(spread, CROWDED * np.median(spread)), least)
        near = np.clip(1 - ((plane - mean) / (REJECTED * spread)) ** 2, 0, None)
        weight = near**2
        total = np.maximum(_smooth(weight, sigma), 1e-3)
        mean = _smooth(weight * plane, sigma) / total
    rest = weight * (plane - mean)
    # The variance of a robust mean is that of ψ over the square of ψ′, and over the voxels that count (Huber 1981).
    slope = _smooth(near * (5 * near - 4), sigma)
    voxels = min(count, 2 * math.sqrt(math.pi) * sigma)
    variance = np.maximum(_smooth(rest**2, sigma), 0) / np.maximum(slope, 0.05) ** 2
    error = np.sqrt(variance * _correlation_length(rest) / voxels)
    return mean, np.where(_smooth((near > 0).astype(np.float64), sigma) < AGREEING, np.inf, error)


def _correlation_length(rest: Plane) -> float:
    """Voxels along a line that count as one: 1 + 2 Σ ρ, the sum ending where ρ falls below 0.1."""
    count = rest.shape[1]
    power = np.abs(fft.rfft(rest, 2 * count, axis=1)) ** 2
    covariance = fft.irfft(power, axis=1)[:, :count].sum(axis=0)
    if covariance[0] <= 0:
        return 1.0
    ratio = covariance / covariance[0]
    ends = np.flatnonzero(ratio < 0.1)
    return float(1 + 2 * ratio[1 : ends[0] if ends.size else count].sum())


def _smooth(plane: Plane, sigma: float) -> Plane:
    """Discrete Gaussian along each line; borders mirror."""
    count = plane.shape[1]
    passed = np.exp(sigma**2 * (np.cos(np.pi * np.arange(count) / count) - 1))
    return np.asarray(fft.idct(fft.dct(plane, axis=1) * passed, axis=1))
