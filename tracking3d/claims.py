"""Competing hypotheses: detections that claim the same of the image, of which at most one is a cell.

The feature ``claims`` of a table says what each detection claims: whole numbers, separated by spaces, of its own frame.
They may stand for pieces of a segmentation, of which a larger hypothesis claims several, or for anything else: two
detections of one frame that share a number exclude each other. So nested, overlapping and merely grouped hypotheses are
written alike, and a detection that claims nothing competes with none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import label_volume, label_voxels
from tracking3d.tracks import Tracks
from volumes.errors import TableError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

CLAIMS = "claims"
"""Name of the feature."""
CONFIDENCE = "confidence"
"""Name of the feature that says how probable it is, from 0 to 1, that a hypothesis is a cell."""
SUREST = 0.99
"""Confidences are kept from 1 − this to this, so that no hypothesis is ruled out."""


class Claimed(NamedTuple):
    """What rows claim, one entry a claim, ordered by the row: the row and the number."""

    row: NDArray[np.int64]
    number: NDArray[np.int64]


def claimed(detections: Detections) -> Claimed:
    """The claims of a table; none where it has no such feature.

    Raises
    ------
    TableError : a claim that is no whole number, with its row.
    """
    column = detections.features.get(CLAIMS)
    if column is None:
        return Claimed(np.zeros(0, np.int64), np.zeros(0, np.int64))
    numbers = [_numbers(value, row) for row, value in enumerate(column.tolist())]
    size = np.array([len(own) for own in numbers], np.int64)
    every = [number for own in numbers for number in own]
    return Claimed(np.repeat(np.arange(len(numbers)), size), np.array(every, np.int64))


def _numbers(value: object, row: int) -> list[int]:
    """One row's claims: text of whole numbers, one number, or nothing (empty, NaN)."""
    if value != value:
        return []
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return [int(value)]
    words = value.split() if isinstance(value, str) else ["?"]
    if all(re.fullmatch(r"[+-]?\d{1,18}", word) for word in words):
        return sorted({int(word) for word in words})
    remedy = "Give whole numbers separated by spaces, or nothing"
    raise TableError(f"row {row} claims what is no whole number", field=CLAIMS, value=value, remedy=remedy)


def rivals(detections: Detections) -> NDArray[np.int64]:
    """(m, 2) rows that exclude each other, each pair once, the smaller row first."""
    row, number = claimed(detections)
    order = np.lexsort((row, number, detections.t[row]))
    row, same = row[order], np.stack([detections.t[row], number])[:, order]
    pairs = [np.zeros((0, 2), np.int64)]
    step = 1
    # Claims of one number stand together; those k places apart are compared while there are any.
    while True:
        together = np.flatnonzero((same[:, step:] == same[:, :-step]).all(axis=0)) if step < len(row) else row[:0]
        if not len(together):
            return np.unique(np.concatenate(pairs), axis=0)
        pairs.append(np.column_stack([row[together], row[together + step]]))
        step += 1


def painted(tracks: Tracks, pieces: Volume | TimeLapse) -> tuple[Tracks, TimeLapse]:
    """The chosen cells of tracks over competing detections, and their labels.

    Parameters
    ----------
    tracks : over detections that claim pieces.
    pieces : the labels of these, one frame a frame of the tracks; a volume is frame 0.

    Returns
    -------
    The tracks without what was not chosen, with the feature ``label``; and the movie in which each chosen cell has that
    number: the pieces that it claims.

    Raises
    ------
    TableError : a detection past the movie's end, or two chosen ones that claim one piece.
    """
    cells, movie = tracks.cells(), TimeLapse.of([pieces]) if isinstance(pieces, Volume) else pieces
    if (cells.detections.t >= len(movie)).any():
        value = int(cells.detections.t.max())
        raise TableError(f"lies past the {len(movie)} frames of the pieces", field="t", value=value)
    if len(rivals(cells.detections)):
        remedy = "Link with kind constraint, which chooses"
        raise TableError("two detections that were chosen claim one piece", field=CLAIMS, remedy=remedy)
    own, label = claimed(cells.detections), np.zeros(len(cells), np.int64)
    frames = []
    for frame, volume in enumerate(movie):
        rows = cells.detections.rows_at(frame)
        label[rows] = 1 + np.arange(len(rows))
        here = np.isin(own.row, rows)
        voxels = label_voxels(volume, f"pieces of frame {frame}")
        of = np.zeros(max(int(voxels.max(initial=0)), int(own.number[here].max(initial=0))) + 1, np.int64)
        of[own.number[here]] = label[own.row[here]]
        frames.append(label_volume(of[voxels], volume))
    table = replace(cells.detections, features={**cells.detections.features, "label": label})
    return replace(cells, detections=table), TimeLapse.of(frames)


def confidences(detections: Detections) -> NDArray[np.float64]:
    """(n,) how probable it is that each is a cell, between 0 and 1; ½ where the table does not say.

    Raises
    ------
    TableError : a confidence that is no number from 0 to 1.
    """
    column = detections.features.get(CONFIDENCE)
    if column is None:
        return np.full(len(detections), 0.5)
    known = np.asarray(column, np.float64) if column.dtype.kind in "biuf" else np.full(len(detections), -1.0)
    wrong = ~((known >= 0) & (known <= 1) | np.isnan(known))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        remedy = "Where detections compete, it is a probability; rename another column of that name"
        raise TableError(f"row {row} is not from 0 to 1", field=CONFIDENCE, value=column[row], remedy=remedy)
    return np.where(np.isnan(known), 0.5, known.clip(1 - SUREST, SUREST))
