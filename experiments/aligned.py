"""All sources of an experiment on one grid and at the same moments, frame by frame, read only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from experiments.config import Experiment
from experiments.drifts import drift_of
from experiments.run_folder import RunFolder
from experiments.sources import as_movie, open_image
from volumes.grid import Grid
from volumes.io import read_transform
from volumes.resample import resample
from volumes.timebase import How, apart_s, at_times, lent
from volumes.timelapse import TimeLapse
from volumes.transform import Affine, Composite, Transform
from volumes.volume import Volume


def aligned(experiment: Experiment, folder: RunFolder, onto: str | None = None) -> dict[str, TimeLapse]:
    """Every source on the grid and at the frames of one of them, each frame with its own ``valid`` mask.

    At the moments of that one's frames the others lend the nearest frame, or, where the config says ``linear``, are
    interpolated between two; before their first and after their last frame they lend that. Where nothing was
    registered, sources keep their own grids. Measured drift is taken out of each movie: all lie still, where they lay
    in their first frames.

    Parameters
    ----------
    experiment : with its sources.
    folder : where the transforms of this run lie.
    onto : the source whose grid and frames are taken; left out: the reference.
    """
    target = onto or experiment.fixed
    movies = {name: as_movie(open_image(name, source)) for name, source in experiment.sources.items()}
    like, how = movies[target], experiment.time_base
    out = {}
    for name, movie in movies.items():
        through = between(experiment, folder, target, name) if experiment.register_ and name != target else None
        moved = _brought(movie, like.grid, through, drift_of(experiment, folder, name))
        out[name] = moved if name == target else at_times(moved, like.times_s, _how(movie, how), beyond="hold")
    return out


def between(experiment: Experiment, folder: RunFolder, start: str, end: str) -> Transform:
    """Points of one source → points of another, as this run found it: by way of the reference."""
    to_end, to_start = _found(experiment, folder, end), _found(experiment, folder, start)
    return to_end if start == experiment.fixed else Composite((to_end, to_start.inverse()))


def nearest_frame(times_s: Sequence[float], moment_s: float) -> int:
    """The frame nearest in time, the earlier of two that are equally near."""
    return lent(times_s, moment_s).first


def time_apart_s(like: TimeLapse, movie: TimeLapse, how: How = "nearest") -> float:
    """How far the frames that a movie lends are from the moments they are lent for, at most; 0 for a single frame."""
    return 0.0 if len(movie) == 1 else apart_s(movie.times_s, like.times_s, how)


def _found(experiment: Experiment, folder: RunFolder, name: str) -> Transform:
    return Affine.identity() if name == experiment.fixed else read_transform(folder.transform(name))


def _how(movie: TimeLapse, how: How) -> How:
    """Labels have no mean: of them the nearest frame is taken in any case."""
    return "nearest" if any(channel.modality == "labels" for channel in movie.channels) else how


def _brought(movie: TimeLapse, grid: Grid, through: Transform | None, drift: Sequence[Affine] | None) -> TimeLapse:
    """Each frame on a grid, and still; the points of the grid go ``through`` to the movie's first frame, then with the
    drift to the frame at hand. Only the two frames last asked for are kept: a single one is resampled once.
    """
    if through is None and drift is None:
        return movie
    like = movie.grid if through is None else grid

    @lru_cache(maxsize=2)
    def load(frame: int) -> Volume:
        steps = [step for step in (drift[frame] if drift else None, through) if step is not None]
        return resample(movie[frame], like=like, transform=Composite(tuple(steps)))

    return TimeLapse(like, movie.channels, movie.times_s, load)
