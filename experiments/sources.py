"""From a config's source to a volume or a movie, with the truth of what was done to it on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.config import Experiment
from experiments.entries import Source
from experiments.report.sections import Origin
from volumes.errors import ConfigError
from volumes.io import read, read_timelapse
from volumes.timelapse import TimeLapse
from volumes.transform import Affine
from volumes.volume import Volume


@dataclass(frozen=True)
class Opened:
    """A source as the stages see it.

    Parameters
    ----------
    image : the volume, moved when the config asks for it.
    truth : the transform, reference points → this volume's points, that was applied; None where it is not known.
    """

    image: Volume
    truth: Affine | None = None


def open_volume(name: str, source: Source) -> Opened:
    """A single volume, displaced where the config says so.

    Raises
    ------
    ConfigError : the source is a movie.
    """
    if source.is_movie:
        raise ConfigError("a single volume is needed here, and this is a movie", field=f"sources.{name}")
    volume = read(
        source.file,
        modality=source.modality,
        unit=source.unit,
        nonfinite=source.nonfinite,
        affine=source.affine,
        layout=source.layout,
    )
    if source.time_s is not None:
        volume = replace(volume, time_s=source.time_s)
    if source.displaced is None:
        return Opened(volume)
    from phantom.displaced import displaced

    d = source.displaced
    moved, truth = displaced(volume, rotation_deg=d.rotation_deg, shift_um=d.shift_um, noise=d.noise, seed=d.seed)
    return Opened(moved, truth)


def open_first(name: str, source: Source) -> Opened:
    """A single volume as :func:`open_volume` gives it; of a movie its first frame, by which all of it is registered."""
    if not source.is_movie:
        return open_volume(name, source)
    return Opened(as_movie(open_image(name, source))[0])


def as_movie(image: Volume | TimeLapse) -> TimeLapse:
    """A movie as it is; a single volume as a movie of one frame."""
    return image if isinstance(image, TimeLapse) else TimeLapse.of([image])


def open_image(name: str, source: Source) -> Volume | TimeLapse:
    """A volume, or a movie whose frames are read one at a time."""
    if not source.is_movie:
        return open_volume(name, source).image
    movie = read_timelapse(
        source.file,
        modality=source.modality,
        unit=source.unit,
        nonfinite=source.nonfinite,
        affine=source.affine,
        layout=source.layout,
    )
    late = 0.0 if source.time_s is None else source.time_s - movie.times_s[0]
    return replace(movie, times_s=tuple(time + late for time in movie.times_s)) if late else movie


def nearest_moments(one: TimeLapse, other: TimeLapse) -> tuple[int, int]:
    """The frames of two movies that were taken nearest to each other, the earliest such."""
    apart = np.abs(np.subtract.outer(one.times_s, other.times_s))
    first, second = np.unravel_index(int(np.argmin(apart)), apart.shape)
    return int(first), int(second)


def origin(experiment: Experiment, names: tuple[str, ...]) -> tuple[Origin, str]:
    """(``real``, ``simulated`` or ``mixed``; why) for a figure that shows these sources."""
    chosen = [experiment.sources[name] for name in names]
    notes = [f"{name}: {source.note}" for name, source in zip(names, chosen, strict=True) if source.note]
    notes += [
        f"{name}: moved by a known rigid transform, {source.displaced.noise:.0%} noise added"
        for name, source in zip(names, chosen, strict=True)
        if source.displaced
    ]
    simulated = [source.simulated for source in chosen]
    if simulated and all(simulated):
        return "simulated", "; ".join(notes) or "simulated voxels"
    if any(simulated) or any(source.displaced for source in chosen):
        return "mixed", "; ".join(notes) or "measured beside simulated voxels"
    return "real", "; ".join(notes) or "measured voxels"
