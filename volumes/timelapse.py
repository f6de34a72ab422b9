"""Volumes of one grid at given times, loaded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from volumes.errors import GridError, HeaderError
from volumes.grid import Grid
from volumes.shapes import AnyArray
from volumes.volume import Channel, Volume, from_array


@dataclass(frozen=True)
class TimeLapse:
    """A movie: frame ``i`` is the Volume ``movie[i]``, loaded when it is asked for.

    Parameters
    ----------
    grid : shared by all frames.
    channels : shared by all frames.
    times_s : the time of each frame, growing.
    load : gives the volume of a frame number.

    Raises
    ------
    HeaderError : no frame, or times that are not finite or do not grow.
    """

    grid: Grid
    channels: tuple[Channel, ...]
    times_s: tuple[float, ...]
    load: Callable[[int], Volume]

    def __post_init__(self) -> None:
        times = np.asarray(self.times_s, dtype=np.float64)
        if times.size == 0:
            raise HeaderError("a time-lapse needs at least one frame", field="times_s")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise HeaderError("frame times must be finite and grow", field="times_s", value=times[:8].tolist())

    def __len__(self) -> int:
        return len(self.times_s)

    def __getitem__(self, frame: int) -> Volume:
        if not -len(self) <= frame < len(self):
            raise IndexError(f"frame {frame} of {len(self)}")
        number = frame % len(self)
        volume = self.load(number)
        _require_alike(volume, number, self.grid, len(self.channels))
        return replace(volume, time_s=self.times_s[number])

    def __iter__(self) -> Iterator[Volume]:
        return (self[i] for i in range(len(self)))

    @property
    def dt_s(self) -> float | None:
        """Seconds between frames, their median; None for a single frame."""
        return float(np.median(np.diff(self.times_s))) if len(self) > 1 else None

    @classmethod
    def of(cls, volumes: Sequence[Volume]) -> TimeLapse:
        """A time-lapse of volumes in memory; each carries its own time.

        Raises
        ------
        GridError : the volumes do not share one grid, or differ in their number of channels.
        HeaderError : no volume, or times that do not grow.
        """
        if not volumes:
            raise HeaderError("a time-lapse needs at least one frame", field="volumes")
        frames = tuple(volumes)
        for i, frame in enumerate(frames):
            _require_alike(frame, i, frames[0].grid, len(frames[0].channels))
        times = tuple(frame.time_s for frame in frames)
        return cls(frames[0].grid, frames[0].channels, times, frames.__getitem__)

    @classmethod
    def from_array(cls, data: AnyArray, spacing_um: Sequence[float], *, dt_s: float, modality: str) -> TimeLapse:
        """A time-lapse from an array of (T, Z, Y, X) or (T, C, Z, Y, X), ``dt_s`` seconds between frames."""
        if data.ndim not in (4, 5):
            raise GridError("needs an array of (T, Z, Y, X) or (T, C, Z, Y, X)", field="data", value=data.shape)
        if not dt_s > 0:
            raise HeaderError("must be above zero", field="dt_s", value=dt_s)
        return cls.of(
            [from_array(frame, spacing_um, modality=modality, time_s=i * dt_s) for i, frame in enumerate(data)]
        )


def _require_alike(volume: Volume, number: int, grid: Grid, channels: int) -> None:
    if not volume.grid.is_close(grid):
        raise GridError(f"frame {number} lies on another grid than the movie", field="frame", value=volume.grid)
    if len(volume.channels) != channels:
        raise GridError(f"frame {number} has {len(volume.channels)} channels, the movie {channels}", field="frame")
