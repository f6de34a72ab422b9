"""All scores of a segmentation against true labels, with intervals over cells: what each cell became, and sums of it.

- AP = TP / (TP + FP + FN) at IoU .5, and AP50:95 its mean over IoU .5, .55, …, .95 (Schmidt et al. 2018; COCO);
  F1, precision and recall at .5.
- PQ = Σ IoU / (TP + FP/2 + FN/2) over the pairs at .5 (Kirillov et al., "Panoptic segmentation", 2019).
- SEG and DET: the Cell Tracking Challenge's, as in :mod:`tracking3d.match`.
- split rate: the share of true cells that hold two or more found cells, each by more than half of itself; merge rate:
  the share of true cells that lie, by more than half of themselves, in a found cell that holds another so.
- boundary: mean and 95th percentile of the distance between the surfaces of matched cells, µm, averaged over the pairs.

An interval is the percentile bootstrap over cells: true cells, and found ones without a true partner, drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from tracking3d.cell_outcomes import LIMITS, Outcomes, outcomes, outcomes_of_frames, pooled
from tracking3d.overlap import Floats
from volumes.errors import ConfigError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

__all__ = ["SCORES", "Estimate", "Outcomes", "evaluate", "interval", "outcomes", "pooled", "scores"]

SCORES = (
    "AP",
    "AP50:95",
    "F1",
    "precision",
    "recall",
    "PQ",
    "mean IoU",
    "SEG",
    "DET",
    "split rate",
    "merge rate",
    "boundary mean um",
    "boundary p95 um",
)
"""Names of the scores, in the order in which they are told."""
BLOCK = 1 << 22
"""Draws that are held at once."""


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def evaluate(
    truth: Volume | TimeLapse,
    found: Volume | TimeLapse,
    min_voxels: int = 0,
    boundaries: bool = True,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All scores, pooled over the frames of a movie, with intervals.

    Parameters
    ----------
    truth, found : labels on one grid; movies of one length.
    min_voxels : smaller objects of either are left out first.
    boundaries : measure surfaces, too; else their scores are left out.
    resamples, seed : of the bootstrap.

    Raises
    ------
    GridError : other grids, or movies of other lengths.
    ContentError : labels that are not whole numbers of at least 0.
    ConfigError : a number that is out of range.
    """
    together = pooled(outcomes_of_frames(truth, found, min_voxels, boundaries))
    values, (low, high) = scores(together), interval(together, resamples, seed)
    named = [name for name in SCORES if boundaries or not name.startswith("boundary")]
    return {name: Estimate(values[name], low[name], high[name]) for name in named}


def scores(table: Outcomes) -> dict[str, float]:
    """Each score by its name; where nothing is and nothing was found, AP, F1 and PQ are 1; what needs a cell is NaN."""
    return {name: float(value[0]) for name, value in _scores(_columns(table).sum(axis=0)[None]).items()}


def interval(
    table: Outcomes, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[dict[str, float], dict[str, float]]:
    """Lower and upper ends of the percentile bootstrap over the rows, by the scores' names.

    Raises
    ------
    ConfigError : no resample, or a level outside (0, 1).
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError("needs a resample or more and a level in (0, 1)", field="resamples", value=(resamples, level))
    columns, rng = _columns(table), np.random.default_rng(seed)
    k = len(columns)
    if k == 0:
        nothing = dict.fromkeys(SCORES, float("nan"))
        return nothing, dict(nothing)
    sums = []
    for start in range(0, resamples, max(1, BLOCK // k)):
        draws = rng.integers(0, k, (min(resamples - start, max(1, BLOCK // k)), k))
        counts = np.stack([np.bincount(draw, minlength=k) for draw in draws])
        sums.append(counts @ columns)
    drawn = _scores(np.concatenate(sums))
    ends = {name: _ends(values, level) for name, values in drawn.items()}
    return {name: low for name, (low, _) in ends.items()}, {name: high for name, (_, high) in ends.items()}


def _columns(table: Outcomes) -> Floats:
    """(k, 10 + 11) what is summed over the rows: true positives at each limit, then the fields of the table."""
    right = [table.true & table.found & (table.iou >= limit) for limit in LIMITS]
    return np.column_stack([*right, *(getattr(table, f.name) for f in fields(Outcomes))]).astype(np.float64)


def _scores(sums: Floats) -> dict[str, Floats]:
    """Scores (b,) from the sums (b, 21) of b draws."""
    tp, rest = sums[:, : len(LIMITS)], sums[:, len(LIMITS) :]
    of: Mapping[str, Floats] = {f.name: rest[:, i] for i, f in enumerate(fields(Outcomes))}
    n, m, pairs = of["true"], of["found"], tp[:, 0]
    cost = 5 * of["merges"] + 10 * of["missed"] + of["spurious"]
    out = {
        "AP": _share(pairs, n + m - pairs, 1.0),
        "AP50:95": _share(tp, (n + m)[:, None] - tp, 1.0).mean(axis=1),
        "F1": _share(2 * pairs, n + m, 1.0),
        "precision": _share(pairs, m, 1.0),
        "recall": _share(pairs, n, 1.0),
        "PQ": _share(2 * of["iou"], n + m, 1.0),
        "mean IoU": _share(of["iou"], pairs),
        "SEG": _share(of["seg"], n),
        "DET": 1 - _share(np.minimum(cost, 10 * n), 10 * n),
        "split rate": _share(of["split"], n),
        "merge rate": _share(of["merged"], n),
        "boundary mean um": _share(of["boundary_mean_um"], pairs),
        "boundary p95 um": _share(of["boundary_p95_um"], pairs),
    }
    return {name: out[name] for name in SCORES}


def _share(part: Floats, whole: Floats, of_nothing: float = float("nan")) -> Floats:
    out: Floats = np.full(np.shape(part), of_nothing)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _ends(values: Floats, level: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
