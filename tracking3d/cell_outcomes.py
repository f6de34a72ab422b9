"""What became of each cell of a segmentation beside true labels: a table, from which scores and intervals are sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.boundary import boundary_errors
from tracking3d.labels import label_voxels
from tracking3d.match import assign
from tracking3d.overlap import Floats, Overlap, overlap
from volumes.errors import ConfigError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

LIMITS = tuple(percent / 100 for percent in range(50, 100, 5))
"""Intersections over union at which AP50:95 is averaged."""
Flags = NDArray[np.bool_]


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


def _padded(flags: Flags, k: int) -> Flags:
    """Flags of the true cells, False for the rows past them."""
    return np.concatenate([flags, np.zeros(k - len(flags), bool)])


def _of(values: NDArray[Any], rows: NDArray[np.int64]) -> Floats:
    """The found cells' values, row by row; 0 where a row has none."""
    return np.append(values.astype(np.float64), 0.0)[rows]
