"""The drift of an experiment's movies: measured, written down, and taken out again."""

from __future__ import annotations

import math
from pathlib import Path

from experiments.config import Experiment
from experiments.run_folder import RunFolder, write_json
from experiments.sources import as_movie, open_image
from registration.drift.drift import Drift, drift, steadied
from registration.drift.file import read_drift, write_drift
from volumes.timelapse import TimeLapse
from volumes.transform import Affine
from volumes.volume import Volume


def drift_file(folder: Path, name: str) -> Path:
    """Where the drift of a source is written, in the folder of transforms."""
    return folder / f"{name}.drift.csv"


def drift_facts(folder: Path, name: str) -> Path:
    """Its status and reasons, beside it."""
    return folder / f"{name}.drift.json"


def write_drifts(experiment: Experiment, into: Path) -> dict[str, Drift]:
    """Measure the drift of every source that is a movie, and write it down; nothing where no drift is asked for.

    Parameters
    ----------
    experiment : with its sources.
    into : the folder of transforms, or the fresh one that takes its place.
    """
    found = {}
    for name, source in experiment.sources.items():
        if experiment.drift is not None and source.is_movie:
            found[name] = drift(as_movie(open_image(name, source)), experiment.drift)
            write_drift(drift_file(into, name), found[name])
            write_json(drift_facts(into, name), _facts(found[name]))
    return found


def drift_of(experiment: Experiment, folder: RunFolder, name: str) -> tuple[Affine, ...] | None:
    """Points of a source's first frame → points of each frame, as this run found them; None where it did not look.

    Sources are registered by their first frames, whichever frame the drift was measured from.

    Raises
    ------
    TableError : the file is missing or damaged.
    """
    if experiment.drift is None or not experiment.sources[name].is_movie:
        return None
    return since_first(read_drift(drift_file(folder.transforms, name)))


def since_first(transforms: tuple[Affine, ...]) -> tuple[Affine, ...]:
    """Transforms from any one frame to each, as transforms from the first frame to each."""
    back = transforms[0].inverse().matrix
    return (Affine.identity(), *(Affine(one.matrix @ back) for one in transforms[1:]))


def held_still(movie: TimeLapse, found: Drift | None) -> TimeLapse:
    """A movie without the drift that was just measured in it."""
    return movie if found is None else steadied(movie, since_first(found.transforms))


def steady_image(experiment: Experiment, folder: RunFolder, name: str) -> Volume | TimeLapse:
    """A source as it was taken; a movie whose drift was measured is held still at its first frame."""
    image = open_image(name, experiment.sources[name])
    return steady(experiment, folder, name, image) if isinstance(image, TimeLapse) else image


def steady(experiment: Experiment, folder: RunFolder, name: str, movie: TimeLapse) -> TimeLapse:
    """A movie that was taken as a source was, that source's own or its true labels, held still at the first frame."""
    transforms = drift_of(experiment, folder, name)
    return movie if transforms is None else steadied(movie, transforms)


def _facts(found: Drift) -> dict[str, object]:
    """What the report tells; what is not known is null."""
    rows = [{key: value if math.isfinite(value) else None for key, value in row.items()} for row in found.table()]
    return {
        "status": found.status.value,
        "reasons": list(found.reasons),
        "reference": found.reference,
        "placed": list(found.placed),
        "frames": rows,
    }
