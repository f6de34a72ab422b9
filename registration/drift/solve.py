"""Where every frame lies, from more shifts between pairs of frames than are needed: robust least squares.

Wang et al. 2014, "Localization events-based sample drift correction for localization microscopy with redundant
cross-correlation algorithm" (Optics Express 22:15982): the positions p minimise Σ w ‖p_b − p_a − s_ab‖² over all pairs
(a, b), p being 0 at the reference. Here w falls with the likeness of a pair, and with how far it disagrees with the
others (Geman & McClure 1987), so that a pair that is wrong drops out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import splu

from volumes.shapes import Points

ROUNDS = 30
"""Of weighing and solving, half of them by least absolute residuals so that outliers do not set the scale."""
SOFTENING = 3.0
"""Residuals of so many typical ones weigh a quarter of what they would."""
SETTLED = 1e-9
"""µm; a round that moves no frame further ends the solving."""
BEST_LIKENESS = 0.99
"""Likenesses above weigh no more: no pair is perfect."""
OUTLIER = 4.0
"""A pair that disagrees by so many typical residuals counts as wrong."""
FAR = 20.0
"""And by so many times what is as good as none."""
DEVIATION = 1.4826
"""Of a normal distribution, in median absolute deviations."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Shifts measured between frames.

    Parameters
    ----------
    first, second : frame numbers (e,).
    shift_um : (e, 3), what lies at x in the first lies at x + shift in the second.
    likeness : (e,), 0–1.
    error_um : (e,) standard deviation of each.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift_um: Points
    likeness: NDArray[np.float64]
    error_um: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solved:
    """Positions of the frames.

    Parameters
    ----------
    position_um : (n, 3), 0 at the reference; NaN for frames that no chain of pairs leads to.
    error_um : (n,) standard deviation of the most certain chain of pairs from the reference: frames share what moves
        their pairs, so that many chains that agree are hardly more certain than one. NaN where no chain leads.
    wrong : share of the pairs that disagree with the rest.
    """

    position_um: Points
    error_um: NDArray[np.float64]
    wrong: float


def solve(frames: int, pairs: Pairs, reference: int, floor_um: float) -> Solved:
    """The positions that agree best with the pairs.

    Parameters
    ----------
    frames : how many.
    pairs : measured between them.
    reference : the frame whose position is 0.
    floor_um : disagreements below it are as good as none.
    """
    position, error = np.full((frames, 3), np.nan), np.full(frames, np.nan)
    position[reference], error[reference] = 0, 0
    reached = _reached(frames, pairs, reference)
    used = reached[pairs.first]
    unknown = np.flatnonzero(reached & (np.arange(frames) != reference))
    if not len(unknown):
        return Solved(position, error, 0.0)
    design = _design(frames, pairs, used)[:, unknown]
    shift, prior = pairs.shift_um[used], _precision(pairs.likeness[used])
    found = _robust(design, shift, prior, floor_um)
    position[unknown] = found
    residual = np.linalg.norm(shift - design @ found, axis=1)
    limit = max(OUTLIER * _typical(residual, floor_um), FAR * floor_um)
    error[unknown] = _chained(frames, pairs, used, residual, reference)[unknown]
    return Solved(position, error, float((residual > limit).mean()))


def _reached(frames: int, pairs: Pairs, reference: int) -> NDArray[np.bool_]:
    links = sparse.coo_array((np.ones(len(pairs.first)), (pairs.first, pairs.second)), (frames, frames))
    _, part = connected_components(links.tocsr(), directed=False)
    return np.asarray(part == part[reference])


def _design(frames: int, pairs: Pairs, used: NDArray[np.bool_]) -> sparse.csc_array:
    """(e, n): −1 at a pair's first frame, 1 at its second."""
    count = int(used.sum())
    rows, ones = np.tile(np.arange(count), 2), np.repeat([-1.0, 1.0], count)
    columns = np.concatenate([pairs.first[used], pairs.second[used]])
    return sparse.csc_array((ones, (rows, columns)), (count, frames))


def _precision(likeness: NDArray[np.float64]) -> NDArray[np.float64]:
    """r² / (1 − r²), the ratio of what two frames share to what they do not."""
    square = np.clip(likeness, 0.01, BEST_LIKENESS) ** 2
    return square / (1 - square)


def _robust(design: sparse.csc_array, shift: Points, prior: NDArray[np.float64], floor_um: float) -> Points:
    """Iteratively reweighted least squares: positions (n, 3)."""
    weight, found = prior, np.full((design.shape[1], 3), np.inf)
    for attempt in range(ROUNDS):
        before, found = found, _weighted(design, weight).solve(design.T @ (weight[:, None] * shift))
        residual = np.linalg.norm(shift - design @ found, axis=1)
        if attempt < ROUNDS // 2:
            weight = prior / np.maximum(residual, floor_um) * floor_um
            continue
        if np.abs(found - before).max() < SETTLED:
            break
        weight = prior / (1 + (residual / (SOFTENING * _typical(residual, floor_um))) ** 2) ** 2
    return np.asarray(found)


def _weighted(design: sparse.csc_array, weight: NDArray[np.float64]) -> sparse.linalg.SuperLU:
    return splu(sparse.csc_matrix(design.T @ (sparse.diags_array(weight) @ design)))


def _typical(residual: NDArray[np.float64], floor_um: float) -> float:
    return max(DEVIATION * float(np.median(residual)), floor_um)


def _chained(
    frames: int, pairs: Pairs, used: NDArray[np.bool_], residual: NDArray[np.float64], reference: int
) -> NDArray[np.float64]:
    """√ of the least sum of variances along a chain to each frame; a pair's own grows by what it disagrees by."""
    variance = pairs.error_um[used] ** 2 + residual**2
    ends = (pairs.first[used], pairs.second[used])
    links = sparse.csr_matrix((np.maximum(variance, np.finfo(float).tiny), ends), (frames, frames))
    return np.sqrt(dijkstra(links, directed=False, indices=[reference])).reshape(frames)
