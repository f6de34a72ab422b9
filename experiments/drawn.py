"""A phantom as an experiment's sources: what its instruments recorded, and what is true of it."""

from __future__ import annotations

from experiments.config import Experiment
from experiments.contradictions import contradictions
from experiments.entries import Source
from experiments.run_folder import RunFolder
from phantom.config import PhantomConfig
from phantom.truth import Recorded, Truth, read_truth
from volumes.errors import ConfigError


def drawn(experiment: Experiment, folder: RunFolder) -> Experiment:
    """The experiment with the files of its drawn phantom as sources and truth; one without a phantom as it is.

    Raises
    ------
    VolumeFileError : the folder holds no phantom yet.
    ConfigError : what the stages ask does not go together with what the instruments recorded.
    """
    if experiment.phantom is None:
        return experiment
    truth = read_truth(folder.phantom)
    volumes = tuple(name for name, one in truth.instruments.items() if not one.projection)
    names = experiment.phantom.sources or volumes
    sources = {name: _source(truth.instruments[name], experiment.phantom.config) for name in names}
    out = experiment.model_copy(update={"sources": sources})
    if experiment.segment:
        seen = truth.instruments[recorded_for_truth(out)]
        labels = Source(file=seen.labels, modality="labels", movie=seen.movie, simulated=True)
        out = out.model_copy(update={"truth_labels": labels, "truth_follows_cells": True})
    for problem in contradictions(out):
        raise ConfigError(problem, field="phantom.sources", value=list(names))
    return out


def recorded_for_truth(experiment: Experiment) -> str:
    """The instrument whose labels are the truth of the segmentation: a fused volume lies on the reference's grid."""
    return experiment.fixed if experiment.segmented == "fused" else experiment.segmented


def truth_of(experiment: Experiment, folder: RunFolder) -> Truth | None:
    """What is known of the drawn phantom; None for an experiment without one."""
    return read_truth(folder.phantom) if experiment.phantom else None


def _source(recorded: Recorded, config: PhantomConfig) -> Source:
    note = f"drawn: phantom {config.name}, seed {config.seed}, difficulty {config.difficulty:g}"
    return Source(
        file=recorded.file,
        modality=recorded.modality,
        movie=recorded.movie,
        time_s=recorded.times_s[0],
        simulated=True,
        note=note,
    )
