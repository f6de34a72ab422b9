"""Divisions as one choice each: a mother and two daughters, judged by their midpoint, distance and volumes."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.candidates import Candidates
from tracking3d.link.likelihood import Rates, Volumes, appearing, seen, vanishing
from tracking3d.link.motion import Motion, log_student, student_scale
from tracking3d.link.packing import HOPELESS, Bundles, bundled
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


ASSUMED = Habits()
"""What is assumed of divisions before any is seen."""


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


class _Cells(NamedTuple):
    """What speaks for and against each cell as a mother and as a daughter.

    Parameters
    ----------
    seen : (2,) log probability of a daughter's being found one, or two, frames after its mother.
    stranger : (n,) log density of a track's beginning at each cell.
    dividing : (n,) log odds of a division over the mother's track ending.
    log_volume : (n,) NaN where unknown.
    log_stranger : (n,) log density of the volume among strangers, 0 where unknown.
    log_spacing : (n,) log of the local spacing in µm.
    price : (2 n,) what each cell is worth elsewhere at least, as a parent and as a child.
    """

    seen: NDArray[np.float64]
    stranger: NDArray[np.float64]
    dividing: NDArray[np.float64]
    log_volume: NDArray[np.float64]
    log_stranger: NDArray[np.float64]
    log_spacing: NDArray[np.float64]
    price: NDArray[np.float64]


class _Brood(NamedTuple):
    """The candidates of one mother as daughters; arrays with room for the largest brood.

    Parameters
    ----------
    cell : (b,) the daughter.
    gain : (b,) log odds of the daughter alone, over a stranger.
    price : (b,) its price as a child.
    top : (b,) what it may add to a division over its price at most, besides its place.
    offset : (b, 3) place less the mother's expected one, µm.
    growth : (b,) volume over the mother's, NaN where unknown.
    """

    cell: NDArray[np.int64]
    gain: NDArray[np.float64]
    price: NDArray[np.float64]
    top: NDArray[np.float64]
    offset: Points
    growth: NDArray[np.float64]


def triplets(
    scene: Scene,
    found: Candidates,
    motion: Motion,
    volume: Volumes,
    rates: Rates,
    habits: Habits,
    price: NDArray[np.float64] | None = None,
) -> Triplets:
    """The likeliest divisions of each cell among its candidates.

    With prices (2 n,) of the cells as parents and as children, none of those that fall far short of them.

    The gain of mother m and daughters at distance L from each other is

    log p_divide + log t(midpoint − expected; σ) + log N(log L/s; apart) − log L − log 4πL² + log 2 − log p_vanish
    + Σ_daughters [(gap − 1) log p_miss + log(1 − p_miss) − log ρ − log p_appear]
    + log N(log (V₁ + V₂)/V₀; whole) + log N(log V₁/V₂; 0) − Σ log p(log V), where the volumes are known.
    """
    cells = _Cells(
        seen(np.arange(1, LATEST + 1), rates),
        scene.log_density + appearing(scene, rates),
        log(rates.divide) - vanishing(scene, rates),
        volume.log_volume,
        volume.log_stranger,
        np.log(scene.spacing),
        np.zeros(2 * len(scene)) if price is None else price,
    )
    scaled = habits._replace(midpoint=habits.midpoint * float(motion.scale[0]))
    return Triplets(*_likeliest(found.start, found.later, found.gap, scene.zyx, motion, cells, scaled))


def learnt_habits(scene: Scene, cells: NDArray[np.int64], motion: Motion, assumed: Habits = ASSUMED) -> Habits:
    """Habits of the divisions (k, 3) already made, leaning on the assumed ones."""
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
    start: NDArray[np.int64],
    later: NDArray[np.int64],
    gap: NDArray[np.int64],
    zyx: Points,
    motion: Motion,
    cells: _Cells,
    habits: Habits,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best pairs of each mother's candidates: cells (k, 3) and gains (k,), at most three a mother."""
    n = len(zyx)
    room = 1 if n == 0 else int(np.diff(start).max())
    brood = _Brood(
        np.empty(room, np.int64),
        np.empty(room),
        np.empty(room),
        np.empty(room),
        np.empty((room, 3)),
        np.empty(room),
    )
    found, gain = np.empty((KEPT * n, 3), np.int64), np.empty(KEPT * n)
    count = 0
    for mother in range(n):
        top = cells.dividing[mother] - cells.price[mother] + _at_most(mother, cells, habits)
        size = _gathered(mother, top, start, later, gap, zyx, motion, cells, brood)
        first = count
        for i in range(size):
            for j in range(i + 1, size):
                if brood.top[i] + brood.top[j] + top <= -HOPELESS:
                    continue
                alone, asked = brood.gain[i] + brood.gain[j], brood.price[i] + brood.price[j]
                value = cells.dividing[mother] + alone + _divided(i, j, cells, brood, habits)
                value += _placed(brood.offset[i], brood.offset[j], cells.log_spacing[mother], habits)
                if value <= 0.0 or value - asked - cells.price[mother] <= -HOPELESS:
                    continue
                rank = count
                while rank > first and value > gain[rank - 1]:
                    rank -= 1
                if rank == first + KEPT:
                    continue
                count = min(count + 1, first + KEPT)
                for k in range(count - 1, rank, -1):
                    found[k], gain[k] = found[k - 1], gain[k - 1]
                found[rank, 0], found[rank, 1], found[rank, 2] = mother, brood.cell[i], brood.cell[j]
                gain[rank] = value
    return found[:count].copy(), gain[:count].copy()


