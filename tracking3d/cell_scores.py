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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.boundary import boundary_errors
from tracking3d.labels import label_voxels
from tracking3d.match import Overlap, assign, overlap
from volumes.errors import ConfigError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

LIMITS = tuple(percent / 100 for percent in range(50, 100, 5))
"""Intersections over union at which AP50:95 is averaged."""
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

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of each cell: a row for each true cell, with its partner where it has one, and each lone found one.

    Parameters
    ----------
    true, found : (k,) whether the row has a true cell, and a found one.
    iou : (k,) of the pair, matched one to one at .5 or more; 0 without one.
    seg : (k,) Jaccard index with the found cell that covers more than half of the true one, else 0.
    missed, spurious, merges : (k,) DET's counts: a true cell that none covers by half; a found one that covers none;
        true cells past the first inside a found one.
    split, merged : (k,) as the module says, of true cells.
    boundary_mean_um, boundary_p95_um : (k,) of the pair; 0 where there is none, or where it was not measured.
    """

    true: Flags
    found: Flags
    iou: Floats
    seg: Floats
    missed: Flags
    spurious: Flags
    merges: Floats
    split: Flags
    merged: Flags
    boundary_mean_um: Floats
    boundary_p95_um: Floats

    def __len__(self) -> int:
        return len(self.true)


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


def outcomes_of_frames(
    truth: Volume | TimeLapse, found: Volume | TimeLapse, min_voxels: int = 0, boundaries: bool = True
) -> list[Outcomes]:
    """The outcomes of each frame; a volume is one frame."""
    frames = [[one] if isinstance(one, Volume) else one for one in (truth, found)]
    if len(frames[0]) != len(frames[1]):
        raise GridError(f"{len(frames[0])} true frames for {len(frames[1])} found ones", field="frames")
    return [outcomes(a, b, min_voxels, boundaries) for a, b in zip(*frames, strict=True)]


def outcomes(truth: Volume, found: Volume, min_voxels: int = 0, boundaries: bool = True) -> Outcomes:
    """What became of each cell of one frame; parameters and errors as of :func:`evaluate`."""
    if min_voxels < 0:
        raise ConfigError("must not be negative", field="min_voxels", value=min_voxels)
    over = without_small(overlap(truth, found), min_voxels)
    pairs = assign(over, LIMITS[0])
    n, m = len(over.truth_ids), len(over.found_ids)
    partner, alone = np.full(n, -1), np.ones(m, bool)
    partner[over.truth[pairs]], alone[over.found[pairs]] = over.found[pairs], False
    lone = np.flatnonzero(alone)
    k = n + len(lone)
    iou, seg, surfaces = np.zeros(k), np.zeros(k), np.zeros((k, 2))
    iou[over.truth[pairs]] = over.iou[pairs]
    seg[over.truth[over.majority]] = over.iou[over.majority]
    if boundaries:
        both = np.column_stack([over.truth_ids[over.truth[pairs]], over.found_ids[over.found[pairs]]])
        voxels = label_voxels(truth, "truth"), label_voxels(found, "found")
        surfaces[over.truth[pairs]] = boundary_errors(*voxels, both, truth.grid.spacing_um)
    rows = np.concatenate([partner, lone])  # the found cell of each row
    covered = np.bincount(over.found[over.majority], minlength=m)
    held, split, merged = _held(over)
    return Outcomes(
        true=np.arange(k) < n,
        found=rows >= 0,
        iou=iou,
        seg=seg,
        missed=_padded(~held, k),
        spurious=_of(covered == 0, rows) > 0,
        merges=_of(np.maximum(covered - 1, 0), rows),
        split=_padded(split, k),
        merged=_padded(merged, k),
        boundary_mean_um=surfaces[:, 0],
        boundary_p95_um=surfaces[:, 1],
    )


def pooled(frames: Iterable[Outcomes]) -> Outcomes:
    """The outcomes of several frames as one table."""
    tables = list(frames)
    if not tables:
        raise ConfigError("needs one or more", field="frames", value=0)
    return Outcomes(*(np.concatenate([getattr(table, f.name) for table in tables]) for f in fields(Outcomes)))


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


def without_small(over: Overlap, min_voxels: int) -> Overlap:
    """The overlap without the objects of fewer voxels, of either side."""
    keep_true, keep_found = over.truth_sizes >= min_voxels, over.found_sizes >= min_voxels
    kept = keep_true[over.truth] & keep_found[over.found]
    return Overlap(
        over.truth_ids[keep_true],
        over.truth_sizes[keep_true],
        over.found_ids[keep_found],
        over.found_sizes[keep_found],
        (np.cumsum(keep_true) - 1)[over.truth[kept]],
        (np.cumsum(keep_found) - 1)[over.found[kept]],
        over.shared[kept],
    )


def _held(over: Overlap) -> tuple[Flags, Flags, Flags]:
    """Of each true cell: whether one found covers it by half, whether it is split, whether it is merged."""
    n, m = len(over.truth_ids), len(over.found_ids)
    inside = 2 * over.shared > over.found_sizes[over.found]
    pieces = np.bincount(over.truth[inside], minlength=n)
    holder = np.full(n, m)
    holder[over.truth[over.majority]] = over.found[over.majority]
    tenants = np.bincount(holder, minlength=m + 1)
    tenants[m] = 0
    return holder < m, pieces >= 2, tenants[holder] >= 2


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


def _padded(flags: Flags, k: int) -> Flags:
    """Flags of the true cells, False for the rows past them."""
    return np.concatenate([flags, np.zeros(k - len(flags), bool)])


def _of(values: NDArray[Any], rows: NDArray[np.int64]) -> Floats:
    """The found cells' values, row by row; 0 where a row has none."""
    return np.append(values.astype(np.float64), 0.0)[rows]
