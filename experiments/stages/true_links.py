"""True lineages: from a table that is then degraded, or from labels that keep a cell's number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.entries import Cells
from phantom.dropouts import Observed, observed
from phantom.lineage import Lineage, read_lineage
from tracking3d import Detections
from volumes.errors import ConfigError
from volumes.io.units import length_um


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


def parents_of_numbers(cells: Detections, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the row of the same number's last appearance; at a number's first, that of the mother, −1 without one.

    Two numbers that first appear in the frame after the nearest third one ends are taken for its daughters.
    """
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
