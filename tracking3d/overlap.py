"""How two label volumes lie over each other: the voxels that each pair of labels shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracking3d.labels import label_voxels
from volumes.errors import GridError
from volumes.jit import kernel
from volumes.shapes import AnyArray
from volumes.volume import Volume

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Overlap:
    """How two label volumes lie over each other.

    Parameters
    ----------
    truth_ids, found_ids : (n,), (m,) labels, growing.
    truth_sizes, found_sizes : (n,), (m,) voxels of each.
    truth, found : (k,) positions in the two lists of the pairs that share voxels.
    shared : (k,) voxels they share.
    """

    truth_ids: Ints
    truth_sizes: Ints
    found_ids: Ints
    found_sizes: Ints
    truth: Ints
    found: Ints
    shared: Ints

    @cached_property
    def iou(self) -> Floats:
        """(k,) intersection over union of each pair."""
        union = self.truth_sizes[self.truth] + self.found_sizes[self.found] - self.shared
        return self.shared / union

    @cached_property
    def majority(self) -> NDArray[np.bool_]:
        """(k,) whether the found cell covers more than half of the true one; at most one does for each true cell."""
        return 2 * self.shared > self.truth_sizes[self.truth]


def overlap(truth: Volume, found: Volume) -> Overlap:
    """Count the voxels each pair of labels shares, in one pass.

    Raises
    ------
    GridError : the two do not lie on one grid.
    ContentError : labels that are not whole numbers of at least 0.
    """
    if not truth.grid.is_close(found.grid):
        raise GridError("the two label volumes lie on different grids", field="found", value=found.grid.shape)
    return voxel_overlap(label_voxels(truth, "truth"), label_voxels(found, "found"))


def voxel_overlap(truth: AnyArray, found: AnyArray) -> Overlap:
    """:func:`overlap` of two arrays of labels of one shape, whole numbers of at least 0."""
    a, b, lengths = _runs(truth, found)
    truth_ids, rows = np.unique(a, return_inverse=True)
    found_ids, columns = np.unique(b, return_inverse=True)
    keys, pair = np.unique(rows * len(found_ids) + columns, return_inverse=True)
    shared = _sum(pair, lengths, len(keys))
    rows, columns = np.divmod(keys, max(1, len(found_ids)))
    both = (truth_ids[rows] > 0) & (found_ids[columns] > 0)
    return Overlap(
        truth_ids[truth_ids > 0],
        _sum(rows, shared, len(truth_ids))[truth_ids > 0],
        found_ids[found_ids > 0],
        _sum(columns, shared, len(found_ids))[found_ids > 0],
        rows[both] - np.count_nonzero(truth_ids == 0),
        columns[both] - np.count_nonzero(found_ids == 0),
        shared[both],
    )


def _runs(a: AnyArray, b: AnyArray) -> tuple[Ints, Ints, Ints]:
    """Both volumes as runs along x in which neither label changes: labels and lengths."""
    first, second = np.ascontiguousarray(a).ravel(), np.ascontiguousarray(b).ravel()
    starts = _run_starts(first, second)
    lengths = np.diff(np.append(starts, first.size))
    return first[starts].astype(np.int64), second[starts].astype(np.int64), lengths


@kernel
def _run_starts(a: AnyArray, b: AnyArray) -> Ints:
    n = 1
    for i in range(1, a.size):
        n += (a[i] != a[i - 1]) | (b[i] != b[i - 1])
    out = np.zeros(n, np.int64)
    n = 1
    for i in range(1, a.size):
        if (a[i] != a[i - 1]) | (b[i] != b[i - 1]):
            out[n] = i
            n += 1
    return out


def _sum(group: ArrayLike, weights: Ints, n: int) -> Ints:
    """Sums of whole numbers by group, exact: voxel counts stay far under 2⁵³."""
    return np.bincount(np.asarray(group), weights=weights, minlength=n).astype(np.int64)
