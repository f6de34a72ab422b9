"""The channels of a fluorescence volume in their display colours, as one colour picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from fusion.colour import colour_channels
from fusion.ranges import robust_range
from volumes import Volume
from volumes.errors import ConfigError, ContentError
from volumes.shapes import Mask, Voxels
from volumes.volume import require_finite


def composite(
    volume: Volume,
    colours: Sequence[str] | None = None,
    ranges: Sequence[tuple[float, float]] | None = None,
) -> Volume:
    """Light of every channel in its own colour, added up: RGB = Σ colour · (value − low) / (high − low), cut to [0, 1].

    Where the sum exceeds white, all three are divided by the largest of them: dimmer, but of the hue that the channels'
    shares give. Cutting each of the three alone would turn orange to yellow.

    Parameters
    ----------
    volume : any number of channels.
    colours : RRGGBB of each channel; None for the channels' own.
    ranges : (low, high) of each channel, shown as black and full colour; None for the 0.5 and 99.8 percentiles.

    Returns
    -------
    A colour picture, float32 in [0, 1]; black where the volume is not valid.

    Raises
    ------
    ConfigError : a colour that is not RRGGBB; two channels of one colour; a range that is empty; another number of
        colours or ranges than of channels.
    ContentError : labels, no valid voxel, or a voxel that is NaN or infinite; without ``ranges``, a constant channel.
    """
    if any(channel.modality == "labels" for channel in volume.channels):
        raise ContentError("holds labels, not intensities", field="volume")
    require_finite(volume, "volume")
    mask = volume.mask()
    if not mask.any():
        raise ContentError("has no valid voxel", field="volume")
    tints = _tints([c.colour or "" for c in volume.channels] if colours is None else colours, len(volume.channels))
    spans = [_range(channel, mask) for channel in volume.array] if ranges is None else list(ranges)
    _check_ranges(spans, len(volume.channels), measured=ranges is None)
    light = np.zeros((3, *volume.grid.shape), np.float32)
    for channel, tint, (low, high) in zip(volume.array, tints, spans, strict=True):
        share = np.where(mask, np.clip((channel.astype(np.float64) - low) / (high - low), 0, 1), 0)
        light += tint[:, None, None, None] * share.astype(np.float32)
    light /= np.maximum(light.max(axis=0), 1)
    return volume.with_data(light, colour_channels([channel.modality for channel in volume.channels]))


def _tints(colours: Sequence[str], number: int) -> list[Float32[np.ndarray, 3]]:
    if len(colours) != number:
        raise ConfigError(f"{len(colours)} colours for {number} channels", field="colours")
    if len({colour.upper() for colour in colours}) != number:
        remedy = "State one for each: composite(volume, colours=['FF00FF', '00FF00'])"
        raise ConfigError(
            "two channels of one colour cannot be told apart", field="colours", value=colours, remedy=remedy
        )
    for colour in colours:
        if len(colour) != 6 or not set(colour.upper()) <= set("0123456789ABCDEF"):
            raise ConfigError("needs six hexadecimal digits, RRGGBB", field="colours", value=colour)
    return [np.array(list(bytes.fromhex(colour)), np.float32) / np.float32(255) for colour in colours]


def _range(channel: Voxels, mask: Mask) -> tuple[float, float]:
    return robust_range(channel[mask].astype(np.float64), "volume")


def _check_ranges(ranges: Sequence[tuple[float, float]], number: int, measured: bool) -> None:
    if len(ranges) != number:
        raise ConfigError(f"{len(ranges)} ranges for {number} channels", field="ranges")
    for i, (low, high) in enumerate(ranges):
        if not (np.isfinite([low, high]).all() and low < high):
            if measured:
                remedy = "State what is black and what is full colour: ranges="
                raise ContentError("is constant", field=f"volume, channel {i}", value=low, remedy=remedy)
            raise ConfigError("needs a low end below its high end, both finite", field="ranges", value=(low, high))
