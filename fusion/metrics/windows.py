"""Weighted sums over windows that lie wholly inside, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from fusion.metrics.levels import Grey
from volumes.jit import kernel

Weights = Float64[np.ndarray, "taps"]
Lines = Float64[np.ndarray, "before along inner"]
Rows = Float64[np.ndarray, "before along"]


def gaussian(taps: int, sigma: float) -> Weights:
    """exp(−k²/2σ²) at the integers k around 0, of sum 1."""
    k = np.arange(taps) - (taps - 1) / 2
    weights = np.exp(-(k**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def box(taps: int) -> Weights:
    """Equal weights of sum 1."""
    return np.full(taps, 1 / taps)


def windowed(values: Grey, weights: Weights, axes: Sequence[int]) -> Grey:
    """The weighted sum over each window inside; each of ``axes`` is shorter by ``taps`` − 1 after it.

    ``weights`` has an odd number of taps, no more than any of the axes has voxels.
    """
    for axis in axes:
        shape = list(values.shape)
        before, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        lines = np.ascontiguousarray(values).reshape(before, shape[axis], inner)
        shape[axis] -= len(weights) - 1
        out = np.zeros((before, shape[axis], inner))
        if inner > 1:
            _add(lines, weights, out)
        else:
            _add_along(lines.reshape(before, -1), weights, out.reshape(before, -1))
        values = out.reshape(shape)
    return values


# The innermost loop of both runs over neighbours in memory, so that a processor takes several at a time.


@kernel
def _add(values: Lines, weights: Weights, out: Lines) -> None:
    for a in range(out.shape[0]):
        for i in range(out.shape[1]):
            for k in range(len(weights)):
                for x in range(out.shape[2]):
                    out[a, i, x] += weights[k] * values[a, i + k, x]


@kernel
def _add_along(values: Rows, weights: Weights, out: Rows) -> None:
    for a in range(out.shape[0]):
        for k in range(len(weights)):
            for x in range(out.shape[1]):
                out[a, x] += weights[k] * values[a, x + k]
