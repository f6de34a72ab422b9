"""A movie at other moments than those of its frames: the nearest frame, or between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from volumes.errors import ConfigError, ContentError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

How = Literal["nearest", "linear"]
Beyond = Literal["refuse", "hold"]
SAME = 1e-9
"""Moments that differ by less than this share of the movie's times are one."""


@dataclass(frozen=True)
class Lent:
    """What a movie lends for a moment: ``(1 − share) · first + share · second``; one frame alone has a share of 0."""

    first: int
    second: int
    share: float


def at_times(
    movie: TimeLapse,
    times_s: Sequence[float],
    how: How = "nearest",
    *,
    beyond: Beyond = "refuse",
    within_s: float | None = None,
) -> TimeLapse:
    """The movie as if its frames had been taken at other moments; each is made when it is asked for.

    Parameters
    ----------
    movie : frames at their own times.
    times_s : the moments, growing.
    how : ``nearest``, the frame nearest in time, the earlier of two that are equally near; or ``linear`` between the
        two neighbours, float32 (float64 for float64), valid where both are.
    beyond : before the first and after the last frame, ``refuse`` or ``hold`` that frame.
    within_s : no frame is lent for a moment further off than this.

    Raises
    ------
    ConfigError : a moment outside the movie's span, or with no frame within ``within_s``.
    ContentError : labels are to be interpolated.
    HeaderError : moments that are not finite or do not grow.
    """
    if how == "linear" and any(channel.modality == "labels" for channel in movie.channels):
        remedy = "Numbers of cells have no mean: use nearest"
        raise ContentError("labels cannot be interpolated in time", field="how", value=how, remedy=remedy)
    moments = TimeLapse(movie.grid, movie.channels, tuple(float(t) for t in times_s), movie.load).times_s
    plan = [lent(movie.times_s, moment, how) for moment in moments]
    _check(movie.times_s, moments, plan, beyond, within_s)
    frame = _remembered(movie)

    def load(number: int) -> Volume:
        one = plan[number]
        return frame(one.first) if one.share == 0 else _mixed(frame(one.first), frame(one.second), one.share)

    return replace(movie, times_s=moments, load=load)


def lent(times_s: Sequence[float], moment_s: float, how: How = "nearest") -> Lent:
    """Which frames a moment is made of; beyond the ends the outermost."""
    times = np.asarray(times_s, np.float64)
    nearest = int(np.argmin(np.abs(times - moment_s)))
    same = abs(times[nearest] - moment_s) <= SAME * float(np.abs(times).max())
    if how == "nearest" or same or not times[0] < moment_s < times[-1]:
        return Lent(nearest, nearest, 0.0)
    after = int(np.searchsorted(times, moment_s))
    return Lent(after - 1, after, float((moment_s - times[after - 1]) / (times[after] - times[after - 1])))


def apart_s(times_s: Sequence[float], moments_s: Sequence[float], how: How = "nearest") -> float:
    """How far the frames that are lent lie from the moments they are lent for, at most."""
    return max(_off_s(times_s, moment, lent(times_s, moment, how)) for moment in moments_s)


def _off_s(times_s: Sequence[float], moment_s: float, one: Lent) -> float:
    """Distance to the further of the frames that take part."""
    return max(abs(times_s[frame] - moment_s) for frame in (one.first, one.second))


def _check(
    times: Sequence[float], moments: Sequence[float], plan: Sequence[Lent], beyond: Beyond, within_s: float | None
) -> None:
    slack = SAME * max(abs(t) for t in times)
    outside = [t for t in moments if not times[0] - slack <= t <= times[-1] + slack]
    if outside and beyond == "refuse":
        raise ConfigError(
            f"lies outside the movie, which spans {times[0]:g} to {times[-1]:g} s",
            field="times_s",
            value=outside[0],
            remedy="Leave such moments out, or hold the outermost frame with beyond='hold'",
        )
    limit = float("inf") if within_s is None else within_s + slack
    far = [t for t, one in zip(moments, plan, strict=True) if not _off_s(times, t, one) <= limit]
    if far:
        raise ConfigError(
            f"has no frames to be made of within {within_s:g} s",
            field="times_s",
            value=far[0],
            remedy="Leave such moments out, or allow a larger gap with within_s",
        )


def _remembered(movie: TimeLapse) -> Callable[[int], Volume]:
    """The two frames last asked for stay in memory: neighbouring moments share them."""
    return lru_cache(maxsize=2)(movie.__getitem__)


def _mixed(first: Volume, second: Volume, share: float) -> Volume:
    kind = np.result_type(first.data.dtype, second.data.dtype)
    real = np.dtype(np.float64 if kind == np.float64 else np.float32)
    start, end = (np.asarray(volume.array, real) for volume in (first, second))
    data = start + (end - start) * real.type(share)
    if first.valid is None and second.valid is None:
        return replace(first, data=data)
    valid = first.mask() & second.mask()
    return replace(first, data=np.where(valid, data, real.type(0)), valid=valid)
