"""Stage ``register``: a transform for every source, and all sources on the reference's grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.aligned import aligned
from experiments.config import Experiment, settings
from experiments.drifts import drift_facts, held_still, write_drifts
from experiments.entries import Pair
from experiments.provenance import registration_files
from experiments.register_files import mask_of, start_of
from experiments.run_folder import RunFolder, read_json, write_json
from experiments.sources import as_movie, nearest_moments, open_image
from experiments.stage import Stage
from experiments.transforms import write_both_ways
from registration import RigidConfig
from registration.given import assess
from registration.graph import Bridged, Graph, Task, register_graph
from volumes.atomic import replacing_folder
from volumes.errors import StageError
from volumes.io import write
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume

NAME = "register"
REGISTERED = "registered.ome.zarr"


def register_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Measures drift where asked, registers the pairs, and finds the best way through them from the reference.

    Of movies the frames nearest in time are registered; the transform found serves all others, which are held still at
    the first frame where their drift was measured. The verdict stops the run at a FAILED way or drift.
    """
    return Stage(
        NAME,
        settings(experiment, "sources", "reference", "register_", "pairs", "drift", "time_base"),
        (REGISTERED, folder.transforms.name),
        lambda: _register_all(experiment, folder),
        inputs={name: source.file for name, source in experiment.sources.items()} | registration_files(experiment),
        code=("registration", "phantom"),
        verdict=lambda: _verdict(experiment, folder),
    )


def _register_all(experiment: Experiment, folder: RunFolder) -> None:
    with replacing_folder(folder.transforms) as fresh:
        drifts = write_drifts(experiment, fresh)
        if experiment.register_:
            movies = {name: as_movie(open_image(name, source)) for name, source in experiment.sources.items()}
            still = {name: held_still(movie, drifts.get(name)) for name, movie in movies.items()}
            _register_pairs(experiment, still, fresh)
    stacked = _stacked(aligned(experiment, folder))
    write(stacked if experiment.sources[experiment.fixed].is_movie else stacked[0], folder.path / REGISTERED)


def _register_pairs(experiment: Experiment, movies: Mapping[str, TimeLapse], into: Path) -> None:
    """The ways from the reference to each source, with what is known of them, as files in a folder."""
    images = {name: movie[0] for name, movie in movies.items()}
    tasks = [_task(experiment, pair, movies) for pair in experiment.pairings]
    graph = register_graph(images, experiment.fixed, tasks)
    fixed = images[experiment.fixed]
    for name in experiment.moving:
        way, moving = graph.bridged(name), images[name]
        write_both_ways(way.transform, fixed.grid, moving.grid, into, name, f"{name}.inverse")
        frames = nearest_moments(movies[experiment.fixed], movies[name])
        facts = _facts(graph, way, movies[experiment.fixed][frames[0]], movies[name][frames[1]])
        write_json(into / f"{name}.json", {**facts, "frames": frames})


def _task(experiment: Experiment, pair: Pair, movies: Mapping[str, TimeLapse]) -> Task:
    """A pair as it was at one moment, or as near to one as its frames allow."""
    how = pair.register_ or experiment.register_ or RigidConfig()
    first, second = nearest_moments(movies[pair.fixed], movies[pair.moving])
    fixed, moving = movies[pair.fixed][first], movies[pair.moving][second]
    return Task(
        pair.fixed,
        pair.moving,
        how.build(),
        start_of(pair.start),
        mask_of(pair.fixed_mask, fixed),
        mask_of(pair.moving_mask, moving),
        (fixed, moving),
    )


def _facts(graph: Graph, way: Bridged, fixed: Volume, moving: Volume) -> dict[str, object]:
    """What is known of a way; over several pairs its likeness is looked at from end to end."""
    links = [link for link in graph.links if {link.fixed, link.moving} == set(way.path)]
    quality = links[0].registered.quality if links else assess(way.transform, fixed, moving).quality
    return {
        "status": way.status.value,
        "reasons": list(way.reasons),
        "path": list(way.path),
        "quality": {key: float(value) for key, value in quality.as_dict().items()},
        "loops": [
            {"names": list(loop.names), "error_um": loop.error_um, "closes": loop.closes} for loop in graph.loops
        ],
    }


def _stacked(sources: Mapping[str, TimeLapse]) -> TimeLapse:
    """All channels of all sources as one movie, valid where every source is."""
    channels = tuple(channel for name, movie in sources.items() for channel in _renamed(name, movie))

    def load(frame: int) -> Volume:
        volumes = [movie[frame] for movie in sources.values()]
        data = np.concatenate([volume.array.astype(np.float32) for volume in volumes])
        valid = np.logical_and.reduce([volume.mask() for volume in volumes])
        return Volume(data, first.grid, channels, valid=valid)

    first = next(iter(sources.values()))
    return TimeLapse(first.grid, channels, first.times_s, load)


def _renamed(name: str, movie: TimeLapse) -> list[Channel]:
    single = len(movie.channels) == 1
    return [
        Channel(name if single else f"{name} {c.name}", c.modality, c.wavelength_nm, c.colour) for c in movie.channels
    ]


def _verdict(experiment: Experiment, folder: RunFolder) -> None:
    moving = experiment.moving if experiment.register_ else ()
    found = {f"the registration of {n!r} to {experiment.fixed!r}": folder.registration(n) for n in moving}
    found |= {
        f"the drift of {n!r}": path for n in experiment.sources if (path := drift_facts(folder.transforms, n)).exists()
    }
    for what, path in found.items():
        facts = read_json(path)
        if facts["status"] == "failed" and not experiment.allow_failed:
            raise StageError(
                f"{what} failed: {'; '.join(facts['reasons'])}",
                file=path,
                field="status",
                remedy="See the report for what to try; allow_failed: true goes on regardless",
            )
