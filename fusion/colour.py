"""Colour pictures: structure is fused as luma, chroma is carried, so that hue stays.

A colour picture is a volume whose three channels are named red, green and blue, such as PET or SPECT drawn with a
look-up table, or a :func:`composite` of fluorescence channels. Its luma Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)
goes to the fuser like any grey source; what is left, D = (R, G, B) − Y, is its chroma. With Y′ the fused luma in the
picture's own unit and W white,

    (R, G, B)′ = Y′ + s D,   s = the largest of [0, 1] with s ≤ Y′ / Y and every channel in [0, W].

The luma of D is 0, so that of the result is Y′ exactly. D is only made shorter, so the order and the ratios of the
channels' differences, and with them the hue (of HSV), stay. Darker (Y′ < Y) that is a dimmed picture, s = Y′ / Y: one
chromaticity, and nearly one hue in CIELAB too. Brighter, white light is added to it. A colour that has no room at its
new luma moves toward the grey of that luma until it has; clipped channel by channel it would turn to another hue.

Luma and not linear-light luminance: structure is what an observer or a measure sees in the encoded picture, steps of
luma are near to even steps of lightness, and pictures of the field are scored on luma.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from fusion.scales import Scale
from fusion.sources import FUSED, shared_channels
from volumes import Channel, TimeLapse, Volume, from_array
from volumes.errors import ContentError, GridError
from volumes.shapes import AnyArray, ChannelVoxels, Mask, Voxels

WEIGHTS = {"red": 0.299, "green": 0.587, "blue": 0.114}
"""Share of each channel in luma (ITU-R BT.601-7, 2.5.1)."""

WHITES = (1.0, 255.0, 65535.0)
"""What white is called in pictures of floating numbers."""

SLACK = 1.01
"""Interpolation may lift a picture so far above its white."""

_PURE = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}


@runtime_checkable
class KnowsScales(Protocol):
    """A fuser that says how each source's unit becomes the fused one."""

    def scales(self, volumes: Sequence[Volume]) -> tuple[Scale, ...]:
        """One scale for each source, in their order."""
        ...


def picture(data: ArrayLike, spacing_um: Sequence[float], *, modality: str, valid: Mask | None = None) -> Volume:
    """A colour picture of an array (3, Z, Y, X) or (3, Y, X), red first.

    Parameters
    ----------
    data : encoded (not linear) values from 0 to white; white is the largest number of an unsigned type, else see
        :func:`white_of`.
    spacing_um : (z, y, x) in µm.
    modality : of what the colours stand for.
    valid : (Z, Y, X), False where there is no data.

    Raises
    ------
    GridError : an array of another shape, for instance (Y, X, 3).
    """
    voxels = np.asarray(data)
    if voxels.ndim not in (3, 4) or voxels.shape[0] != 3:
        remedy = "Bring the colours to the front: np.moveaxis(picture, -1, 0)"
        raise GridError("needs (3, Z, Y, X) or (3, Y, X)", field="data", value=voxels.shape, remedy=remedy)
    voxels = voxels[:, None] if voxels.ndim == 3 else voxels
    return from_array(voxels, spacing_um, modality=modality, channels=colour_channels([modality]), valid=valid)


def is_colour(channels: Sequence[Channel]) -> bool:
    """Whether the channels are a colour picture's: red, green and blue, in any order."""
    return sorted(channel.name.lower() for channel in channels) == sorted(WEIGHTS)


def colour_channels(modalities: Sequence[str]) -> tuple[Channel, ...]:
    """The channels of a colour picture made of sources of these modalities."""
    modality = modalities[0] if len(set(modalities)) == 1 else FUSED
    return tuple(Channel(name, modality, None, _PURE[name]) for name in WEIGHTS)


def rgb(volume: Volume) -> ChannelVoxels:
    """The voxels of a colour picture, red first, (3, z, y, x); float32 wherever that holds every value."""
    position = {channel.name.lower(): i for i, channel in enumerate(volume.channels)}
    voxels = volume.array[[position[name] for name in WEIGHTS]]
    return voxels.astype(np.result_type(voxels.dtype, np.float32), copy=False)


def luma(colours: ChannelVoxels) -> Voxels:
    """Y = 0.299 R + 0.587 G + 0.114 B of (3, z, y, x), red first."""
    with np.errstate(invalid="ignore"):  # Infinite voxels are refused later, by name.
        weighted = [colour * colours.dtype.type(w) for colour, w in zip(colours, WEIGHTS.values(), strict=True)]
        return np.asarray(weighted[0] + weighted[1] + weighted[2])


def gives_colour(channels: Sequence[Sequence[Channel]]) -> bool:
    """Whether sources of these channels are fused in colour: several, at least one of them a colour picture."""
    return len(channels) > 1 and any(is_colour(own) for own in channels)


def fused_colour_channels(channels: Sequence[Sequence[Channel]]) -> tuple[Channel, ...]:
    """The channels that sources of these channels, at least one a colour picture, are fused to.

    Raises
    ------
    ContentError : a source that is neither a colour picture nor of one channel.
    """
    shared_channels([_structure_channels(own) for own in channels])
    return colour_channels([own[0].modality for own in channels])


