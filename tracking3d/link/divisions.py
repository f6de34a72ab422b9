"""Divisions as one choice each: a mother and two daughters, judged by their midpoint, distance and volumes."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.candidates import Candidates
from tracking3d.link.likelihood import Rates, Volumes, appearing, seen, vanishing
from tracking3d.link.motion import Motion, log_student, student_scale
from tracking3d.link.packing import Bundles, bundled
from tracking3d.link.scene import Scene
from volumes.jit import inlined, kernel
from volumes.shapes import Points

KEPT = 3
"""Divisions kept of each mother, the likeliest."""
LATEST = 2
"""Frames within which both daughters must have been found."""
TRUSTED = 10.0
"""Divisions that the assumed habits weigh as much as."""


class Habits(NamedTuple):
    """How cells divide; the defaults are what is assumed before any division is seen.

    Parameters
    ----------
    midpoint : Student scale of the daughters' midpoint about the mother's expected place, in that of a link.
    apart, apart_spread : mean and deviation of the log of the sisters' distance in the mother's spacings.
    whole, whole_spread : mean and deviation of the log of both daughters' volume over the mother's.
    uneven_spread : deviation of the log ratio of the daughters' volumes, whose mean is 0.
    """

    midpoint: float = 1.5
    apart: float = 0.0
    apart_spread: float = 0.8
    whole: float = 0.0
    whole_spread: float = 0.3
    uneven_spread: float = 0.4


@dataclass(frozen=True)
class Triplets:
    """Divisions that may be.

    Parameters
    ----------
    cells : (k, 3) mother, daughter, daughter.
    gain : (k,) log odds over three strangers, above 0.
    """

    cells: NDArray[np.int64]
    gain: NDArray[np.float64]

    def bundles(self, n: int) -> Bundles:
        """The places among n cells that each claims: the mother's as a parent, the daughters' as children."""
        return bundled(self.cells + np.array([0, n, n]), self.gain)


NONE = Triplets(np.zeros((0, 3), np.int64), np.zeros(0))
"""No divisions at all."""


class _Daughters(NamedTuple):
    """Candidates as daughters, grouped by the mother.

    Parameters
    ----------
    start : (n + 1,) first candidate of each mother.
    gain : (m,) log odds of the daughter alone; −∞ for one that may not be a daughter.
    offset : (m, 3) place less the mother's expected one, µm.
    growth : (m,) log volume less the mother's, NaN where unknown.
    stranger : (m,) log density of the daughter's log volume among strangers.
    """

    start: NDArray[np.int64]
    gain: NDArray[np.float64]
    offset: Points
    growth: NDArray[np.float64]
    stranger: NDArray[np.float64]


def triplets(
    scene: Scene, found: Candidates, motion: Motion, volume: Volumes, rates: Rates, habits: Habits
) -> Triplets:
    """The likeliest divisions of each cell among its candidates.

    The gain of mother m and daughters at distance L from each other is

    log p_divide + log t(midpoint − expected; σ) + log N(log L/s; apart) − log L − log 4πL² + log 2 − log p_vanish
    + Σ_daughters [(gap − 1) log p_miss + log(1 − p_miss) − log ρ − log p_appear]
    + log N(log (V₁ + V₂)/V₀; whole) + log N(log V₁/V₂; 0) − Σ log p(log V), where the volumes are known.
    """
    mother, daughter = found.pairs.T
    gain = seen(found.gap, rates) - scene.log_density[daughter] - appearing(scene, rates)[daughter]
    daughters = _Daughters(
        np.searchsorted(mother, np.arange(len(scene) + 1)),
        np.where(found.gap > LATEST, -np.inf, gain),
        found.offset,
        volume.log_volume[daughter] - volume.log_volume[mother],
        volume.log_stranger[daughter],
    )
    scaled = habits._replace(midpoint=habits.midpoint * float(motion.scale[0]))
    best, pair = _likeliest(daughters, np.log(scene.spacing), scaled)
    best += (log(rates.divide) - vanishing(scene, rates))[:, None]
    row, rank = np.nonzero(best > 0)
    return Triplets(np.column_stack([row, daughter[pair[row, rank]]]), best[row, rank])


def learnt_habits(scene: Scene, cells: NDArray[np.int64], motion: Motion) -> Habits:
    """Habits of the divisions (k, 3) already made, leaning on the assumed ones."""
    assumed = Habits()
    mother, first, second = cells.T
    step = float(motion.scale[0])
    place = [
        scene.zyx[d] - (scene.t[d] - scene.t[mother])[:, None] * motion.between(mother, d) for d in (first, second)
    ]
    midpoint = student_scale((place[0] + place[1]) / 2 - scene.zyx[mother], assumed.midpoint * step)
    apart = np.log(np.linalg.norm(place[0] - place[1], axis=1) / scene.spacing[mother])
    grown = [scene.log_volume[d] - scene.log_volume[mother] for d in (first, second)]
    whole, uneven = np.log(np.exp(grown[0]) + np.exp(grown[1])), grown[0] - grown[1]
    return Habits(
        midpoint / step,
        *_moments(apart, assumed.apart, assumed.apart_spread),
        *_moments(whole, assumed.whole, assumed.whole_spread),
        _moments(np.r_[uneven, -uneven], 0.0, assumed.uneven_spread)[1],
    )


def _moments(x: NDArray[np.float64], mean: float, deviation: float) -> tuple[float, float]:
    """Mean and deviation of what is known of x, leaning on assumed ones."""
    x = x[np.isfinite(x)]
    centre = (x.sum() + TRUSTED * mean) / (len(x) + TRUSTED)
    squares = ((x - centre) ** 2).sum() + TRUSTED * (deviation**2 + (mean - centre) ** 2)
    return float(centre), float(np.sqrt(squares / (len(x) + TRUSTED)))


@kernel
def _likeliest(
    daughters: _Daughters, log_spacing: NDArray[np.float64], habits: Habits
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Gains (n, 3) of each mother's best pairs of candidates, −∞ where there are fewer, and the pairs (n, 3, 2)."""
    n = len(log_spacing)
    gain = np.full((n, KEPT), -np.inf)
    pair = np.zeros((n, KEPT, 2), np.int64)
    for mother in range(n):
        for i in range(daughters.start[mother], daughters.start[mother + 1]):
            for j in range(i + 1, daughters.start[mother + 1]):
                both = daughters.gain[i] + daughters.gain[j]
                if both == -np.inf:
                    continue
                value = both + _placed(daughters.offset[i], daughters.offset[j], log_spacing[mother], habits)
                value += _divided(daughters, i, j, habits)
                rank = KEPT
                while rank > 0 and value > gain[mother, rank - 1]:
                    rank -= 1
                if rank == KEPT:
                    continue
                gain[mother, rank + 1 :] = gain[mother, rank:-1].copy()
                pair[mother, rank + 1 :] = pair[mother, rank:-1].copy()
                gain[mother, rank] = value
                pair[mother, rank, 0] = i
                pair[mother, rank, 1] = j
    return gain, pair


