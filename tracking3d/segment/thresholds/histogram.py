"""The histogram that every automatic threshold reads: 256 bins from the smallest value to the largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import AnyArray

BINS = 256


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values, and where the bins lie.

    Parameters
    ----------
    share : (256,) of the values in each bin; they sum to 1.
    low, high : the smallest and the largest value.
    """

    share: NDArray[np.float64]
    low: float
    high: float

    def edge(self, bins_below: float) -> float:
        """The level that has so many bins below it."""
        return self.low + (self.high - self.low) * bins_below / BINS


def histogram(values: AnyArray) -> Histogram:
    """Of at least two different values."""
    low, high = float(values.min()), float(values.max())
    # Scaled in float64: in float32 the largest value can fall past the last bin.
    place = (values.ravel() - np.float64(low)) * (BINS / (high - low))
    counts = np.bincount(np.minimum(place.astype(np.int64), BINS - 1), minlength=BINS)
    return Histogram(counts / counts.sum(), low, high)
