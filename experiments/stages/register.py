"""Stage ``register``: a transform for every source, and all sources on the reference's grid."""

from __future__ import annotations

import numpy as np

from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder, read_json, write_json
from experiments.sources import open_volume
from experiments.stage import Stage
from registration import Registered, register
from volumes.errors import StageError
from volumes.io import read_transform, write, write_transform
from volumes.resample import resample
from volumes.volume import Channel, Volume

NAME = "register"
REGISTERED = "registered.ome.zarr"


def register_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Registers each moving source to the reference; its verdict stops the run at a FAILED one."""
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


def aligned(experiment: Experiment, folder: RunFolder) -> dict[str, Volume]:
    """Every source on the reference's grid, each with its own ``valid`` mask, from the transforms of this run."""
    fixed = open_volume(experiment.fixed, experiment.sources[experiment.fixed]).image
    out = {experiment.fixed: fixed}
    for name in experiment.moving:
        volume = open_volume(name, experiment.sources[name]).image
        transform = read_transform(folder.transform(name)) if experiment.register_ else None
        out[name] = resample(volume, like=fixed, transform=transform) if transform else volume
    return {name: out[name] for name in experiment.sources}


def _register_all(experiment: Experiment, folder: RunFolder) -> None:
    fixed = open_volume(experiment.fixed, experiment.sources[experiment.fixed]).image
    for name in experiment.moving:
        moving = open_volume(name, experiment.sources[name]).image
        result = register(fixed, moving, experiment.register_ or "rigid")
        write_transform(result.transform, folder.transform(name))
        write_json(folder.registration(name), _facts(result))
    write(_stacked(aligned(experiment, folder)), folder.path / REGISTERED)


def _facts(result: Registered) -> dict[str, object]:
    return {
        "status": result.status.value,
        "reasons": list(result.reasons),
        "quality": {key: float(value) for key, value in result.quality.as_dict().items()},
    }


def _stacked(sources: dict[str, Volume]) -> Volume:
    """All channels of all sources as one volume, valid where every source is."""
    first = next(iter(sources.values()))
    data = np.concatenate([volume.array.astype(np.float32) for volume in sources.values()])
    channels = [channel for name, volume in sources.items() for channel in _renamed(name, volume)]
    valid = np.logical_and.reduce([volume.mask() for volume in sources.values()])
    return Volume(data, first.grid, tuple(channels), first.time_s, valid)


def _renamed(name: str, volume: Volume) -> list[Channel]:
    single = len(volume.channels) == 1
    return [
        Channel(name if single else f"{name} {c.name}", c.modality, c.wavelength_nm, c.colour) for c in volume.channels
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
