"""Where cells end and background begins: Otsu's threshold, and whether there is anything to threshold at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import AnyArray, Voxels

BINS = 256
GLARE = 0.01
"""Share of the voxels that count as glare: how bright they are beyond the rest must not move the threshold."""
HALVED = 0.3
"""Share above a threshold from which it may have halved the noise."""
CONTRAST = 1.0
"""Least step from background to cells, in standard deviations of the noise; white noise alone reaches 0.3 here."""


def otsu(values: AnyArray) -> float:
    """The level that parts values best in two: argmax over histogram edges of ω₁ω₂(μ₁ − μ₂)².

    Otsu 1979, "A threshold selection method from gray-level histograms", over 256 bins from the smallest to the
    largest value. Of equal values the single one is returned, with nothing above it.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return high
    # Scaled in float64: in float32 the largest value can fall past the last bin.
    place = (values.ravel() - np.float64(low)) * (BINS / (high - low))
    counts = np.bincount(np.minimum(place.astype(np.int64), BINS - 1), minlength=BINS)
    return low + (high - low) * (_best_cut(counts) / BINS)


def cell_level(values: NDArray[np.float32]) -> float:
    """Otsu's threshold with the glare cut off: the brightest 1 % count as the level where they begin.

    Cells of very unequal brightness (a polar body, a mitosis) would otherwise lift the threshold over the dim ones.
    Where the cells themselves fill less than that 1 %, that would leave noise alone, which Otsu's threshold halves;
    then their own median is the cut.
    """
    plain, cut = otsu(values), float(np.quantile(values, 1 - GLARE))
    level = otsu(np.minimum(values, np.float32(cut)))
    above = values > plain
    if cut > plain or not above.any() or np.count_nonzero(values > level) < HALVED * values.size:
        return level
    return otsu(np.minimum(values, np.float32(np.median(values[above]))))


def noise_level(voxels: Voxels, inside: NDArray[np.bool_]) -> float:
    """Standard deviation of the noise, from differences along x of neighbours that both hold data; 0 without any."""
    both = inside[..., 1:] & inside[..., :-1]
    steps = (voxels[..., 1:] - voxels[..., :-1])[both]
    return float(steps.std() / np.sqrt(2)) if steps.size else 0.0


def stands_out(smooth: NDArray[np.float32], level: float, noise: float) -> bool:
    """Whether smoothed voxels above ``level`` differ from those below by more than noise would.

    Otsu's threshold always finds two classes. Between those of smoothed white noise the step is a quarter of the
    noise before smoothing; between cells and background it is more than the whole.
    """
    above = smooth > level
    if not above.any() or above.all():
        return False
    return step_at(smooth, level) > CONTRAST * noise


def step_at(smooth: NDArray[np.float32], level: float) -> float:
    """By how much the mean above a level is brighter than that below; 0 where all lies on one side."""
    above = smooth > level
    if not above.any() or above.all():
        return 0.0
    return float(smooth[above].mean() - smooth[~above].mean())


def _best_cut(counts: NDArray[np.int64]) -> int:
    """The number of bins that lie under the cut; the middle one where empty bins make several equally good."""
    below = np.cumsum(counts)[:-1].astype(np.float64)
    moment = np.cumsum(counts * np.arange(len(counts), dtype=np.float64))
    above = counts.sum() - below
    # The first and last bins are never empty, so neither class is.
    gap = moment[:-1] / below - (moment[-1] - moment[:-1]) / above
    variance = below * above * gap**2
    first = int(np.argmax(variance))
    next_full = int(np.flatnonzero(counts[first + 1 :])[0])
    return first + 1 + next_full // 2
