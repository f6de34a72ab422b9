"""Stage ``evaluate``: figures against the truth, where there is one; an empty table where there is none."""

from __future__ import annotations

from experiments.config import Experiment, settings
from experiments.drawn import truth_of
from experiments.run_folder import RunFolder, read_json, write_json
from experiments.scoring.drift import drift_scores
from experiments.scoring.fusion import fusion_scores
from experiments.scoring.intensity import intensity_scores
from experiments.scoring.linking import linking_scores
from experiments.scoring.registration import registration_scores
from experiments.scoring.segmentation import segmentation_scores
from experiments.scoring.table import Figure, as_csv, figures
from experiments.stage import Stage
from volumes.atomic import write_text

NAME = "evaluate"


def evaluate_stage(experiment: Experiment, folder: RunFolder, after: tuple[str, ...]) -> Stage:
    """Scores whatever ran: the registration in µm, the fusion, the segmentation, the links, the cells' brightness."""
    truth, drawn = experiment.truth_labels, truth_of(experiment, folder)
    inputs = {"truth_labels": truth.file} if truth else {}
    return Stage(
        NAME,
        settings(
            experiment,
            "sources",
            "cells",
            "truth_labels",
            "truth_follows_cells",
            "reference",
            "segment_on",
            "time_base",
        ),
        (folder.scores.name, folder.evaluation.name),
        lambda: _evaluate(experiment, folder),
        inputs={**inputs, **({"truth": drawn.folder / "truth"} if drawn else {})},
        after=after,
        code=("registration", "fusion", "tracking3d", "phantom"),
    )


def evaluated(experiment: Experiment, folder: RunFolder) -> tuple[Figure, ...]:
    """The figures that this stage wrote."""
    segmented = experiment.segmented if experiment.segment else ""
    fixed = experiment.fixed if experiment.sources else ""
    return figures(read_json(folder.scores), fixed, segmented or experiment.title or experiment.name)


def _evaluate(experiment: Experiment, folder: RunFolder) -> None:
    write_json(folder.scores, _scores(experiment, folder))
    write_text(folder.evaluation, as_csv(evaluated(experiment, folder)))


def _scores(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    out: dict[str, object] = {}
    if experiment.register_:
        out["registration"] = registration_scores(experiment, folder)
    if experiment.drift:
        out["drift"] = drift_scores(experiment, folder)
    if experiment.fuse:
        out["fusion"] = fusion_scores(experiment, folder)
    if experiment.truth_labels:
        out["segmentation"] = segmentation_scores(experiment, folder)
        out["intensity"] = intensity_scores(experiment, folder)
    if experiment.link:
        out["linking"] = linking_scores(experiment, folder)
    return {stage: scores for stage, scores in out.items() if scores or stage == "registration"}
