"""Moments of a fused plane beside its sources in a window, and back: means of F, of F² and of F with each source."""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray


@kernel
def moments_of(fused: AnyArray, sources: AnyArray, window: AnyArray) -> AnyArray:
    """Only where the window lies wholly inside: (2 + sources, y − window + 1, x − window + 1).

    Products are taken row by row, so that none is ever held as a whole plane.

    Parameters
    ----------
    fused : (y, x), no smaller than the window.
    sources : (sources, y, x) of its type.
    window : weights along both axes, of its type.
    """
    height, width = fused.shape
    size, number = len(window), len(sources)
    rows, columns = height - size + 1, width - size + 1
    out = np.zeros((2 + number, rows, columns), fused.dtype)
    along = np.empty((2 + number, width), fused.dtype)
    for i in range(rows):
        for n in range(2 + number):
            for j in range(width):
                along[n, j] = 0
        for k in range(size):
            weight, y = window[k], i + k
            for j in range(width):
                along[0, j] += weight * fused[y, j]
                along[1, j] += weight * fused[y, j] * fused[y, j]
            for m in range(number):
                for j in range(width):
                    along[2 + m, j] += weight * fused[y, j] * sources[m, y, j]
        for n in range(2 + number):
            for k in range(size):
                weight = window[k]
                for j in range(columns):
                    out[n, i, j] += weight * along[n, j + k]
    return out


@kernel
def to_plane(gradients: AnyArray, fused: AnyArray, sources: AnyArray, window: AnyArray) -> AnyArray:
    """The gradient for F (y, x) of what has these gradients for the moments, of their shape."""
    height, width = fused.shape
    size, number = len(window), len(sources)
    out = np.zeros((height, width), fused.dtype)
    along = np.empty((2 + number, width), fused.dtype)
    for i in range(gradients.shape[1]):
        for n in range(2 + number):
            for j in range(width):
                along[n, j] = 0
            for k in range(size):
                weight = window[k]
                for j in range(gradients.shape[2]):
                    along[n, j + k] += weight * gradients[n, i, j]
        for k in range(size):
            weight, y = window[k], i + k
            for j in range(width):
                out[y, j] += weight * (along[0, j] + (fused[y, j] + fused[y, j]) * along[1, j])
            for m in range(number):
                for j in range(width):
                    out[y, j] += weight * along[2 + m, j] * sources[m, y, j]
    return out
