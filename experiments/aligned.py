"""All sources of an experiment on one grid and at the same moments, frame by frame, read only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from experiments.config import Experiment
from experiments.run_folder import RunFolder
from experiments.sources import as_movie, open_image
from volumes.grid import Grid
from volumes.io import read_transform
from volumes.resample import resample
from volumes.timelapse import TimeLapse
from volumes.transform import Affine, Composite, Transform
from volumes.volume import Volume


def aligned(experiment: Experiment, folder: RunFolder, onto: str | None = None) -> dict[str, TimeLapse]:
    """Every source on the grid and at the frames of one of them, each frame with its own ``valid`` mask.

    A source lends the frame nearest in time, one of a single frame always that. Where nothing was registered, sources
    keep their own grids.

    Parameters
    ----------
    experiment : with its sources.
    folder : where the transforms of this run lie.
    onto : the source whose grid and frames are taken; left out: the reference.
    """
    target = onto or experiment.fixed
    movies = {name: as_movie(open_image(name, source)) for name, source in experiment.sources.items()}
    like = movies[target]
    out = {}
    for name, movie in movies.items():
        through = between(experiment, folder, target, name) if experiment.register_ and name != target else None
        out[name] = like if name == target else _at_frames_of(like, movie, through)
    return out


def between(experiment: Experiment, folder: RunFolder, start: str, end: str) -> Transform:
    """Points of one source → points of another, as this run found it: by way of the reference."""
    to_end, to_start = _found(experiment, folder, end), _found(experiment, folder, start)
    return to_end if start == experiment.fixed else Composite((to_end, to_start.inverse()))


def nearest_frame(times_s: Sequence[float], moment_s: float) -> int:
    """The frame nearest in time, the earlier of two that are equally near."""
    return int(np.argmin(np.abs(np.asarray(times_s) - moment_s)))


def time_apart_s(like: TimeLapse, movie: TimeLapse) -> float:
    """How far the frames that a movie lends are from the moments they are lent for, at most; 0 for a single frame."""
    if len(movie) == 1:
        return 0.0
    lent = [movie.times_s[nearest_frame(movie.times_s, t)] for t in like.times_s]
    return float(np.abs(np.asarray(lent) - like.times_s).max())


def _found(experiment: Experiment, folder: RunFolder, name: str) -> Transform:
    return Affine.identity() if name == experiment.fixed else read_transform(folder.transform(name))


def _at_frames_of(like: TimeLapse, movie: TimeLapse, through: Transform | None) -> TimeLapse:
    """Only the frame last asked for is kept: a source of a single frame is resampled once."""

    @lru_cache(maxsize=1)
    def brought(frame: int) -> Volume:
        return movie[frame] if through is None else resample(movie[frame], like=like.grid, transform=through)

    def load(frame: int) -> Volume:
        return brought(nearest_frame(movie.times_s, like.times_s[frame]))

    grid: Grid = movie.grid if through is None else like.grid
    return TimeLapse(grid, movie.channels, like.times_s, load)
