"""Rule 6: over three frames, a path turns by less than 30°."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import Points


def turns(before: Points, after: Points, most_deg: float | None, localisation_um: float) -> NDArray[np.bool_]:
    """Which pairs of steps (m, 3), µm, turn by the limit or more; none where a step is unknown (NaN) or too short.

    A step no longer than the localisation error has no direction that could be told.
    """
    if most_deg is None:
        return np.zeros(len(before), dtype=bool)
    first, second = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    told = (first > localisation_um) & (second > localisation_um)
    along = (before * after).sum(axis=1)
    return np.asarray(told & (along <= np.cos(np.radians(most_deg)) * first * second))
