"""Rule 2: a cell's size changes by no more than 15 % from one frame to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.literal.config import Measure

FEATURES = {"area": "area_um2", "surface": "surface_um2"}
"""The feature that holds a measure, where the table has it."""


def sizes(cells: Detections, measure: Measure) -> NDArray[np.float64]:
    """Sizes (n,) by a measure, µm³ or µm², NaN where not known.

    Areas and surfaces come from the features ``area_um2`` and ``surface_um2``; without these, from the volume as those
    of a ball: π (3V/4π)^⅔ and four times as much. Of balls, 15 % of the area are −21.6 and +23.3 % of the volume.
    """
    volume = np.where(cells.volume_um3 > 0, cells.volume_um3, np.nan)
    if measure == "volume":
        return np.asarray(volume)
    feature = cells.features.get(FEATURES[measure])
    if feature is not None:
        values = feature.astype(np.float64)
        return np.where(values > 0, values, np.nan)
    return np.asarray((1 if measure == "area" else 4) * np.pi * (3 * volume / (4 * np.pi)) ** (2 / 3))


def changes_too_much(earlier: NDArray[np.float64], later: NDArray[np.float64], most: float | None) -> NDArray[np.bool_]:
    """Which pairs of sizes (m,) differ by more than a share of the earlier; none where it is not known."""
    if most is None:
        return np.zeros(len(earlier), dtype=bool)
    # A share like 15 % is met exactly by sizes like 100 and 115, whose quotient is rounded.
    return np.asarray(np.abs(later - earlier) > most * earlier * (1 + 1e-12))
