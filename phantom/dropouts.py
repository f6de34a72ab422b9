"""Detections as a segmenter would give them, from true cells: some missed, some false, none quite in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from volumes.errors import ConfigError, TableError
from volumes.shapes import Points

VOLUME_NOISE = 0.1
"""Standard deviation of the logarithm of a measured volume."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Detections in the order of their frames, shuffled within each.

    Parameters
    ----------
    t : frame, (n,).
    zyx_um : centre, (n, 3) µm.
    volume_um3 : (n,) µm³; NaN where the truth has no radius.
    node : row of the true cell, (n,); −1 for a false positive.
    """

    t: NDArray[np.int64]
    zyx_um: Points
    volume_um3: NDArray[np.float64]
    node: NDArray[np.int64]


def observed(
    t: ArrayLike,
    zyx_um: ArrayLike,
    parent: ArrayLike,
    radius_um: ArrayLike | None,
    *,
    drop: float = 0.05,
    false: float = 0.02,
    jitter_um: float = 0.5,
    seed: int = 0,
) -> Observed:
    """Degrade true cells into detections.

    Each true cell is missed with probability ``drop`` and else found at a place off by N(0, jitter²) along each axis.
    Each true cell, missed or not, also has a false positive beside it with probability ``false``, off by N(0, s²) along
    each axis, s being the median distance to the nearest neighbour in the fullest frame: inside the tissue, where it
    can mislead. A false positive has the volume of a random true cell. Volumes are 4/3 π r³ × exp N(0, 0.1²).
    The four draws are independent: with the same seed, more drop-outs leave the places of the rest what they were.

    Parameters
    ----------
    t, zyx_um, parent, radius_um : the truth: frame (n,), centre (n, 3), row of the parent or −1 (n,), radius (n,).
    drop, false : probabilities, at least 0 and below 1.
    jitter_um : standard deviation along each axis.
    seed : of all four draws.

    Raises
    ------
    ConfigError : a probability or a jitter out of its range.
    TableError : columns of different lengths, or false positives asked of frames of single cells.
    """
    _check_shares(drop, false, jitter_um)
    frames, centres = np.asarray(t, np.int64), np.asarray(zyx_um, np.float64)
    n = len(frames)
    radii = None if radius_um is None else np.asarray(radius_um, np.float64)
    if centres.shape != (n, 3) or np.shape(parent) != (n,) or (radii is not None and radii.shape != (n,)):
        raise TableError("t, zyx_um, parent and radius_um differ in length", field="lineage")
    keeping, placing, lying, measuring, shuffling = np.random.default_rng(seed).spawn(5)
    found = np.flatnonzero(keeping.random(n) >= drop)
    beside = np.flatnonzero(lying.random(n) < false)
    shifted = centres + jitter_um * placing.standard_normal((n, 3))
    lies = centres[beside] + _neighbour_distance(frames, centres, beside) * lying.standard_normal((len(beside), 3))
    node = np.concatenate([found, np.full(len(beside), -1)])
    when = np.concatenate([frames[found], frames[beside]])
    order = np.lexsort([shuffling.random(len(when)), when])
    volume = _volumes(node, radii, measuring)
    return Observed(when[order], np.concatenate([shifted[found], lies])[order], volume[order], node[order])


def _check_shares(drop: float, false: float, jitter_um: float) -> None:
    for name, share in (("drop", drop), ("false", false)):
        if not 0 <= share < 1:
            raise ConfigError("must be at least 0 and below 1", field=name, value=share)
    if not 0 <= jitter_um < np.inf:
        raise ConfigError("must be finite and not below 0", field="jitter_um", value=jitter_um)


def _neighbour_distance(frames: NDArray[np.int64], centres: Points, wanted: NDArray[np.int64]) -> float:
    """Median distance to the nearest neighbour in the fullest frame; 0 where no cell needs it."""
    if len(wanted) == 0:
        return 0.0
    values, counts = np.unique(frames, return_counts=True)
    fullest = centres[frames == values[counts.argmax()]]
    if len(fullest) < 2:
        raise TableError("no frame holds two cells, so there is no neighbour distance", field="t", remedy="Set false=0")
    distances, _ = cKDTree(fullest).query(fullest, k=[2])
    return float(np.median(distances))


def _volumes(
    node: NDArray[np.int64], radii: NDArray[np.float64] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    if radii is None:
        return np.full(len(node), np.nan)
    lent = rng.integers(0, max(1, len(radii)), len(node))
    true = 4 / 3 * np.pi * radii[np.where(node >= 0, node, lent)] ** 3
    return np.asarray(true * np.exp(VOLUME_NOISE * rng.standard_normal(len(node))))
