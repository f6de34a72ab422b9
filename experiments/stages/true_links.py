"""True lineages for scoring links: from a lineage that was degraded, or from labels that keep a cell's number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.config import Cells
from phantom.dropouts import Observed, observed
from phantom.lineage import Lineage, read_lineage
from tracking3d import Detections, Tracks, detect
from tracking3d.match import match
from tracking3d.metrics import LinkTruth
from volumes.errors import ConfigError
from volumes.io.units import length_um
from volumes.timelapse import TimeLapse


def lineage_and_view(cells: Cells) -> tuple[Lineage, Observed]:
    """The true lineage in a table, in µm, and what an imperfect detector sees of it; the same for the same config.

    Raises
    ------
    ConfigError : the config does not say how the lineage is observed.
    """
    o = cells.observed
    if o is None:
        raise ConfigError("says nothing of how the lineage is observed", field="cells.observed")
    um = length_um(None, cells.unit, cells.file, "unit")
    stated = read_lineage(cells.file)
    radius = None if stated.radius is None else stated.radius * um
    lineage = Lineage(stated.t, stated.zyx * um, stated.parent, radius)
    where = (lineage.t, lineage.zyx, lineage.parent, lineage.radius)
    return lineage, observed(*where, drop=o.drop, false=o.spurious, jitter_um=o.jitter_um, seed=o.seed)


def truth_of_lineage(cells: Cells) -> LinkTruth:
    """The truth that the detections of :func:`lineage_and_view` are scored against."""
    lineage, view = lineage_and_view(cells)
    return LinkTruth(Tracks(Detections.of(lineage.t, lineage.zyx), lineage.parent), view.node)


def truth_of_labels(truth: TimeLapse, found: TimeLapse, cells: Detections) -> LinkTruth:
    """The truth in labels whose numbers stay with a cell: a found cell is the true one that it overlaps best.

    Two numbers that first appear in the frame after the nearest third one ends are taken for its daughters.

    Parameters
    ----------
    truth : true labels.
    found : the labels that the detections were measured in.
    cells : the detections, with the feature ``label``.
    """
    true_cells = detect(truth)
    numbers = np.asarray(true_cells.features["label"], dtype=np.int64)
    parent = _parents(true_cells, numbers)
    row_of = {(int(t), int(n)): row for row, (t, n) in enumerate(zip(true_cells.t, numbers, strict=True))}
    node = np.full(len(cells), -1, dtype=np.int64)
    labels = np.asarray(cells.features["label"], dtype=np.int64)
    for frame, (one, other) in enumerate(zip(truth, found, strict=True)):
        pairs = match(one, other, iou=0.1)
        true_of = dict(zip(pairs.found_ids.tolist(), pairs.truth_ids.tolist(), strict=True))
        for row in cells.rows_at(frame):
            number = true_of.get(int(labels[row]))
            node[row] = -1 if number is None else row_of[frame, number]
    return LinkTruth(Tracks(true_cells, parent), node)


def _parents(cells: Detections, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the row of the same number's last appearance; at a number's first, that of the mother, −1 without one."""
    parent = np.full(len(cells), -1, dtype=np.int64)
    last: dict[int, int] = {}
    firsts: list[int] = []
    ends: dict[int, list[int]] = {}
    for row in np.argsort(cells.t, kind="stable"):
        number = int(numbers[row])
        if number in last:
            parent[row] = last[number]
        else:
            firsts.append(int(row))
        last[number] = int(row)
    for row in last.values():
        ends.setdefault(int(cells.t[row]), []).append(row)
    daughters: dict[int, list[int]] = {}
    for row in firsts:
        candidates = ends.get(int(cells.t[row]) - 1, [])
        if candidates:
            away = np.linalg.norm(cells.zyx_um[candidates] - cells.zyx_um[row], axis=1)
            daughters.setdefault(candidates[int(np.argmin(away))], []).append(row)
    for mother, pair in daughters.items():
        if len(pair) == 2:
            parent[pair] = mother
    return parent
