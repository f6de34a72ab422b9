"""Where a cell is expected next: the flow of its neighbours and its own velocity, learnt from links already made."""

from __future__ import annotations

from math import lgamma, log, log1p, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.scene import Scene
from volumes.jit import inlined, kernel
from volumes.shapes import Points

FREEDOM = 4.0
"""Degrees of freedom ν of the Student t that residuals follow: heavy tails, so that odd steps cost little."""
TRUSTED = 3.0
"""Links that the assumed coefficients and scales weigh as much as."""
ASSUMED = {"flow": 0.8, "own": 0.0}
"""Coefficients before any link is seen."""
SETTLED = 1e-6
"""Change of a coefficient below which it is found."""


_STUDENT = lgamma((FREEDOM + 3) / 2) - lgamma(FREEDOM / 2) - 1.5 * log(FREEDOM * pi)


class Motion(NamedTuple):
    """What is expected of each cell.

    Parameters
    ----------
    ahead, behind : (n, 3) expected displacement to the next frame, and from the last one, µm.
    scale : (g,) Student scale of what remains over 1, 2, … frames, µm along an axis.
    """

    ahead: Points
    behind: Points
    scale: NDArray[np.float64]

    def between(self, earlier: NDArray[np.int64], later: NDArray[np.int64]) -> Points:
        """Expected displacement per frame (m, 3) from one cell to another: what both expect, averaged."""
        return np.asarray((self.ahead[earlier] + self.behind[later]) / 2)


def learnt(scene: Scene, parent: NDArray[np.int64], steps: int) -> Motion:
    """Fit flow, velocity and scales to links.

    Displacement = β_flow · (median of the neighbours' displacements) + β_own · (the cell's last displacement), with
    its own β for cells that have both, one, or none of the two; reweighted least squares under a Student t.

    Parameters
    ----------
    scene : the cells.
    parent : (n,) parent of each cell in the scene's order, −1 where there is none.
    steps : largest number of frames that a link spans.
    """
    single = _single(parent)
    after, before = velocities(scene, np.where(single, parent, -1))
    flow, own = ASSUMED["flow"], ASSUMED["own"]
    ahead, behind = (_expected(scene.near, *ways, flow, own) for ways in ((after, before), (before, after)))
    motion = Motion(ahead, behind, np.zeros(steps))
    return motion._replace(scale=_scales(scene, parent, single, motion))


def still(scene: Scene) -> Motion:
    """What is expected before any link is made: that cells stay."""
    return Motion(np.zeros_like(scene.zyx), np.zeros_like(scene.zyx), np.ones(1))


def velocities(scene: Scene, parent: NDArray[np.int64]) -> tuple[Points, Points]:
    """Displacement per frame (n, 3) to the child and from the parent, µm; NaN where there is none."""
    after, before = np.full_like(scene.zyx, np.nan), np.full_like(scene.zyx, np.nan)
    child = np.flatnonzero(parent >= 0)
    mother = parent[child]
    moved = (scene.zyx[child] - scene.zyx[mother]) / (scene.t[child] - scene.t[mother])[:, None]
    after[mother], before[child] = moved, moved
    return after, before


@kernel
def _geometric_median(points: Points, centre: NDArray[np.float64]) -> None:
    """Write the point (3,) of the least summed distance to points (k, 3) into ``centre``."""
    count = len(points)
    z, y, x = points[:, 0].mean(), points[:, 1].mean(), points[:, 2].mean()
    spread = 0.0
    for k in range(count):
        spread += (points[k, 0] - z) ** 2 + (points[k, 1] - y) ** 2 + (points[k, 2] - x) ** 2
    # A hundredth of the spread keeps the weight finite where a point is met.
    least = 0.01 * sqrt(spread / count) + 1e-300
    for _ in range(8):
        total, next_z, next_y, next_x = 0.0, 0.0, 0.0, 0.0
        for k in range(count):
            away = sqrt((points[k, 0] - z) ** 2 + (points[k, 1] - y) ** 2 + (points[k, 2] - x) ** 2)
            weight = 1.0 / (away + least)
            next_z += weight * points[k, 0]
            next_y += weight * points[k, 1]
            next_x += weight * points[k, 2]
            total += weight
        z, y, x = next_z / total, next_y / total, next_x / total
    centre[0], centre[1], centre[2] = z, y, x


@kernel
def neighbours_median(near: NDArray[np.int64], displacement: Points) -> Points:
    """Geometric median (n, 3) of the displacements of each cell's neighbours, by Weiszfeld's iteration; NaN if none.

    It turns with the axes, which a median of each coordinate does not.
    """
    out = np.full((len(near), 3), np.nan)
    found = np.empty((near.shape[1], 3))
    for i in range(len(near)):
        count = 0
        for j in near[i]:
            if j >= 0 and not np.isnan(displacement[j, 0]):
                found[count] = displacement[j]
                count += 1
        if count == 0:
            continue
        _geometric_median(found[:count], out[i])
    return out


@inlined
def log_student(squared: float, scale: float) -> float:
    """Log density (per µm³) of an isotropic 3-D Student t, ν = 4, at a squared distance (µm²)."""
    return _STUDENT - (FREEDOM + 3) / 2 * log1p(squared / (FREEDOM * scale * scale)) - 3 * log(scale)


