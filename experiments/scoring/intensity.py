"""How true the brightness measured in each cell is, in the segmented source and in all that were brought onto it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.aligned import aligned, nearest_frame
from experiments.config import Experiment
from experiments.drawn import recorded_for_truth, truth_of
from experiments.run_folder import RunFolder
from experiments.scoring.linking import numbers_of
from experiments.scoring.segmentation import frame_pairs
from experiments.scoring.true_table import TrueTable, read_true_table
from volumes.volume import Volume

FEWEST = 3
"""Cells that a correlation needs."""


def intensity_scores(experiment: Experiment, folder: RunFolder) -> dict[str, dict[str, float | int]]:
    """For each source: the mean inside each found cell against that of the noise-free picture inside the true one.

    A found cell is the true one that it overlaps best. Every source is measured on the grid of the segmentation, where
    its registration put it, and held against its own noise-free picture at the frame that it lent. Empty without a
    phantom.
    """
    truth = truth_of(experiment, folder)
    if truth is None:
        return {}
    seen = recorded_for_truth(experiment)
    movies = aligned(experiment, folder, seen)
    measured = {name: movies[name] for name in movies if name == seen or experiment.register_}
    tables = {name: read_true_table(truth.instruments[name].cells) for name in measured}
    rows = {name: table.rows for name, table in tables.items()}
    times = {name: truth.instruments[name].times_s for name in measured}
    pairs: dict[str, list[NDArray[np.float64]]] = {name: [] for name in measured}
    for frame, (true, found) in enumerate(frame_pairs(experiment, folder)):
        numbers = numbers_of(true, found)
        for name, movie in measured.items():
            lent = nearest_frame(times[name], times[seen][frame])
            wanted = _signals(tables[name], rows[name], lent, numbers)
            pairs[name].append(_pairs(found, movie[frame], wanted))
    return {name: _summary(np.concatenate(parts)) for name, parts in pairs.items()}


def means_inside(labels: Volume, image: Volume) -> Mapping[int, float]:
    """Mean of an image over the valid voxels of each label; labels without one are left out."""
    valid = image.mask()
    inside = labels.channel()[valid].astype(np.int64)
    count = np.bincount(inside)
    total = np.bincount(inside, weights=image.channel()[valid].astype(np.float64))
    return {int(label): float(total[label] / count[label]) for label in np.flatnonzero(count) if label}


def _signals(
    table: TrueTable, rows: Mapping[tuple[int, int], int], frame: int, numbers: Mapping[int, int]
) -> dict[int, float]:
    """The true signal of each found label, where the instrument saw that cell in that frame."""
    found = {label: rows[frame, number] for label, number in numbers.items() if (frame, number) in rows}
    return {label: float(table.signal[row]) for label, row in found.items() if np.isfinite(table.signal[row])}


def _pairs(labels: Volume, image: Volume, wanted: Mapping[int, float]) -> NDArray[np.float64]:
    """(n, 2) true and measured brightness of each cell."""
    means = means_inside(labels, image)
    both = [(signal, means[label]) for label, signal in wanted.items() if label in means]
    return np.asarray(both, np.float64).reshape(-1, 2)


def _summary(pairs: NDArray[np.float64]) -> dict[str, float | int]:
    """Median of |measured − true| / |true|, and Pearson's correlation; what cannot be said is left out."""
    true, measured = pairs.T
    out: dict[str, float | int] = {"cells": len(pairs)}
    known = true != 0
    if known.any():
        out["median relative error"] = float(np.median(np.abs(measured - true)[known] / np.abs(true[known])))
    if len(pairs) >= FEWEST and np.ptp(true) > 0 and np.ptp(measured) > 0:
        out["correlation"] = float(np.corrcoef(true, measured)[0, 1])
    return out