def structure(volume: Volume) -> Volume:
    """What a fuser sees of a source: the luma of a colour picture as a volume of one channel; others as they are."""
    if not is_colour(volume.channels):
        return volume
    return volume.with_data(luma(rgb(volume)), _structure_channels(volume.channels))


def structure_movie(movie: TimeLapse) -> TimeLapse:
    """The :func:`structure` of each frame, made when it is asked for."""
    load = partial(_structure_of_frame, movie)
    return TimeLapse(movie.grid, tuple(_structure_channels(movie.channels)), movie.times_s, load)


def white_of(volume: Volume) -> float:
    """White of a colour picture: the largest number of an unsigned type; else the least of 1, 255, 65535 that fits.

    Raises
    ------
    ContentError : voxels above all of these.
    """
    if volume.data.dtype.kind == "u":
        return float(np.iinfo(volume.data.dtype).max)
    most = float(volume.array.max(where=volume.mask(), initial=0))
    for white in WHITES:
        if most <= SLACK * white:
            return white
    remedy = "Divide it by its white, so that white is 1"
    raise ContentError("has no known white", field=volume.channels[0].modality, value=most, remedy=remedy)


def recoloured(fused: Volume, sources: Sequence[Volume], fuser: object = None, white: float | None = None) -> Volume:
    """The fused structure in the colours of its sources.

    Where several sources have colour, chromas are averaged, each weighted by the span of its own channels, so that one
    without colour takes nothing away. A source has no say where it is not valid; where none has, the result is grey.

    Parameters
    ----------
    fused : one channel, made of the sources' :func:`structure`.
    sources : at least one is a colour picture.
    fuser : what made it; one with ``scales(volumes)`` is asked the way back from its common scale to the pictures' own
        unit, else ``fused`` is taken to be in that unit.
    white : of the first colour picture and the result; None for :func:`white_of` it.

    Returns
    -------
    Channels red, green and blue, float32, from 0 to the first colour picture's white.
    """
    pictures = [i for i, source in enumerate(sources) if is_colour(source.channels)]
    whites = [white_of(sources[i]) for i in pictures]
    whites[0] = whites[0] if white is None else white
    brightness = _in_unit_of_white(fused.channel(), sources, pictures, whites, fuser)
    own = [rgb(sources[i]) / np.float32(w) for i, w in zip(pictures, whites, strict=True)]
    coloured = carried(brightness, *_joined(own, [sources[i].mask() for i in pictures]))
    coloured = np.where(fused.mask(), coloured * np.float32(whites[0]), np.float32(0))
    return fused.with_data(coloured, colour_channels([source.modality for source in sources]))


def carried(brightness: Voxels, chroma: ChannelVoxels, own: Voxels) -> ChannelVoxels:
    """Y′ + s D, all channels in [0, 1], float32 (3, z, y, x).

    Parameters
    ----------
    brightness : Y′; cut to [0, 1].
    chroma : D, of luma 0.
    own : Y, the luma at which D was seen.
    """
    level = np.clip(brightness, 0, 1).astype(np.float32, copy=False)
    least, most = -chroma.min(axis=0), chroma.max(axis=0)
    share = np.ones_like(level)
    for room, needed in ((level, np.maximum(own, least)), (1 - level, most)):
        np.minimum(share, room / np.where(needed > room, needed, 1), out=share, where=needed > room)
    return np.asarray(np.clip(level + share * chroma, 0, 1), np.float32)


def _structure_channels(channels: Sequence[Channel]) -> Sequence[Channel]:
    return [Channel(channels[0].modality, channels[0].modality)] if is_colour(channels) else channels


def _structure_of_frame(movie: TimeLapse, frame: int) -> Volume:
    return structure(movie[frame])


def _joined(pictures: Sequence[ChannelVoxels], masks: Sequence[Mask]) -> tuple[ChannelVoxels, Voxels]:
    """Chroma and luma of several pictures, weighted by the spans of their channels; 0 where none has colour."""
    chroma = np.zeros(pictures[0].shape, np.float32)
    own, total = np.zeros(masks[0].shape, np.float32), np.zeros(masks[0].shape, np.float32)
    for colours, mask in zip(pictures, masks, strict=True):
        visible = np.where(mask, colours, 0).astype(np.float32, copy=False)
        weight, level = np.ptp(visible, axis=0), luma(visible)
        chroma += weight * (visible - level)
        own += weight * level
        total += weight
    weight = np.where(total > 0, total, np.float32(1))
    return chroma / weight, own / weight


def _in_unit_of_white(
    fused: Voxels, sources: Sequence[Volume], pictures: Sequence[int], whites: Sequence[float], fuser: object
) -> AnyArray:
    """Fused luma, 1 for white: back from the common scale to each picture's own unit, and the mean of these."""
    scales = [Scale()] * len(sources)
    if isinstance(fuser, KnowsScales):
        scales = list(fuser.scales([structure(source) for source in sources]))
    own = [scales[i].to_own(fused) / white for i, white in zip(pictures, whites, strict=True)]
    return np.asarray(own[0] if len(own) == 1 else np.mean(own, axis=0))
