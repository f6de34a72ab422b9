"""The maximum-entropy threshold: both sides of the level tell as much as they can."""

from __future__ import annotations

import numpy as np

from tracking3d.segment.thresholds.histogram import Histogram


def entropy_level(histogram: Histogram) -> float:
    """argmax over the level of H(values below) + H(values above), each the entropy of its own normalised histogram.

    Kapur, Sahoo and Wong 1985, "A new method for gray-level picture thresholding using the entropy of the histogram".
    With P the share below and E = −Σ p ln p summed below, H(below) = ln P + E / P.
    """
    p = histogram.share
    # The first and last bins are never empty, so neither side is.
    information = -p * np.log(np.where(p > 0, p, 1.0))
    below, told = np.cumsum(p)[:-1], np.cumsum(information)[:-1]
    above, rest = 1 - below, information.sum() - told
    total = np.log(below) + told / below + np.log(above) + rest / above
    return histogram.edge(int(np.argmax(total)) + 1)
