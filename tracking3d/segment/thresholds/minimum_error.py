"""The minimum-error threshold: background and cells as two normal distributions, parted where fewest are misjudged."""

from __future__ import annotations

import numpy as np

from tracking3d.segment.thresholds.histogram import BINS, Histogram

OWN_VARIANCE = 1 / 12
"""Of values spread evenly over one bin, in bins²: no class is narrower, so a class of one bin has a logarithm."""


def minimum_error_level(histogram: Histogram) -> float:
    """argmin over the level of J = 1 + 2 Σ Pₖ ln σₖ − 2 Σ Pₖ ln Pₖ, k the two classes.

    Kittler and Illingworth 1986, "Minimum error thresholding". The minimum is taken over all levels, since the paper's
    iteration stops in whichever local one lies next to its start.
    """
    return histogram.edge(int(np.argmin(misjudged(histogram))) + 1)


def misjudged(histogram: Histogram) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(255,) the criterion J for a level after each bin but the last."""
    grey = np.arange(BINS, dtype=np.float64)
    sums = [np.cumsum(histogram.share * grey**i) for i in (0, 1, 2)]
    criterion = np.ones(BINS - 1)
    for share, first, second in (
        tuple(s[:-1] for s in sums),
        tuple(s[-1] - s[:-1] for s in sums),
    ):
        variance = np.maximum(second / share - (first / share) ** 2, 0) + OWN_VARIANCE
        criterion += share * np.log(variance) - 2 * share * np.log(share)
    return criterion
