"""Stage ``fuse``: the registered sources become one volume, or one movie at the reference's frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.aligned import aligned, time_apart_s
from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder, write_json
from experiments.sources import as_movie, open_image
from experiments.stage import Stage
from experiments.stages import register
from volumes.io import read, read_timelapse, write
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

if TYPE_CHECKING:
    from fusion.scales import Scale

NAME = "fuse"
FUSED = "fused.ome.zarr"
FACTS = "fusion.json"


def fuse_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Fuses all sources of the experiment; where none was registered they must share a grid already.

    The result has the reference's frames; each other source lends its frame nearest in time, one at a time.
    """
    return Stage(
        NAME,
        settings(experiment, "sources", "reference", "fuse", "time_base"),
        (FUSED, FACTS),
        lambda: _fuse(experiment, folder),
        inputs={name: source.file for name, source in experiment.sources.items()},
        after=(register.NAME,) if experiment.register_ or experiment.drift else (),
        code=("fusion", "phantom"),
    )


def fused(experiment: Experiment, folder: RunFolder) -> Volume | TimeLapse:
    """What this stage wrote: a movie when the reference is one."""
    opener = read_timelapse if experiment.sources[experiment.fixed].is_movie else read
    return opener(folder.path / FUSED)


def _fuse(experiment: Experiment, folder: RunFolder) -> None:
    from fusion import fuse
    from fusion.colour import gives_colour, structure_movie
    from fusion.lpf import LPFConfig
    from fusion.movies import movie_scales

    movies, config = aligned(experiment, folder), experiment.fuse or LPFConfig()
    sources = list(movies.values())
    coloured = gives_colour([movie.channels for movie in sources])
    seen = [structure_movie(movie) for movie in sources] if coloured else sources
    scales = movie_scales(seen, config.match)
    if all(len(movie.channels) == 1 for movie in seen):
        config = config.model_copy(update={"match": scales})  # Measured once; several channels each have their own.
    result = fuse(sources, config)
    write(result if experiment.sources[experiment.fixed].is_movie else result[0], folder.path / FUSED)
    first = as_movie(fused(experiment, folder))[0]
    shown = _on_common_scale(first, sources, scales) if coloured else first
    facts = _facts(experiment, config.kind, scales, [movie[0] for movie in seen], shown)
    write_json(folder.path / FACTS, {**facts, "time_apart_s": _apart(experiment)})


def _on_common_scale(fused: Volume, sources: Sequence[TimeLapse], scales: Sequence[Scale]) -> Volume:
    """The structure of a fused colour picture, which is in the unit of its first colour source."""
    from fusion.colour import is_colour, structure

    grey = structure(fused)
    scale = next(s for s, movie in zip(scales, sources, strict=True) if is_colour(movie.channels))
    return grey.with_data(scale.to_common(grey.channel()))


def _apart(experiment: Experiment) -> Mapping[str, float]:
    """By how many seconds a lent frame misses its moment at most, for each source that is a movie."""
    movies = {name: as_movie(open_image(name, source)) for name, source in experiment.sources.items()}
    like = movies[experiment.fixed]
    return {name: time_apart_s(like, movie, experiment.time_base) for name, movie in movies.items() if len(movie) > 1}


def _facts(
    experiment: Experiment, kind: str, scales: tuple[Scale, ...], sources: Sequence[Volume], result: Volume
) -> dict[str, object]:
    """Of the first frame: the share of each source's strong edges that survives, beside mean and maximum; scales."""
    from fusion.metrics import edges_kept

    kept = {
        kind: edges_kept(result, sources, scales),
        "mean": edges_kept("mean", sources, scales),
        "max": edges_kept("max", sources, scales),
    }
    named = zip(experiment.sources, scales, strict=True)
    return {
        "edges_kept": kept,
        "scales": [f"fused = {scale.gain:.4g} × {name} {scale.offset:+.4g}" for name, scale in named],
    }
