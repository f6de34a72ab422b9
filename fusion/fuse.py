"""Fuse volumes, or movies frame by frame: checks what goes in and what comes out, whichever fuser does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeGuard, overload

import numpy as np

from fusion.colour import fused_colour_channels, gives_colour, recoloured, structure, structure_movie
from fusion.config import CONFIGS, FuserConfig, Kind, of_kind
from fusion.fuser import Fuser
from fusion.movies import steady
from fusion.sources import check_sources, fused_channels, require_one_grid
from volumes import TimeLapse, Volume
from volumes.errors import ConfigError, ContentError, GridError
from volumes.volume import Channel, require_finite

SAME_TIME_S = 1e-6
"""Frame times of two movies that differ by less are one time."""

WhichFuser = Kind | FuserConfig | Fuser


@overload
def fuse(volumes: Sequence[Volume], fuser: WhichFuser = "lpf") -> Volume:
    """Of volumes, one volume."""


@overload
def fuse(volumes: Sequence[TimeLapse], fuser: WhichFuser = "lpf") -> TimeLapse:
    """Of movies, one movie."""


def fuse(volumes: Sequence[Volume] | Sequence[TimeLapse], fuser: WhichFuser = "lpf") -> Volume | TimeLapse:
    """One volume that carries what each source shows, or one movie of such volumes.

    Parameters
    ----------
    volumes : on one grid. Either each has one channel, or all have channels of the same names, which are fused name
        by name. Colour pictures, whose channels are red, green and blue, go with each other and with sources of one
        channel; they are fused in colour (:mod:`fusion.colour`). A single one gives itself. Movies must share their
        times too; frames are fused when asked for, all on one scale (:mod:`fusion.movies`), which is measured when the
        first is.
    fuser : the name of a kind, its configuration, or any object with ``fuse(volumes)``.

    Returns
    -------
    A volume on the grid, and at the time, of the first source; ``valid`` wherever one source is.

    Raises
    ------
    ContentError : nothing to fuse; voxels that are NaN, infinite, constant or labels; channels that do not correspond.
    GridError : another grid, or movies of other times.
    ConfigError : no such fuser.
    """
    chosen = _built(fuser)
    if isinstance(volumes, Volume | TimeLapse):
        raise ContentError("needs a list of sources", field="volumes", remedy="For one source: fuse([volume])")
    if _all_movies(volumes):
        return _fused_movie(volumes, chosen)
    if _all_volumes(volumes):
        return _fused(volumes, chosen)
    kinds = [type(v).__name__ for v in volumes]
    raise ContentError("needs volumes alone or movies alone", field="volumes", value=kinds)


def _built(fuser: WhichFuser) -> Fuser:
    if isinstance(fuser, str):
        return of_kind(fuser).build()
    if isinstance(fuser, CONFIGS):
        return fuser.build()
    if isinstance(fuser, Fuser):
        return fuser
    raise ConfigError("has no method fuse(volumes)", field="fuser", value=fuser)


def _all_movies(sources: Sequence[Volume] | Sequence[TimeLapse]) -> TypeGuard[Sequence[TimeLapse]]:
    return len(sources) > 0 and all(isinstance(source, TimeLapse) for source in sources)


def _all_volumes(sources: Sequence[Volume] | Sequence[TimeLapse]) -> TypeGuard[Sequence[Volume]]:
    return all(isinstance(source, Volume) for source in sources)


def _fused(volumes: Sequence[Volume], fuser: Fuser) -> Volume:
    """Lazy voxels are read here once, since a check and a fuser would each read them again."""
    sources = [replace(volume, data=volume.array) for volume in volumes]
    if gives_colour([source.channels for source in sources]):
        return recoloured(_fused([structure(source) for source in sources], fuser), sources, fuser)
    check_sources(sources)
    if len(sources) == 1:
        return volumes[0]
    fused = fuser.fuse(sources)
    if not fused.grid.is_close(sources[0].grid):
        raise GridError("the fuser gave a volume on another grid than its sources'", field="fuser", value=fused.grid)
    require_finite(fused, "fused")
    return fused


def _fused_movie(movies: Sequence[TimeLapse], fuser: Fuser) -> TimeLapse:
    require_one_grid([movie.grid for movie in movies])
    times = np.asarray(movies[0].times_s)
    for i, movie in enumerate(movies):
        if len(movie) != len(times) or np.abs(np.asarray(movie.times_s) - times).max() > SAME_TIME_S:
            raise GridError(
                f"its {len(movie)} frames are not at the times of the {len(times)} of volumes[0]",
                field=f"volumes[{i}]",
                value=movie.times_s[:8],
                remedy="Choose the frames that both have",
            )
    own = [movie.channels for movie in movies]
    channels = fused_colour_channels(own) if gives_colour(own) else fused_channels(own)
    seen = [structure_movie(movie) for movie in movies] if gives_colour(own) else movies
    load = partial(_fused_frame, tuple(movies), steady(fuser, seen), channels)
    return TimeLapse(movies[0].grid, channels, movies[0].times_s, load)


def _fused_frame(movies: Sequence[TimeLapse], fuser: Fuser, channels: tuple[Channel, ...], frame: int) -> Volume:
    return replace(_fused([movie[frame] for movie in movies], fuser), channels=channels)
