"""Cells followed through time: detections, and for each the row of its parent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracking3d.detections import Detections
from volumes.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = NDArray[np.int64]
"""Row numbers of a table of detections."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """A forest over detections: time grows along every edge, a cell has at most one parent and two children.

    A track runs from a root or a daughter to its end or its division; frames in which the cell was missed do not
    end it. All arrays are read-only.

    Parameters
    ----------
    detections : the table that the rows refer to.
    parent : (n,) row of the parent detection, −1 at a root.
    confidence : (n,) how far the link to the parent can be trusted, the larger the better; NaN where there is none.
    merged_into : (n,) row of the detection that a cell was part of on the way from its parent to here, −1 for none:
        a frame that the link jumps over, in which two cells were detected as one; the other passes through that row.
    chosen : (n,) False at the detections that are no cells because a competing one was chosen (see
        :mod:`tracking3d.claims`); None where none compete.

    Raises
    ------
    TableError : a parent that is not a row of the table, or not earlier than its child (so no cycle can be), a cell
        with more than two children, or columns of other lengths.
    """

    detections: Detections
    parent: Rows
    confidence: NDArray[np.float64] | None = None
    merged_into: Rows | None = None
    chosen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        parent = _whole(self.parent)
        _check_parents(parent, self.detections.t)
        parent.flags.writeable = False
        object.__setattr__(self, "parent", parent)
        if self.confidence is not None:
            confidence = np.array(self.confidence, dtype=np.float64)
            if confidence.shape != parent.shape:
                raise TableError(f"needs {len(parent)} values", field="confidence", value=confidence.shape)
            confidence.flags.writeable = False
            object.__setattr__(self, "confidence", confidence)
        if self.merged_into is not None:
            into = _whole(self.merged_into)
            _check_merged(into, parent, self.detections.t)
            into.flags.writeable = False
            object.__setattr__(self, "merged_into", into)
        if self.chosen is not None:
            chosen = np.array(self.chosen, dtype=bool)
            _check_chosen(chosen, parent)
            chosen.flags.writeable = False
            object.__setattr__(self, "chosen", chosen)

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def edges(self) -> Rows:
        """(e, 2) rows of parent and child, ordered by the child."""
        child = np.flatnonzero(self.parent >= 0)
        return np.column_stack([self.parent[child], child])

    @cached_property
    def children(self) -> Rows:
        """(n, 2) rows of the children, the smaller row first, −1 where there is none."""
        out = np.full((len(self), 2), -1, dtype=np.int64)
        by_parent = self.edges[np.argsort(self.edges[:, 0], kind="stable")]
        second = np.r_[False, by_parent[1:, 0] == by_parent[:-1, 0]][: len(by_parent)]
        out[by_parent[:, 0], second.astype(np.int64)] = by_parent[:, 1]
        return out

    @cached_property
    def divisions(self) -> Rows:
        """Rows of the mothers: detections with two children."""
        return np.flatnonzero(self.children[:, 1] >= 0)

    @cached_property
    def track_id(self) -> Rows:
        """(n,) the track of each detection, from 1, numbered by their first frame, then by row; 0 where not chosen."""
        alone = np.zeros(len(self), dtype=bool)
        alone[self.divisions] = True
        head = self.parent < 0
        head[~head] = alone[self.parent[~head]]
        number = _numbered(head, self.parent, self.detections.t)
        if self.chosen is None:
            return number
        return np.asarray(np.unique(np.where(self.chosen, number, 0), return_inverse=True)[1] + self.chosen.all())

    @cached_property
    def lineage_id(self) -> Rows:
        """(n,) the tree of each detection, named by the track of its root."""
        return self.track_id[_first_of(self.parent < 0, self.parent)]

    def as_frame(self) -> pd.DataFrame:
        """The detections' table with ``track_id``, ``parent`` and, where known, ``merged_into`` and ``chosen``.

        ``parent`` and ``merged_into`` are row numbers, −1 for none; ``chosen`` is 0 or 1.
        """
        return self.added_to(self.detections.as_frame())

    def added_to(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of the same rows with the columns that tracks add to it, as :meth:`as_frame`."""
        added = {"track_id": self.track_id, "parent": self.parent}
        if self.merged_into is not None:
            added["merged_into"] = self.merged_into
        if self.chosen is not None:
            added["chosen"] = self.chosen.astype(np.int64)
        return table.assign(**added)

    def cells(self) -> Tracks:
        """The same tracks without the rows that were not chosen."""
        if self.chosen is None:
            return self
        rows = np.flatnonzero(self.chosen)
        place = np.full(len(self) + 1, -1)
        place[rows] = np.arange(len(rows))
        confidence = None if self.confidence is None else self.confidence[rows]
        into = None if self.merged_into is None else place[self.merged_into[rows]]
        return Tracks(self.detections.take(rows), place[self.parent[rows]], confidence, into)

    def write(self, path: str | Path) -> None:
        """Write the tracks at once, in the format of the suffix.

        ``.csv`` or ``.csv.gz``; ``.geff`` (a folder); ``.xml`` (TrackMate); ``.napari.csv``, with the graph beside it.
        A Cell Tracking Challenge folder needs the labels as well: :func:`tracking3d.formats.ctc.write_ctc`.

        Raises
        ------
        OutputError : a suffix that is not known, or a place that cannot be written.
        TableError : tracks that the format cannot hold.
        """
        from tracking3d.formats.dispatch import write_tracks

        write_tracks(self, path)


