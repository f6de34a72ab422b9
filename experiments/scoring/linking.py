"""How right links are: against a lineage that was degraded, one that labels tell, or the exact one of a phantom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from experiments.config import Experiment
from experiments.drawn import recorded_for_truth, truth_of
from experiments.entries import Cells
from experiments.run_folder import RunFolder
from experiments.scoring.segmentation import frame_pairs
from experiments.scoring.true_table import TrueTable, read_true_table
from experiments.stages import detect, link
from experiments.stages.true_links import lineage_and_view, parents_of_numbers
from phantom.lineage import Lineage
from tracking3d import Detections, Tracks
from tracking3d import detect as detect_cells
from tracking3d.match import match
from tracking3d.metrics import LinkScores, LinkTruth, score_links
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

LEAST_OVERLAP = 0.1
"""Intersection over union from which on a found cell can be a true one."""


def linking_scores(experiment: Experiment, folder: RunFolder) -> dict[str, object]:
    """Precision and recall of links and divisions; empty where no true lineage is known."""
    if experiment.cells and experiment.cells.observed:
        return _scored(experiment, folder, truth_of_lineage(experiment.cells))
    table = true_table(experiment, folder)
    if table is not None:
        return _scored(experiment, folder, _truth_of_table(experiment, folder, table))
    if not experiment.truth_follows_cells:
        return {}
    truth, found = (TimeLapse.of(list(frames)) for frames in zip(*frame_pairs(experiment, folder), strict=True))
    return _scored(experiment, folder, truth_of_labels(truth, found, detect.detections(experiment, folder)))


def true_table(experiment: Experiment, folder: RunFolder) -> TrueTable | None:
    """The true cells of the instrument whose labels the segmentation is scored against; None without a phantom."""
    truth = truth_of(experiment, folder)
    return read_true_table(truth.instruments[recorded_for_truth(experiment)].cells) if truth else None


def truth_of_lineage(cells: Cells) -> LinkTruth:
    """The truth that the detections of a degraded lineage are scored against."""
    lineage, view = lineage_and_view(cells)
    return LinkTruth(_tracks(lineage), view.node)


def truth_of_labels(truth: TimeLapse, found: TimeLapse, cells: Detections) -> LinkTruth:
    """The truth in labels whose numbers stay with a cell: a found cell is the true one that it overlaps best.

    Two numbers that first appear in the frame after the nearest third one ends are taken for its daughters.

    Parameters
    ----------
    truth : true labels.
    found : the labels that the detections were measured in.
    cells : the detections, with the feature ``label``.
    """
    true_cells = detect_cells(truth)
    numbers = np.asarray(true_cells.features["label"], dtype=np.int64)
    rows = {(int(t), int(n)): row for row, (t, n) in enumerate(zip(true_cells.t, numbers, strict=True))}
    tracks = Tracks(true_cells, parents_of_numbers(true_cells, numbers))
    return LinkTruth(tracks, nodes(zip(truth, found, strict=True), cells, rows))


def nodes(
    pairs: Iterator[tuple[Volume, Volume]], cells: Detections, rows: dict[tuple[int, int], int]
) -> NDArray[np.int64]:
    """(n,) the row of the true cell that each detection is, −1 for one that is none.

    Parameters
    ----------
    pairs : true and found labels, frame by frame.
    cells : the detections, with the feature ``label``.
    rows : row of each true (frame, number).
    """
    out = np.full(len(cells), -1, dtype=np.int64)
    labels = np.asarray(cells.features["label"], dtype=np.int64)
    for frame, (truth, found) in enumerate(pairs):
        true_of = numbers_of(truth, found)
        for row in cells.rows_at(frame):
            out[row] = rows.get((frame, true_of.get(int(labels[row]), 0)), -1)
    return out


def numbers_of(truth: Volume, found: Volume) -> dict[int, int]:
    """The true number of each found label that overlaps one, one to one."""
    pairs = match(truth, found, iou=LEAST_OVERLAP)
    return dict(zip(pairs.found_ids.tolist(), pairs.truth_ids.tolist(), strict=True))


def _truth_of_table(experiment: Experiment, folder: RunFolder, table: TrueTable) -> LinkTruth:
    cells = detect.detections(experiment, folder)
    return LinkTruth(_tracks(table.lineage), nodes(frame_pairs(experiment, folder), cells, table.rows))


def _tracks(lineage: Lineage) -> Tracks:
    return Tracks(Detections.of(lineage.t, lineage.zyx), lineage.parent)


def _scored(experiment: Experiment, folder: RunFolder, truth: LinkTruth) -> dict[str, object]:
    return figures_of(score_links(link.tracks(experiment, folder), truth), truth)


def figures_of(scores: LinkScores, truth: LinkTruth) -> dict[str, object]:
    """The scores by name. Where no link was there to be found, none is given: it would be a 1 that says nothing.

    An F1 knows only the links between cells that were found; the last shares are of all links and divisions that are
    true, so that cells which were missed weigh on them.
    """
    counts = scores.counts
    links = {"edge F1": scores.edge_f1, "false matches, share of links": scores.false_match, "LNK": scores.lnk}
    divisions = {"division F1": scores.division_f1, "division F1 within one frame": scores.division_f1_within_1}
    children = np.bincount(truth.tracks.parent[truth.tracks.parent >= 0], minlength=1)
    all_links, all_divisions = int(children.sum()), int((children > 1).sum())
    return {
        **(links if counts["true_links"] else {}),
        **(divisions if counts["true_divisions"] else {}),
        "true links": counts["true_links"],
        "true divisions": counts["true_divisions"],
        **({"cells with the right parent, share of all": counts["right_links"] / all_links} if all_links else {}),
        **({"right divisions, share of all": counts["right_divisions"] / all_divisions} if all_divisions else {}),
    }
