"""How cells move and how well they are located, read off links that are made already."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.motion import neighbours_median, velocities
from tracking3d.link.scene import Scene
from volumes.shapes import Points

MEDIAN_CHI2 = 2.3659738843753377
"""Median of χ² with three degrees of freedom."""
FEW = 10
"""Links below which the spacing speaks instead of what is measured."""


@dataclass(frozen=True)
class Noise:
    """Variances along one axis, the same for all, and for all cells.

    Parameters
    ----------
    step_um2 : of a displacement from one frame to the next.
    turn_um2 : of a displacement less the one before.
    flow_um2 : of a displacement less the median of the neighbours' last ones.
    localisation_um2 : of a measured place about the true one.
    acceleration_um2_s3 : spectral density q of a white acceleration: a velocity changes by q · seconds (µm²/s²).
    frame_s : seconds from one frame to the next.
    """

    step_um2: float
    turn_um2: float
    flow_um2: float
    localisation_um2: float
    acceleration_um2_s3: float
    frame_s: float

    def located(self, localisation_um: float) -> Noise:
        """The same movement, located with a stated standard deviation along an axis, µm."""
        return replace(self, localisation_um2=localisation_um**2)


def learnt_noise(cells: Scene, parent: NDArray[np.int64], frame_s: float) -> Noise:
    """What links (n,) parent of each cell, −1 for none, tell of the noise.

    With x measured at times dt apart, under a white acceleration of density q and localisation errors of variance R,
    neighbouring second differences a of x have var a = ⅔ q dt³ + 6 R and cov(a, a′) = ⅙ q dt³ − 4 R, hence
    q dt³ = 3 (4 var + 6 cov)/11 and R = (var − ⅔ q dt³)/6. Variances are medians of squared lengths over that of χ²₃,
    which odd links do not spoil; cov is (var(a + a′) − var(a − a′))/4 (Gnanadesikan & Kettenring, Biometrics 28, 1972).
    """
    after, before = velocities(cells, parent)
    assumed = (0.2 * float(np.median(cells.spacing))) ** 2 if len(cells) else 1.0
    step = _variance(after, assumed)
    turn = after - before
    variance = _variance(turn, 2 * step)
    with_child = np.flatnonzero(parent >= 0)
    following = np.full_like(turn, np.nan)
    following[parent[with_child]] = turn[with_child]
    cov = (_variance(turn + following, variance) - _variance(turn - following, variance)) / 4
    q_dt3 = float(np.clip(3 * (4 * variance + 6 * cov) / 11, 0.01 * variance, 1.5 * variance))
    localisation = max((variance - q_dt3 * 2 / 3) / 6, 1e-4 * variance)
    flow = _variance(after - neighbours_median(cells.near, before), step)
    return Noise(step, variance, flow, localisation, q_dt3 / frame_s**3, frame_s)


def _variance(residual: Points, assumed: float) -> float:
    """Variance along an axis of residuals (n, 3), NaN where unknown; as assumed where there are few."""
    squared = (residual**2).sum(axis=1)
    squared = squared[np.isfinite(squared)]
    if len(squared) < FEW:
        return assumed
    found = float(np.median(squared)) / MEDIAN_CHI2
    return found if found > 0 else max(float(squared.mean()) / 3, 1e-6 * assumed)
