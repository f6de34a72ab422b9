"""What a link or a division is worth: the log of its likelihood against that of its cells being strangers."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.candidates import Candidates
from tracking3d.link.motion import Motion, log_student
from tracking3d.link.scene import Scene
from volumes.jit import kernel
from volumes.shapes import Points

STEP = 0.2
"""Assumed deviation of the change of log volume from frame to frame where too few are known."""
WIDEST = 0.6
"""Assumed spread of log volumes where too few are known."""
ODD = 0.01
"""Share of true links whose volumes say nothing, since an outline changed with focus or threshold."""


@dataclass(frozen=True)
class Rates:
    """Probabilities per cell and frame, and of a cell, that the links are weighed against.

    Parameters
    ----------
    appear : a track begins without a parent.
    vanish : a track ends without dividing.
    miss : a cell is not detected.
    divide : a cell divides.
    false : a detection is no cell.
    """

    appear: float = 1e-3
    vanish: float = 3e-3
    miss: float = 0.05
    divide: float = 0.01
    false: float = 0.02


class Volumes(NamedTuple):
    """How volumes change.

    Parameters
    ----------
    log_volume : (n,) natural logarithm, NaN unknown.
    log_stranger : (n,) log density of each cell's log volume among its frame's; 0 where unknown.
    step : standard deviation of the log volume's change from a cell to itself later.
    """

    log_volume: NDArray[np.float64]
    log_stranger: NDArray[np.float64]
    step: float = STEP


def log_normal(x: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float64]:
    """Log density of a normal distribution."""
    return np.asarray(-0.5 * ((x - mean) / deviation) ** 2 - log(deviation) - 0.5 * log(2 * pi))


def volumes(scene: Scene, parent: NDArray[np.int64]) -> Volumes:
    """How volumes spread over strangers and change along links (n,) already made."""
    known = np.isfinite(scene.log_volume)
    middle = np.zeros(len(scene))
    for place in range(len(scene.frames)):
        cells = scene.cells(place)
        if known[cells].any():
            middle[cells] = np.median(scene.log_volume[cells][known[cells]])
    off = scene.log_volume - middle
    spread = float(np.std(off[known])) if known.sum() > 20 else WIDEST
    stranger = np.where(known, log_normal(off, 0.0, max(spread, 0.05)), 0.0)
    single = np.flatnonzero((parent >= 0) & (np.bincount(parent[parent >= 0], minlength=len(parent))[parent] == 1))
    change = scene.log_volume[single] - scene.log_volume[parent[single]]
    change = np.abs(change[np.isfinite(change)])
    step = 1.4826 * float(np.median(change)) if len(change) > 20 else STEP
    return Volumes(scene.log_volume, stranger, float(np.clip(step, 0.05, 2.0)))


def kept_out(scene: Scene, rates: Rates) -> NDArray[np.float64]:
    """(n,) gain of taking a cell for a false detection, over one that appears and vanishes at once."""
    return log(rates.false) - appearing(scene, rates) - vanishing(scene, rates)


def link_gain(scene: Scene, found: Candidates, motion: Motion, volume: Volumes, rates: Rates) -> NDArray[np.float64]:
    """(m,) gain of each candidate link: log odds that the later cell is the earlier one, over two strangers'.

    log(1 − p_divide − p_vanish) + (gap − 1) log p_miss + log(1 − p_miss) + log t(offset; σ_gap) − log ρ
    − log p_vanish − log p_appear, and log[(1 − ε) N(Δ log V; 0, σ_V) / p(log V) + ε] where both volumes are known: a
    volume that jumps costs a link log ε at most, so that a frame out of focus does not cut every track.
    """
    steps = np.arange(1, len(motion.scale) + 1)
    known = log(1 - rates.divide - rates.vanish) + seen(steps, rates)
    strange = scene.log_density + appearing(scene, rates)
    ending = vanishing(scene, rates)
    return _link_gains(found.start, found.later, found.gap, scene.zyx, motion, known, ending, strange, volume)


@kernel
def _link_gains(
    start: NDArray[np.int64],
    later: NDArray[np.int64],
    gap: NDArray[np.int64],
    zyx: Points,
    motion: Motion,
    known: NDArray[np.float64],
    ending: NDArray[np.float64],
    strange: NDArray[np.float64],
    volume: Volumes,
) -> NDArray[np.float64]:
    """Gains (m,) from what is known of each gap (g,), and each cell's ending (n,) or being a stranger (n,)."""
    gain = np.empty(len(later))
    spread, seldom = log(1 - ODD) - log(volume.step) - 0.5 * log(2 * pi), log(ODD)
    for a in range(len(start) - 1):
        for k in range(start[a], start[a + 1]):
            b, step = later[k], gap[k]
            squared = 0.0
            for axis in range(3):
                expected = step * (motion.ahead[a, axis] + motion.behind[b, axis]) / 2
                squared += (zyx[b, axis] - zyx[a, axis] - expected) ** 2
            gain[k] = log_student(squared, motion.scale[step - 1]) + known[step - 1] - strange[b] - ending[a]
            change = volume.log_volume[b] - volume.log_volume[a]
            if np.isfinite(change):
                odds = spread - 0.5 * (change / volume.step) ** 2 - volume.log_stranger[b]
                more, less = max(odds, seldom), min(odds, seldom)
                gain[k] += more + log1p(exp(less - more))
    return gain


def seen(gap: NDArray[np.int64], rates: Rates) -> NDArray[np.float64]:
    """Log probability of a cell being found again after ``gap`` frames, and not before."""
    return np.asarray((gap - 1) * log(rates.miss) + log(1 - rates.miss))


def appearing(scene: Scene, rates: Rates) -> NDArray[np.float64]:
    """Log probability of a track's beginning at each cell; certain in the first frame."""
    return np.where(scene.t == scene.t[:1], 0.0, log(rates.appear))


def vanishing(scene: Scene, rates: Rates) -> NDArray[np.float64]:
    """Log probability of a track's end at each cell; certain in the last frame."""
    return np.where(scene.t == scene.t[-1:], 0.0, log(rates.vanish))
