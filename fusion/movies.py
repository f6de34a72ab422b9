"""Movies: one scale for all frames, so that a frame that is brighter stays brighter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from fusion.config import CONFIGS
from fusion.fuser import Fuser
from fusion.ranges import robust_range
from fusion.scales import Match, Scale, given_scales, spanning
from fusion.sources import shared_channels
from volumes import TimeLapse, Volume
from volumes.errors import ContentError

MEASURED = 5
"""Frames that a movie's scale is measured on, at most: each is read for it once more."""


def measured_frames(number: int) -> tuple[int, ...]:
    """Of so many frames, those that the scale is measured on: evenly spaced, the first and the last among them."""
    return tuple(sorted({round(i * (number - 1) / (MEASURED - 1)) for i in range(MEASURED)}))


def movie_scales(movies: Sequence[TimeLapse], match: Match, channel: int | str = 0) -> tuple[Scale, ...]:
    """How each movie's own unit becomes that of the fused movie, one for all frames, in the order of the movies.

    A source's range is the mean over the :func:`measured_frames` of each frame's; what is invalid or not finite does
    not count, nor does a frame without anything else.

    Parameters
    ----------
    movies : of one grid and the same times.
    match : ``percentile`` reads these frames; ``none`` and given scales read nothing.
    channel : which of their channels.

    Raises
    ------
    ContentError : a movie that is constant in all of these frames, or has nothing valid in them.
    ConfigError : another number of scales than of movies.
    """
    scales = given_scales(match, len(movies))
    if scales is not None:
        return scales
    if len(movies) == 1:
        return (Scale(),)
    return spanning([_range(movie, [channel], f"volumes[{i}]")[channel] for i, movie in enumerate(movies)])


@dataclass(frozen=True, eq=False)
class Steady:
    """A fuser of frames that takes one scale for the whole movie; measured when the first frame is asked for.

    Parameters
    ----------
    fuser : a frozen dataclass with a ``config`` of this package, whose ``match`` is ``percentile``.
    movies : of one grid and the same times; each has one channel, or all have channels of the same names.
    """

    fuser: Fuser
    movies: tuple[TimeLapse, ...]

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        """One frame of each movie, fused channel by channel."""
        keys = shared_channels([volume.channels for volume in volumes])
        if len(keys) == 1:
            return held(self.fuser, self._scales[keys[0]]).fuse(volumes)
        fused = [held(self.fuser, self._scales[key]).fuse([_alone(v, key) for v in volumes]) for key in keys]
        channels = [plane.channels[0] for plane in fused]
        return fused[0].with_data(np.concatenate([plane.array for plane in fused]), channels)

    def scales(self, volumes: Sequence[Volume], channel: int | str = 0) -> tuple[Scale, ...]:
        """How each movie's own unit becomes that of the fused one, whichever frame is given."""
        key = volumes[0].channels[channel].name if isinstance(channel, int) else channel
        return next(iter(self._scales.values())) if len(self._scales) == 1 else self._scales[key]

    @cached_property
    def _scales(self) -> dict[int | str, tuple[Scale, ...]]:
        keys = shared_channels([movie.channels for movie in self.movies])
        ranges = [_range(movie, keys, f"volumes[{i}]") for i, movie in enumerate(self.movies)]
        return {key: spanning([own[key] for own in ranges]) for key in keys}


def steady(fuser: Fuser, movies: Sequence[TimeLapse]) -> Fuser:
    """The same fuser with one scale for all frames, where it is one of this package's that measures a scale.

    Of single frames, and of a single movie, there is nothing to hold; any other fuser is its maker's affair.
    """
    config = getattr(fuser, "config", None)
    if not isinstance(config, CONFIGS) or config.match != "percentile" or len(movies) < 2 or len(movies[0]) < 2:
        return fuser
    return Steady(fuser, tuple(movies))


def held(fuser: Fuser, scales: Match) -> Fuser:
    """The same fuser, all that it has loaded included, with these scales."""
    ours = cast(Any, fuser)
    return cast(Fuser, replace(ours, config=ours.config.model_copy(update={"match": scales})))


def _alone(volume: Volume, key: int | str) -> Volume:
    described = next(channel for channel in volume.channels if channel.name == key)
    return volume.with_data(volume.channel(key), [described])


def _range(movie: TimeLapse, keys: Sequence[int | str], what: str) -> dict[int | str, tuple[float, float]]:
    """Of each channel the mean over the measured frames of its robust range; every frame is read once."""
    found: dict[int | str, list[tuple[float, float]]] = {key: [] for key in keys}
    for number in measured_frames(len(movie)):
        frame = movie[number]
        for key in keys:
            values = frame.channel(key)
            values = values.astype(np.result_type(values.dtype, np.float32), copy=False)
            seen = values[frame.mask() & np.isfinite(values)]
            if seen.size:
                found[key].append(robust_range(seen, f"{what}, frame {number}"))
    if not all(found.values()):
        frames = measured_frames(len(movie))
        raise ContentError(f"has no valid voxel in any of its frames {frames}", field=what)
    return {
        key: (_mean([low for low, _ in ranges]), _mean([high for _, high in ranges])) for key, ranges in found.items()
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
