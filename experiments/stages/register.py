"""Stage ``register``: a transform for every source, and all sources on the reference's grid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.aligned import aligned
from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder, read_json, write_json
from experiments.sources import open_first
from experiments.stage import Stage
from registration import Registered, register
from volumes.errors import StageError
from volumes.io import write, write_transform
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume

NAME = "register"
REGISTERED = "registered.ome.zarr"


def register_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Registers each moving source to the reference, movies by their first frames, whose transform serves all others.

    The verdict stops the run at a FAILED one.
    """
    written = [p for name in experiment.moving for p in (folder.transform(name), folder.registration(name))]
    return Stage(
        NAME,
        settings(experiment, "sources", "reference", "register_"),
        (REGISTERED, *(str(path.relative_to(folder.path)) for path in written)),
        lambda: _register_all(experiment, folder),
        inputs={name: source.file for name, source in experiment.sources.items()},
        code=("registration", "phantom"),
        verdict=lambda: _verdict(experiment, folder),
    )


def _register_all(experiment: Experiment, folder: RunFolder) -> None:
    fixed = open_first(experiment.fixed, experiment.sources[experiment.fixed]).image
    for name in experiment.moving:
        moving = open_first(name, experiment.sources[name]).image
        result = register(fixed, moving, experiment.register_ or "rigid")
        write_transform(result.transform, folder.transform(name))
        write_json(folder.registration(name), _facts(result))
    stacked = _stacked(aligned(experiment, folder))
    write(stacked if experiment.sources[experiment.fixed].is_movie else stacked[0], folder.path / REGISTERED)


def _facts(result: Registered) -> dict[str, object]:
    return {
        "status": result.status.value,
        "reasons": list(result.reasons),
        "quality": {key: float(value) for key, value in result.quality.as_dict().items()},
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
    for name in experiment.moving:
        facts = read_json(folder.registration(name))
        if facts["status"] == "failed" and not experiment.allow_failed:
            raise StageError(
                f"the registration of {name!r} to {experiment.fixed!r} failed: {'; '.join(facts['reasons'])}",
                file=folder.registration(name),
                field="status",
                remedy="See the report for what to try; allow_failed: true goes on regardless",
            )
