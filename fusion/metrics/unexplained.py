"""Gradients of the fused picture that no source explains: what a fuser, above all one that samples, made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from fusion.metrics.levels import Grey, levels
from volumes.jit import kernel
from volumes.shapes import AnyArray

SWEEPS = 1000
"""Rounds over the sources at most; each only lowers what is left."""
SETTLED = 1e-12
"""A round that moves what is left by less than this share of the energy is the last."""

Vectors = Float64[np.ndarray, "voxels axes"]
Stacked = Float64[np.ndarray, "voxels sources axes"]


def unexplained_gradient(fused: AnyArray, sources: Sequence[AnyArray], spacing: Sequence[float] | None = None) -> float:
    """Σ min_w |∇F − Σₘ wₘ ∇Sₘ|² / Σ |∇F|², weights 0 ≤ wₘ ≤ 1 found for every voxel; 0 to 1, lower is better.

    0 for every mixture of the sources of fixed weights; noise in flat places, ringing and haloes count in full, seams
    where weights jump by what they add, and k times the contrast of a source by ((k − 1) / k)². Central differences.

    Parameters
    ----------
    fused, sources, spacing : as for :func:`fusion.metrics.evaluate`; one source is enough.

    Raises
    ------
    As :func:`fusion.metrics.levels.levels`. A constant fused picture has nothing to explain: 0.
    """
    given = levels(fused, sources, spacing)
    target = _gradient(given.fused, given.steps)
    energy = float((target**2).sum())
    if energy == 0:
        return 0.0
    parts = np.stack([_gradient(source, given.steps) for source in given.sources], axis=1)
    return _rest(target, parts) / energy


def _gradient(values: Grey, steps: Sequence[float]) -> Vectors:
    parts = [np.gradient(values, step, axis=i) for i, step in enumerate(steps)]
    return np.ascontiguousarray(np.stack(parts, axis=-1).reshape(-1, values.ndim))


@kernel
def _rest(target: Vectors, parts: Stacked) -> float:
    """Energy left after the best weights: at each voxel one source after the other takes the best for itself."""
    voxels, sources, axes = parts.shape
    total = 0.0
    rest, weights, lengths = np.empty(axes), np.empty(sources), np.empty(sources)
    for v in range(voxels):
        energy = 0.0
        for a in range(axes):
            rest[a] = target[v, a]
            energy += rest[a] ** 2
        for m in range(sources):
            weights[m], lengths[m] = 0.0, 0.0
            for a in range(axes):
                lengths[m] += parts[v, m, a] ** 2
        for _ in range(SWEEPS):
            moved = 0.0
            for m in range(sources):
                if lengths[m] == 0:
                    continue
                along = 0.0
                for a in range(axes):
                    along += rest[a] * parts[v, m, a]
                step = min(max(weights[m] + along / lengths[m], 0.0), 1.0) - weights[m]
                weights[m] += step
                moved += step**2 * lengths[m]
                for a in range(axes):
                    rest[a] -= step * parts[v, m, a]
            if moved <= SETTLED * energy:
                break
        for a in range(axes):
            total += rest[a] ** 2
    return total