def runs(tracks: Tracks) -> Rows:
    """(n,) stretches of a track without a missed frame, from 1, numbered by their first frame, then by row."""
    t, parent = tracks.detections.t, tracks.parent
    head = parent < 0
    child = np.flatnonzero(~head)
    head[child] = (t[child] - t[parent[child]] > 1) | (tracks.children[parent[child], 1] >= 0)
    return _numbered(head, parent, t)


def _first_of(head: NDArray[np.bool_], parent: Rows) -> Rows:
    """Row of the nearest head at or above each row, by doubling the stride: log₂(depth) steps."""
    first = np.where(head, np.arange(len(parent)), parent)
    while len(first):
        further = first[first]
        if np.array_equal(further, first):
            break
        first = further
    return first


def _numbered(head: NDArray[np.bool_], parent: Rows, t: Rows) -> Rows:
    heads = np.flatnonzero(head)
    number = np.zeros(len(parent), dtype=np.int64)
    number[heads[np.argsort(t[heads], kind="stable")]] = np.arange(1, len(heads) + 1)
    return number[_first_of(head, parent)]


def _whole(values: ArrayLike) -> Rows:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise TableError("holds what is not a whole number", field="parent", remedy="Give row numbers, −1 at a root")
    return array.astype(np.int64)


def _check_chosen(chosen: NDArray[np.bool_], parent: Rows) -> None:
    if chosen.shape != parent.shape:
        raise TableError(f"needs {len(parent)} values", field="chosen", value=chosen.shape)
    child = np.flatnonzero(parent >= 0)
    wrong = child[~(chosen[child] & chosen[parent[child]])]
    if len(wrong):
        problem = f"row {wrong[0]} and its parent, row {parent[wrong[0]]}, are linked, but not both chosen"
        raise TableError(problem, field="chosen", remedy="Link what was chosen alone")


def _check_parents(parent: Rows, t: Rows) -> None:
    if parent.shape != t.shape:
        raise TableError(f"needs {len(t)} values, one a detection", field="parent", value=parent.shape)
    outside = (parent < -1) | (parent >= len(t))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise TableError(
            f"row {row} names a parent outside the table of {len(t)} rows",
            field="parent",
            value=int(parent[row]),
            remedy="Give the 0-based row number of the parent, −1 at a root",
        )
    child = np.flatnonzero(parent >= 0)
    early = child[t[child] <= t[parent[child]]]
    if len(early):
        raise TableError(
            f"row {early[0]} (frame {t[early[0]]}) is not later than its parent, row {parent[early[0]]} "
            f"(frame {t[parent[early[0]]]})",
            field="parent",
            remedy="Time must grow along every link: a child before its parent, or a cycle, cannot be",
        )
    litter = np.bincount(parent[child], minlength=len(t))
    if (litter > 2).any():
        row = int(np.argmax(litter))
        raise TableError(f"row {row} has {litter[row]} children", field="parent", remedy="A cell divides into two")


def _check_merged(into: Rows, parent: Rows, t: Rows) -> None:
    if into.shape != parent.shape:
        raise TableError(f"needs {len(parent)} values, one a detection", field="merged_into", value=into.shape)
    row = np.flatnonzero(into != -1)
    inside = (into[row] >= 0) & (into[row] < len(t)) & (parent[row] >= 0)
    wrong = ~inside
    passing, cell, before = into[row[inside]], row[inside], parent[row[inside]]
    wrong[inside] = (t[passing] <= t[before]) | (t[passing] >= t[cell])
    if wrong.any():
        first = int(row[wrong][0])
        raise TableError(
            f"row {first} was merged into what is no detection of a frame between its parent and itself",
            field="merged_into",
            value=int(into[first]),
            remedy="Give the row of a detection in a frame that the link jumps over, −1 where nothing was merged",
        )
