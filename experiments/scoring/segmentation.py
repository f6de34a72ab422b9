"""How right a segmentation is, over all frames."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.config import Experiment
from experiments.drawn import recorded_for_truth
from experiments.drifts import steady
from experiments.run_folder import RunFolder
from experiments.sources import as_movie, open_image
from experiments.stages import segment
from volumes.errors import ConfigError, GridError
from volumes.volume import Volume


def segmentation_scores(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    """Detection and overlap scores of the labels against the true ones, all frames together."""
    from tracking3d.match import Scores, score

    total = Scores()
    for truth, found in frame_pairs(experiment, folder):
        total += score(truth, found)
    return {
        "AP at IoU 0.5": total.ap,
        "F1 at IoU 0.5": total.f1,
        "SEG": total.seg if total.n_truth else "no true cell",
        "DET": total.det if total.n_truth else "no true cell",
        "true cells": total.n_truth,
    }


def frame_pairs(experiment: Experiment, folder: RunFolder) -> Iterator[tuple[Volume, Volume]]:
    """True and found labels, frame by frame; both are read when their turn comes.

    Where a movie is held still, so are its true labels.

    Raises
    ------
    ConfigError : the config names no true labels.
    GridError : the two differ in their number of frames.
    """
    if experiment.truth_labels is None:
        raise ConfigError("no truth to compare with", field="truth_labels")
    truth = as_movie(open_image("truth_labels", experiment.truth_labels))
    truth = steady(experiment, folder, recorded_for_truth(experiment), truth)
    found = as_movie(segment.labels(experiment, folder))
    if len(truth) != len(found):
        raise GridError(f"{len(truth)} true frames for {len(found)} segmented ones", field="truth_labels")
    yield from zip(truth, found, strict=True)
