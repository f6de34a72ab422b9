"""Stage ``evaluate``: figures against the truth, where the config carries one; an empty table where it does not."""

from __future__ import annotations

import numpy as np

from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder, write_json
from experiments.sources import open_image, open_volume
from experiments.stage import Stage
from experiments.stages import detect, link, segment
from experiments.stages.true_links import truth_of_labels, truth_of_lineage
from tracking3d.metrics import LinkTruth, score_links
from volumes.errors import ConfigError, GridError
from volumes.io import read_transform
from volumes.shapes import Points
from volumes.timelapse import TimeLapse
from volumes.transform import Affine, Transform
from volumes.volume import Volume

NAME = "evaluate"
POINTS = 2000
"""How many points of the specimen a registration is scored on."""


def evaluate_stage(experiment: Experiment, folder: RunFolder, after: tuple[str, ...]) -> Stage:
    """Scores whatever ran: the registration in µm, the segmentation, the links."""
    truth = experiment.truth_labels
    return Stage(
        NAME,
        settings(experiment, "sources", "cells", "truth_labels", "truth_follows_cells", "reference"),
        (folder.scores.name,),
        lambda: write_json(folder.scores, _scores(experiment, folder)),
        inputs={"truth_labels": truth.file} if truth else {},
        after=after,
        code=("registration", "tracking3d", "phantom"),
    )


def _scores(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    out: dict[str, object] = {}
    if experiment.register_:
        out["registration"] = _registration(experiment, folder)
    if experiment.truth_labels:
        out["segmentation"] = _segmentation(experiment, folder)
    if experiment.link and experiment.cells and experiment.cells.observed:
        out["linking"] = _links(experiment, folder, truth_of_lineage(experiment.cells))
    if experiment.link and experiment.truth_follows_cells:
        out["linking"] = _links(experiment, folder, _truth_in_labels(experiment, folder))
    return out


def _registration(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    """Distance between where the transform found and the true one put points of the specimen."""
    fixed = open_volume(experiment.fixed, experiment.sources[experiment.fixed]).image
    out: dict[str, object] = {}
    points = specimen_points(fixed)
    for name in experiment.moving:
        truth = open_volume(name, experiment.sources[name]).truth
        if truth is not None:
            found = read_transform(folder.transform(name))
            out[name] = _errors(points, found, truth) | _floor(experiment, name, fixed, points, found, truth)
    return out


def _errors(points: Points, found: Transform, truth: Affine) -> dict[str, float | int]:
    error = np.linalg.norm(found(points) - truth(points), axis=1)
    return {
        "before_mean_um": float(np.linalg.norm(points - truth(points), axis=1).mean()),
        "mean_um": float(error.mean()),
        "median_um": float(np.median(error)),
        "max_um": float(error.max()),
        "points": len(points),
    }


def _floor(
    experiment: Experiment, name: str, fixed: Volume, points: Points, found: Transform, truth: Affine
) -> dict[str, str]:
    """What the sources disagree by without the displacement: the truth supposes that they were aligned before it."""
    from registration import register

    unmoved = experiment.sources[name].model_copy(update={"displaced": None})
    still = register(fixed, open_volume(name, unmoved).image, experiment.register_ or "rigid").transform
    drift = np.linalg.norm(still(points) - points, axis=1).mean()
    apart = np.linalg.norm(found(points) - (truth @ still)(points), axis=1).mean()
    return {
        "note": f"{name} was moved by a rigid transform that the registration is not told. Registered without that, "
        f"the same pair comes out {drift:.2f} µm from where its authors placed it: the truth's own uncertainty. The "
        f"two registrations agree to {apart:.2f} µm."
    }


def specimen_points(volume: Volume, count: int = POINTS, seed: int = 0) -> Points:
    """World points (n, 3) in µm, drawn from the voxels above Otsu's threshold; the same for the same volume."""
    from skimage.filters import threshold_otsu

    voxels = volume.channel().astype(np.float32)
    inside = np.flatnonzero((voxels > threshold_otsu(voxels[volume.mask()])) & volume.mask())
    chosen = np.random.default_rng(seed).choice(inside, min(count, len(inside)), replace=False)
    return volume.grid.to_world(np.column_stack(np.unravel_index(chosen, volume.grid.shape)))


def _segmentation(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    from tracking3d.match import Scores, score

    total = Scores()
    for truth, found in _frame_pairs(experiment, folder):
        total += score(truth, found)
    return {
        "AP at IoU 0.5": total.ap,
        "F1 at IoU 0.5": total.f1,
        "SEG": total.seg if total.n_truth else "no true cell",
        "DET": total.det if total.n_truth else "no true cell",
        "true cells": total.n_truth,
    }


def _frame_pairs(experiment: Experiment, folder: RunFolder) -> list[tuple[Volume, Volume]]:
    truth, found = true_labels(experiment), segment.labels(experiment, folder)
    movies = [m if isinstance(m, TimeLapse) else TimeLapse.of([m]) for m in (truth, found)]
    if len(movies[0]) != len(movies[1]):
        raise GridError(f"{len(movies[0])} true frames for {len(movies[1])} segmented ones", field="truth_labels")
    return list(zip(*movies, strict=True))


def true_labels(experiment: Experiment) -> Volume | TimeLapse:
    """The labels that the config names as the truth.

    Raises
    ------
    ConfigError : it names none.
    """
    if experiment.truth_labels is None:
        raise ConfigError("no truth to compare with", field="truth_labels")
    return open_image("truth_labels", experiment.truth_labels)


def _truth_in_labels(experiment: Experiment, folder: RunFolder) -> LinkTruth:
    pairs = _frame_pairs(experiment, folder)
    truth, found = (TimeLapse.of(list(frames)) for frames in zip(*pairs, strict=True))
    return truth_of_labels(truth, found, detect.detections(experiment, folder))


def _links(experiment: Experiment, folder: RunFolder, truth: LinkTruth) -> dict[str, object]:
    scores = score_links(link.tracks(experiment, folder), truth)
    return {
        "edge F1": scores.edge_f1,
        "false matches, share of links": scores.false_match,
        "division F1": scores.division_f1,
        "division F1 within one frame": scores.division_f1_within_1,
        "LNK": scores.lnk,
        "true links": scores.counts["true_links"],
        "true divisions": scores.counts["true_divisions"],
    }
