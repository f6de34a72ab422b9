"""Rule 5: an abnormal volume is that of merged cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.reach import near_pairs
from tracking3d.link.scene import Scene


def merged(cells: Scene, parent: NDArray[np.int64], times: float | None, reach_um: float) -> NDArray[np.int64]:
    """Cells that look merged: their volume is so many times the median of the frame, and beside them a track ends.

    Parameters
    ----------
    cells : the movie.
    parent : (n,) links of a first pairing, in the scene's order.
    times : the bound on the volume; None for no such cell.
    reach_um : how near in the frame before the track must end.
    """
    if times is None:
        return np.zeros(0, np.int64)
    volume = np.exp(cells.log_volume)
    goes_on = np.zeros(len(cells), dtype=bool)
    goes_on[parent[parent >= 0]] = True
    found = [np.zeros(0, np.int64)]
    for place in range(1, len(cells.frames)):
        here, before = cells.cells(place), cells.cells(place - 1)
        known = volume[here][np.isfinite(volume[here])]
        if not len(known) or cells.frames[place] != cells.frames[place - 1] + 1:
            continue
        abnormal = here.start + np.flatnonzero(volume[here] >= times * np.median(known))
        ended = before.start + np.flatnonzero(~goes_on[before])
        near = near_pairs(cells.zyx[abnormal], cells.zyx[ended], reach_um, nearest=1)
        found.append(abnormal[near.one])
    return np.concatenate(found)
