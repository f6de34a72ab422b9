"""Where a cell is expected next: the flow of its neighbours and its own velocity, learnt from links already made."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log, log1p, pi

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.scene import Scene
from volumes.jit import inlined, kernel
from volumes.shapes import Points

FREEDOM = 4.0
"""Degrees of freedom ν of the Student t that residuals follow: heavy tails, so that odd steps cost little."""
TRUSTED = 10.0
"""Links that the assumed coefficients and scales weigh as much as."""
ASSUMED = {"flow": 0.8, "own": 0.0}
"""Coefficients before any link is seen."""


_STUDENT = lgamma((FREEDOM + 3) / 2) - lgamma(FREEDOM / 2) - 1.5 * log(FREEDOM * pi)


@dataclass(frozen=True)
class Motion:
    """What is expected of each cell.

    Parameters
    ----------
    ahead : (n, 3) expected displacement to the next frame, µm.
    scale : (g,) Student scale of what remains over 1, 2, … frames, µm along an axis.
    """

    ahead: Points
    scale: NDArray[np.float64]


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
    flow = neighbours_median(scene.near, after)
    ahead = np.zeros_like(scene.zyx)
    has_flow, has_own = np.isfinite(flow[:, 0]), np.isfinite(before[:, 0])
    for known, features, assumed in (
        (has_flow & has_own, (flow, before), (ASSUMED["flow"], ASSUMED["own"])),
        (has_flow & ~has_own, (flow,), (ASSUMED["flow"],)),
        (~has_flow & has_own, (before,), (ASSUMED["own"],)),
    ):
        design = np.stack([feature[known] for feature in features], axis=-1)
        ahead[known] = design @ _regressed(design, after[known], np.array(assumed))
    return Motion(ahead, _scales(scene, parent, single, ahead, steps))


def velocities(scene: Scene, parent: NDArray[np.int64]) -> tuple[Points, Points]:
    """Displacement per frame (n, 3) to the child and from the parent, µm; NaN where there is none."""
    after, before = np.full_like(scene.zyx, np.nan), np.full_like(scene.zyx, np.nan)
    child = np.flatnonzero(parent >= 0)
    mother = parent[child]
    moved = (scene.zyx[child] - scene.zyx[mother]) / (scene.t[child] - scene.t[mother])[:, None]
    after[mother], before[child] = moved, moved
    return after, before


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
        for axis in range(3):
            out[i, axis] = found[:count, axis].mean()
        spread = np.sqrt(((found[:count] - out[i]) ** 2).sum() / count)
        for _ in range(8):
            total = 0.0
            centre = np.zeros(3)
            for k in range(count):
                # A hundredth of the spread keeps the weight finite where a displacement is met.
                weight = 1.0 / (np.sqrt(((found[k] - out[i]) ** 2).sum()) + 0.01 * spread + 1e-300)
                centre += weight * found[k]
                total += weight
            out[i] = centre / total
    return out


@inlined
def log_student(squared: float, scale: float) -> float:
    """Log density (per µm³) of an isotropic 3-D Student t, ν = 4, at a squared distance (µm²)."""
    return _STUDENT - (FREEDOM + 3) / 2 * log1p(squared / (FREEDOM * scale * scale)) - 3 * log(scale)


@kernel
def log_students(squared: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """:func:`log_student` of each squared distance (n,) at its own scale (n,)."""
    out = np.empty(len(squared))
    for i in range(len(squared)):
        out[i] = log_student(squared[i], scale[i])
    return out


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
    return (parent >= 0) & (count[parent] == 1)


def _regressed(
    design: NDArray[np.float64], target: Points, assumed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients (c,) of target (n, 3) = design (n, 3, c) · β, robustly, leaning on assumed ones."""
    seen = np.isfinite(target[:, 0])
    x, y, beta = design[seen], target[seen], assumed
    if not len(y):
        return beta
    size = TRUSTED * np.mean(x**2)
    for _ in range(10):
        squared = ((y - x @ beta) ** 2).sum(axis=1)
        scale = np.median(squared) / 3 + 1e-300
        weight = (FREEDOM + 3) / (FREEDOM + squared / scale)
        normal = np.einsum("n,nai,naj->ij", weight, x, x) + (size + 1e-300) * np.eye(len(beta))
        beta = np.linalg.solve(normal, np.einsum("n,nai,na->i", weight, x, y) + (size + 1e-300) * assumed)
    return beta


def _scales(
    scene: Scene, parent: NDArray[np.int64], single: NDArray[np.bool_], ahead: Points, steps: int
) -> NDArray[np.float64]:
    """Student scales over 1 … steps frames, seen on the made tracks: also the chains of single steps."""
    typical = 0.2 * float(np.median(scene.spacing)) if len(scene) else 1.0
    out = np.empty(steps)
    source = np.arange(len(parent))
    for step in range(1, steps + 1):
        source = np.where((source >= 0) & single[source], parent[source], -1)
        assumed = typical * np.sqrt(step) if step == 1 else max(out[0] * np.sqrt(step), out[step - 2])
        whole = np.flatnonzero((source >= 0) & (scene.t - scene.t[source] == step))
        start = source[whole]
        residual = scene.zyx[whole] - scene.zyx[start] - step * ahead[start]
        out[step - 1] = student_scale(residual, float(assumed))
    return out