@inlined
def _placed(first: NDArray[np.float64], second: NDArray[np.float64], log_spacing: float, habits: Habits) -> float:
    """Log density of two daughters' offsets: their midpoint's times that of their distance in any direction."""
    middle, apart = 0.0, 0.0
    for axis in range(3):
        middle += (0.5 * (first[axis] + second[axis])) ** 2
        apart += (first[axis] - second[axis]) ** 2
    if apart == 0.0:
        return -np.inf
    log_apart = 0.5 * log(apart)
    distance = _normal(log_apart - log_spacing - habits.apart, habits.apart_spread) - log_apart
    direction = -log(4 * pi) - 2 * log_apart
    return log_student(middle, habits.midpoint) + distance + direction + log(2.0)


@inlined
def _divided(daughters: _Daughters, i: int, j: int, habits: Habits) -> float:
    """Log odds of two daughters' volumes over strangers'; 0 where one of the three is unknown."""
    first, second = daughters.growth[i], daughters.growth[j]
    if not (np.isfinite(first) and np.isfinite(second)):
        return 0.0
    whole = log(exp(first) + exp(second)) - habits.whole
    kept = _normal(whole, habits.whole_spread) + _normal(first - second, habits.uneven_spread)
    return float(kept - daughters.stranger[i] - daughters.stranger[j])


@inlined
def _normal(x: float, deviation: float) -> float:
    return -0.5 * (x / deviation) ** 2 - log(deviation) - 0.5 * log(2 * pi)
