"""Intensities onto a scale that means the same from volume to volume: percentiles, Hounsfield windows, white stripe."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import gaussian_filter1d

from volumes import Volume
from volumes.errors import ConfigError, ContentError, GridError
from volumes.shapes import AnyArray, Mask, Voxels
from volumes.volume import require_finite

WINDOWS = {"brain": (40.0, 80.0), "soft tissue": (40.0, 400.0), "lung": (-600.0, 1500.0), "bone": (400.0, 1800.0)}
"""Centre and width of the usual windows, HU."""

BINS = 1024
RARE = 0.2
"""A mode of the histogram that is lower than this share of the highest is its tail, not a tissue."""


def percentile(volume: Volume, low: float = 0.5, high: float = 99.8, clip: bool = True) -> Volume:
    """Each channel as (v − P_low) / (P_high − P_low), float32, the percentiles taken where the volume is valid.

    Parameters
    ----------
    volume : intensities.
    low, high : percent.
    clip : cut to [0, 1].

    Raises
    ------
    ConfigError : percentiles that are not 0 ≤ low < high ≤ 100.
    ContentError : a channel whose percentiles are one; voxels that are NaN or infinite.
    """
    if not 0 <= low < high <= 100:
        raise ConfigError("needs 0 ≤ low < high ≤ 100", field="low, high", value=(low, high))
    require_finite(volume, "volume")
    mask = _some(volume.mask(), "volume")
    out = np.empty(volume.data.shape, np.float32)
    for i, channel in enumerate(volume.array):
        first, last = np.percentile(channel[mask].astype(np.float64), [low, high])
        if first == last:
            remedy = "Leave it out, or take percentiles further apart"
            problem = "has no range between these percentiles"
            raise ContentError(problem, field=f"channel {i}", value=float(first), remedy=remedy)
        out[i] = _spread(channel, mask, first, last, clip)
    return volume.with_data(out)


def hounsfield(volume: Volume, window: str | tuple[float, float] = "soft tissue") -> Volume:
    """CT numbers through a window of (centre, width) HU: (v − centre) / width + ½ cut to [0, 1], float32.

    Parameters
    ----------
    volume : CT in HU: air −1000, water 0.
    window : a name of :data:`WINDOWS`, or centre and width.

    Raises
    ------
    ConfigError : no such window, or a width that is not above 0.
    ContentError : a channel that is no CT; voxels that are NaN or infinite.
    """
    if isinstance(window, str) and window not in WINDOWS:
        raise ConfigError("is no window", field="window", value=window, remedy=f"Known: {', '.join(WINDOWS)}")
    centre, width = WINDOWS[window] if isinstance(window, str) else window
    if not (np.isfinite([centre, width]).all() and width > 0):
        raise ConfigError("needs a finite centre and a width above 0", field="window", value=(centre, width))
    if any(channel.modality != "CT" for channel in volume.channels):
        modalities = [channel.modality for channel in volume.channels]
        raise ContentError("Hounsfield units are a CT's", field="volume", value=modalities)
    require_finite(volume, "volume")
    low, high = centre - width / 2, centre + width / 2
    return volume.with_data(_spread(volume.array, volume.mask(), low, high, clip=True))


class WhiteStripeConfig(BaseModel):
    """Which tissue of an MRI is taken to be 0, and how much of it says what 1 is.

    Parameters
    ----------
    contrast : white matter is the brightest tissue of a T1 volume, the most frequent one of a T2 volume.
    width : the stripe reaches so far below and above the mode, as a share of all voxels.
    smoothing : bandwidth of the histogram, as a share of Silverman's rule for a single normal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["white-stripe"] = "white-stripe"
    contrast: Literal["T1", "T2"] = "T1"
    width: float = Field(default=0.05, gt=0, lt=0.5)
    smoothing: float = Field(default=0.5, gt=0)


def white_stripe(volume: Volume, mask: Mask | None = None, config: WhiteStripeConfig | None = None) -> Volume:
    """(v − μ) / σ with mean and deviation of a stripe around white matter's mode, float32.

    Shinohara et al. 2014, "Statistical normalization techniques for magnetic resonance imaging", NeuroImage:
    Clinical 6. The result does not change with the scanner's gain and offset.

    Parameters
    ----------
    volume : one channel of MRI.
    mask : the brain (z, y, x); None for all valid voxels above their mean, which leaves out the air around a head.
    config : None for the defaults.

    Raises
    ------
    ContentError : several channels, an empty mask, a constant stripe, voxels that are NaN or infinite.
    GridError : a mask of another shape.
    """
    chosen = config or WhiteStripeConfig()
    if len(volume.channels) != 1:
        raise ContentError("needs one channel", field="volume", value=[c.name for c in volume.channels])
    require_finite(volume, "volume")
    voxels = volume.channel().astype(np.float64)
    inside = np.sort(voxels[_tissue(volume, voxels, mask)])
    place = np.searchsorted(inside, _mode(inside, chosen)) / inside.size
    ends = np.quantile(inside, np.clip([place - chosen.width, place + chosen.width], 0, 1))
    stripe = inside[(inside >= ends[0]) & (inside <= ends[1])]
    if np.ptp(stripe) == 0:
        raise ContentError("is constant around its mode, so it has no scale", field="volume", value=stripe[0])
    out = np.where(volume.mask(), (voxels - stripe.mean()) / stripe.std(), 0)
    return volume.with_data(out.astype(np.float32))


def _tissue(volume: Volume, voxels: Voxels, mask: Mask | None) -> Mask:
    valid = _some(volume.mask(), "volume")
    if mask is None:
        return np.asarray(valid & (voxels > voxels[valid].mean())) if np.ptp(voxels[valid]) else valid
    if mask.shape != voxels.shape:
        raise GridError("is not of the volume's shape", field="mask", value=mask.shape)
    return _some(valid & mask, "mask")


def _mode(inside: AnyArray, config: WhiteStripeConfig) -> float:
    """Of the modes of the smoothed histogram the brightest (T1) or the highest (T2)."""
    low, high = inside[0], np.quantile(inside, 0.999)
    if low == high:
        return float(low)
    counts, edges = np.histogram(inside, BINS, (low, high))
    spread = min(inside.std(), float(np.subtract(*np.quantile(inside, [0.75, 0.25]))) / 1.34) or inside.std()
    bandwidth = config.smoothing * 0.9 * spread * inside.size**-0.2 / (edges[1] - edges[0])
    smooth = gaussian_filter1d(counts.astype(np.float64), max(bandwidth, 1), mode="constant")
    padded = np.pad(smooth, 1)
    peaks = np.flatnonzero((smooth > padded[:-2]) & (smooth >= padded[2:]) & (smooth >= RARE * smooth.max()))
    chosen = peaks[-1] if config.contrast == "T1" else peaks[np.argmax(smooth[peaks])]
    return float((edges[chosen] + edges[chosen + 1]) / 2)


def _spread(values: AnyArray, mask: Mask, low: float, high: float, clip: bool) -> AnyArray:
    share = (np.where(mask, values, low).astype(np.float64) - low) / (high - low)
    return (np.clip(share, 0, 1) if clip else share).astype(np.float32)


def _some(mask: Mask, what: str) -> Mask:
    if not mask.any():
        raise ContentError("has no valid voxel", field=what)
    return mask
