"""Found cells against true ones: which label is which, and the scores that follow.

- AP@IoU = TP / (TP + FP + FN), with a one-to-one matching at IoU = |A ∩ B| / |A ∪ B| of at least a limit
  (Schmidt et al. 2018, "Cell detection with star-convex polygons"); F1 = 2 TP / (2 TP + FP + FN).
- SEG = mean over true cells of the Jaccard index with the found cell that covers more than half of it, 0 without one;
  DET = 1 − min(5 NS + 10 FN + FP, 10 n) / 10 n, with NS the splits a found cell over several true ones would need
  (Maška et al. 2014, "A benchmark for comparison of cell tracking algorithms"; Matula et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tracking3d.labels import label_voxels
from tracking3d.overlap import Floats, Ints, Overlap, overlap
from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Points
from volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of labels, one to one: ``truth_ids[i]`` is ``found_ids[i]``, at ``iou[i]``."""

    truth_ids: Ints
    found_ids: Ints
    iou: Floats


@dataclass(frozen=True)
class Scores:
    """Counts of one or more frames; adding two pools them.

    Parameters
    ----------
    matched, n_truth, n_found : pairs, true cells and found cells.
    iou_sum : summed over the pairs.
    seg_sum : summed over true cells: Jaccard with the cell that covers more than half.
    missed, spurious, merged : true cells that none covers by half; found cells that cover none; extra true cells
        inside one found cell.
    """

    matched: int = 0
    n_truth: int = 0
    n_found: int = 0
    iou_sum: float = 0.0
    seg_sum: float = 0.0
    missed: int = 0
    spurious: int = 0
    merged: int = 0

    def __add__(self, other: Scores) -> Scores:
        return Scores(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def ap(self) -> float:
        """TP / (TP + FP + FN); 1 where there is nothing to find and nothing was found."""
        return _ratio(self.matched, self.n_truth + self.n_found - self.matched)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.matched, self.n_truth + self.n_found)

    @property
    def precision(self) -> float:
        """The share of found cells that are true."""
        return _ratio(self.matched, self.n_found)

    @property
    def recall(self) -> float:
        """The share of true cells that were found."""
        return _ratio(self.matched, self.n_truth)

    @property
    def mean_iou(self) -> float:
        """Over the matched pairs; NaN without one."""
        return self.iou_sum / self.matched if self.matched else float("nan")

    @property
    def seg(self) -> float:
        """The Cell Tracking Challenge's SEG; NaN without a true cell."""
        return self.seg_sum / self.n_truth if self.n_truth else float("nan")

    @property
    def det(self) -> float:
        """The Cell Tracking Challenge's DET; NaN without a true cell."""
        if not self.n_truth:
            return float("nan")
        worst = 10.0 * self.n_truth
        return 1 - min(5 * self.merged + 10 * self.missed + self.spurious, worst) / worst


def match(truth: Volume, found: Volume, iou: float = 0.5) -> Matching:
    """The one-to-one matching with the most pairs at ``iou`` or above; among those, of the largest summed IoU.

    Raises
    ------
    ConfigError : ``iou`` outside (0, 1].
    GridError, ContentError : as :func:`overlap`.
    """
    over = overlap(truth, found)
    pairs = assign(over, iou)
    return Matching(over.truth_ids[over.truth[pairs]], over.found_ids[over.found[pairs]], over.iou[pairs])


def score(truth: Volume, found: Volume, iou: float = 0.5) -> Scores:
    """All scores of one frame; those of several frames add up.

    Raises
    ------
    ConfigError, GridError, ContentError : as :func:`match`.
    """
    over = overlap(truth, found)
    pairs = assign(over, iou)
    covered = np.bincount(over.found[over.majority], minlength=len(over.found_ids))
    return Scores(
        matched=len(pairs),
        n_truth=len(over.truth_ids),
        n_found=len(over.found_ids),
        iou_sum=float(over.iou[pairs].sum()),
        seg_sum=float(over.iou[over.majority].sum()),
        missed=len(over.truth_ids) - int(over.majority.sum()),
        spurious=int((covered == 0).sum()),
        merged=int(np.maximum(covered - 1, 0).sum()),
    )


def match_centres(truth: Volume, centres_um: Points) -> Scores:
    """Score detections by where they lie: a true cell is found when a centre lies in it, and once.

    Parameters
    ----------
    truth : labels.
    centres_um : (n, 3) world (z, y, x) µm.

    Returns
    -------
    Counts of matched, missed (true cells without a centre) and spurious (centres outside any cell, and each further
    centre in one cell); a point has no IoU, so the sums are 0.
    """
    labels = label_voxels(truth, "truth")
    ids = np.unique(labels)
    n_truth = int((ids > 0).sum())
    hit = np.unique(_labels_at(truth, labels, centres_um))
    matched = int((hit > 0).sum())
    n_found = len(centres_um)
    return Scores(
        matched=matched, n_truth=n_truth, n_found=n_found, missed=n_truth - matched, spurious=n_found - matched
    )


def _labels_at(truth: Volume, labels: AnyArray, centres_um: Points) -> AnyArray:
    """(n,) label under each point, 0 outside the field."""
    index = np.rint(truth.grid.to_index(centres_um)).astype(np.int64).reshape(-1, 3)
    inside = ((index >= 0) & (index < truth.grid.shape)).all(axis=1)
    z, y, x = np.where(inside[:, None], index, 0).T
    under: AnyArray = np.where(inside, labels[z, y, x], 0)
    return under


def assign(over: Overlap, iou: float) -> Ints:
    """Positions of the pairs that :func:`match` chooses; errors as there."""
    if not 0 < iou <= 1:
        raise ConfigError("must lie in (0, 1]", field="iou", value=iou)
    candidates = np.flatnonzero(over.iou >= iou)
    if not len(candidates):
        return candidates
    return candidates[most_pairs(over.truth[candidates], over.found[candidates], 1 - over.iou[candidates])]


def most_pairs(row: Ints, column: Ints, cost: Floats) -> Ints:
    """Positions of the pairs of a one-to-one matching with the most pairs; among those, of the least summed cost.

    Parameters
    ----------
    row, column : (k,) the two sides of each pair that may be, each pair once.
    cost : (k,) in [0, 1].
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(row):
        return np.zeros(0, dtype=np.int64)
    rows, row = np.unique(row, return_inverse=True)
    columns, column = np.unique(column, return_inverse=True)
    n, m = len(rows), len(columns)
    # A private dummy column for each row makes every sparse problem solvable; it costs more than any number of real
    # pairs can save, so that the number of pairs comes first.
    costs = np.concatenate([1 + cost, np.full(n, 2.0 + n)])
    at = (np.concatenate([row, np.arange(n)]), np.concatenate([column, m + np.arange(n)]))
    chosen_row, chosen_column = min_weight_full_bipartite_matching(csr_array((costs, at), shape=(n, m + n)))
    partner = np.empty(n, dtype=np.int64)
    partner[chosen_row] = chosen_column
    return np.flatnonzero(partner[row] == column)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
