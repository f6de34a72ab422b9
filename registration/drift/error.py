"""How uncertain a shift is, from how much the parts of the specimen disagree about it.

At the shift s that was found, the residual e = m(x + s) − a f(x) would move the estimate by δ = H⁻¹ Σ g, with
g = a ∇f e and H = Σ a² ∇f ∇fᵀ (Lucas & Kanade 1981). Summed over blocks b of the field, which cells and noise move
independently, the covariance is H⁻¹ (Σ_b g_b g_bᵀ) H⁻¹ (White 1980, clustered by block).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from registration.drift.views import Floats, View

BLOCKS = 4
"""Along each axis, at most."""
BLOCK_VOXELS = 6
"""Along each axis, at least."""


def shift_error_um(fixed: View, moving: View, step: NDArray[np.float64]) -> float:
    """The standard deviation of a shift, as a length in µm; infinite where nothing holds it.

    Parameters
    ----------
    fixed, moving : on lattices of one spacing and direction.
    step : the shift in voxels, (3,): what is at index i of the fixed lattice is at i + step of the moving one.
    """
    shape = fixed.contrast.shape
    free = [axis for axis in range(3) if shape[axis] > 1 and moving.contrast.shape[axis] > 1]
    there = _moved(moving.contrast, step, shape)
    shared = _moved(_inside(moving), step, shape) > 0.5
    shared &= _inside(fixed) > 0
    here = np.where(shared, fixed.contrast, 0).astype(np.float64)
    energy = float((here**2).sum())
    if not free or not energy > 0:
        return float("inf")
    gain = float((here * there).sum()) / energy
    slopes = [np.where(shared, np.gradient(gain * fixed.contrast, axis=axis), 0) for axis in free]
    left_over = np.where(shared, there - gain * fixed.contrast, 0)
    pulls = np.stack([_by_block(slope * left_over) for slope in slopes], -1)
    hold = np.array([[float((a * b).sum(dtype=np.float64)) for b in slopes] for a in slopes])
    if np.linalg.cond(hold) > 1 / np.finfo(np.float32).eps:
        return float("inf")
    moves = np.linalg.solve(hold, pulls.T) * np.asarray(fixed.grid.spacing_um)[free, None]
    few = len(pulls) / max(len(pulls) - 1, 1)
    return float(np.sqrt(few * (moves**2).sum()))


def _inside(view: View) -> Floats:
    return np.ones(view.contrast.shape, np.float32) if view.inside is None else view.inside


def _moved(array: Floats, step: NDArray[np.float64], shape: Sequence[int]) -> Floats:
    """``array`` at i + step, linearly, on ``shape``; 0 outside."""
    out = ndimage.affine_transform(array, np.ones(3), step, tuple(shape), order=1, mode="constant")
    return np.asarray(out, np.float32)


def _by_block(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over blocks, flat."""
    out = np.asarray(array, np.float64)
    for axis, n in enumerate(array.shape):
        count = int(np.clip(n // BLOCK_VOXELS, 1, BLOCKS))
        out = np.add.reduceat(out, np.linspace(0, n, count, endpoint=False).astype(int), axis=axis)
    return out.ravel()