def student_scale(residual: Points, assumed: float) -> float:
    """Scale σ of a 3-D Student t with ν = 4, by expectation–maximisation, leaning on an assumed one (µm).

    w = (ν + 3)/(ν + r²/σ²), σ² = Σ w r² / 3n (Liu & Rubin, Statistica Sinica 5, 1995).
    """
    squared = (residual**2).sum(axis=1)
    variance = assumed**2
    for _ in range(30):
        weight = (FREEDOM + 3) / (FREEDOM + squared / variance)
        variance = ((weight * squared).sum() / 3 + TRUSTED * assumed**2) / (len(squared) + TRUSTED)
    return float(np.sqrt(variance))


def _single(parent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a cell is the only child of its parent."""
    count = np.bincount(parent[parent >= 0], minlength=len(parent))
    return np.asarray((parent >= 0) & (count[parent] == 1))


@kernel
def _expected(near: NDArray[np.int64], moved: Points, other: Points, flow: float, own: float) -> Points:
    """Displacements (n, 3) on one side of each cell, from those of its neighbours there and its own on the other.

    Coefficients are fitted to the displacements that are known, leaning on ``flow`` and ``own``, apart for cells that
    have both, one, or none of the two.
    """
    around = neighbours_median(near, moved)
    out = np.zeros_like(moved)
    for has_flow, has_own in ((True, True), (True, False), (False, True)):
        beta = _regressed(around, other, moved, has_flow, has_own, flow, own)
        for i in range(len(moved)):
            if np.isfinite(around[i, 0]) == has_flow and np.isfinite(other[i, 0]) == has_own:
                for axis in range(3):
                    if has_flow:
                        out[i, axis] += beta[0] * around[i, axis]
                    if has_own:
                        out[i, axis] += beta[1] * other[i, axis]
    return out


@kernel
def _regressed(
    around: Points, other: Points, moved: Points, has_flow: bool, has_own: bool, flow: float, own: float
) -> NDArray[np.float64]:
    """Coefficients (2,) of moved = β₁ around + β₂ other (n, 3), robustly, leaning on assumed ones.

    They are fitted to the rows in which what is said to be there is known, and no more; the other one is kept.
    """
    x, y, count = np.zeros((len(moved), 2, 3)), np.empty((len(moved), 3)), 0
    for i in range(len(moved)):
        fits = np.isfinite(around[i, 0]) == has_flow and np.isfinite(other[i, 0]) == has_own
        if fits and np.isfinite(moved[i, 0]):
            for axis in range(3):
                y[count, axis] = moved[i, axis]
                if has_flow:
                    x[count, 0, axis] = around[i, axis]
                if has_own:
                    x[count, 1, axis] = other[i, axis]
            count += 1
    x, y, beta = x[:count], y[:count], np.array([flow, own])
    if count == 0:
        return beta
    squared = np.empty(count)
    size = TRUSTED * (x * x).sum() / (3 * (has_flow + has_own) * count) + 1e-300
    for _ in range(10):
        for k in range(len(y)):
            squared[k] = 0.0
            for axis in range(3):
                squared[k] += (y[k, axis] - beta[0] * x[k, 0, axis] - beta[1] * x[k, 1, axis]) ** 2
        scale = np.median(squared) / 3 + 1e-300
        first, second, both, one, two = size, size, 0.0, size * flow, size * own
        for k in range(len(y)):
            weight = (FREEDOM + 3) / (FREEDOM + squared[k] / scale)
            for axis in range(3):
                first += weight * x[k, 0, axis] * x[k, 0, axis]
                second += weight * x[k, 1, axis] * x[k, 1, axis]
                both += weight * x[k, 0, axis] * x[k, 1, axis]
                one += weight * x[k, 0, axis] * y[k, axis]
                two += weight * x[k, 1, axis] * y[k, axis]
        volume = first * second - both * both
        # Where nothing moves, nothing is fitted.
        if volume <= 0.0:
            break
        fitted = np.array([(second * one - both * two) / volume, (first * two - both * one) / volume])
        change = np.abs(fitted - beta).max()
        beta = fitted
        if change < SETTLED:
            break
    return beta


def _scales(scene: Scene, parent: NDArray[np.int64], single: NDArray[np.bool_], motion: Motion) -> NDArray[np.float64]:
    """Student scales over 1, 2, … frames, seen on the made tracks: also on their chains of single steps."""
    out = np.full(len(motion.scale), 0.2 * np.median(scene.spacing))
    ancestor = np.arange(len(parent))
    for step in range(1, len(out) + 1):
        ancestor = np.where((ancestor >= 0) & single[ancestor], parent[ancestor], -1)
        later = np.flatnonzero((ancestor >= 0) & (scene.t - scene.t[ancestor] == step))
        earlier = ancestor[later]
        residual = scene.zyx[later] - scene.zyx[earlier] - step * motion.between(earlier, later)
        assumed = out[0] if step == 1 else max(out[0] * np.sqrt(step), out[step - 2])
        out[step - 1] = student_scale(residual, float(assumed))
    return out