@kernel
def _gathered(
    mother: int,
    top: float,
    start: NDArray[np.int64],
    later: NDArray[np.int64],
    gap: NDArray[np.int64],
    zyx: Points,
    motion: Motion,
    cells: _Cells,
    brood: _Brood,
) -> int:
    """Write a mother's candidates as daughters into ``brood``, but the hopeless ones; returns how many there are.

    ``top`` is what all but the daughters themselves may add to a division at most.
    """
    first, second = -inf, -inf
    for k in range(start[mother], start[mother + 1]):
        if gap[k] <= LATEST:
            own = _tops(later[k], gap[k], len(zyx), cells)
            first, second = max(first, own), max(second, min(first, own))
    if first + second + top <= -HOPELESS:
        return 0
    size = 0
    for k in range(start[mother], start[mother + 1]):
        step, cell = gap[k], later[k]
        if step > LATEST:
            break
        brood.top[size] = _tops(cell, step, len(zyx), cells)
        if brood.top[size] + first + top <= -HOPELESS:
            continue
        brood.cell[size] = cell
        brood.gain[size] = cells.seen[step - 1] - cells.stranger[cell]
        brood.price[size] = cells.price[len(zyx) + cell]
        brood.growth[size] = exp(cells.log_volume[cell] - cells.log_volume[mother])
        for axis in range(3):
            expected = step * (motion.ahead[mother, axis] + motion.behind[cell, axis]) / 2
            brood.offset[size, axis] = zyx[cell, axis] - zyx[mother, axis] - expected
        size += 1
    return size


@inlined
def _tops(daughter: int, step: int, n: int, cells: _Cells) -> float:
    """What a daughter may add to a division over its price at most, besides its place."""
    alone = cells.seen[step - 1] - cells.stranger[daughter] - cells.price[n + daughter]
    return float(alone - min(0.0, cells.log_stranger[daughter]))


@inlined
def _at_most(mother: int, cells: _Cells, habits: Habits) -> float:
    """Log density that no two daughters' places and volumes exceed.

    The distance's share, N(log L; μ, τ) − 3 log L, is largest at log L = μ − 3 τ².
    """
    distance = 4.5 * habits.apart_spread**2 - 3 * (cells.log_spacing[mother] + habits.apart) - log(habits.apart_spread)
    place = log_student(0.0, habits.midpoint) + distance - 0.5 * log(2 * pi) - log(4 * pi) + log(2.0)
    if np.isnan(cells.log_volume[mother]):
        return float(place)
    return float(place + max(0.0, -log(habits.whole_spread * habits.uneven_spread * 2 * pi)))


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
def _divided(i: int, j: int, cells: _Cells, brood: _Brood, habits: Habits) -> float:
    """Log odds of two daughters' volumes over strangers'; 0 where one of the three is unknown."""
    first, second = brood.growth[i], brood.growth[j]
    if not (np.isfinite(first) and np.isfinite(second)):
        return 0.0
    kept = _normal(log(first + second) - habits.whole, habits.whole_spread)
    kept += _normal(log(first / second), habits.uneven_spread)
    return float(kept - cells.log_stranger[brood.cell[i]] - cells.log_stranger[brood.cell[j]])


@inlined
def _normal(x: float, deviation: float) -> float:
    return -0.5 * (x / deviation) ** 2 - log(deviation) - 0.5 * log(2 * pi)
