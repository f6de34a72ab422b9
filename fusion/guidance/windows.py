"""Weighted means of planes, only where the window lies wholly inside, and their adjoints: compiled, without gradients
that have to be recorded. The numbers are those of :func:`fusion.losses.windows.inner_mean`.
"""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray


@kernel
def inner_means(planes: AnyArray, window: AnyArray, every: int) -> AnyArray:
    """Along y and x, of every ``every``-th place.

    Parameters
    ----------
    planes : (number, y, x), no smaller than the window.
    window : weights along each axis, of their type.
    every : 1 for all places.

    Returns
    -------
    (number, (y − window) // every + 1, (x − window) // every + 1).
    """
    number, height, width = planes.shape
    size = len(window)
    rows, columns = (height - size) // every + 1, (width - size) // every + 1
    out = np.zeros((number, rows, columns), planes.dtype)
    along_y = np.empty(width, planes.dtype)
    for n in range(number):
        for i in range(rows):
            for j in range(width):
                along_y[j] = 0
            for k in range(size):
                weight, row = window[k], planes[n, i * every + k]
                for j in range(width):
                    along_y[j] += weight * row[j]
            into = out[n, i]
            for k in range(size):
                weight = window[k]
                for j in range(columns):
                    into[j] += weight * along_y[j * every + k]
    return out


@kernel
def spread(means: AnyArray, window: AnyArray, every: int, height: int, width: int) -> AnyArray:
    """The adjoint: Σ spread(a) · b = Σ a · inner_means(b), (number, height, width)."""
    number, rows, columns = means.shape
    size = len(window)
    out = np.zeros((number, height, width), means.dtype)
    along_x = np.empty(width, means.dtype)
    for n in range(number):
        for i in range(rows):
            for j in range(width):
                along_x[j] = 0
            row = means[n, i]
            for k in range(size):
                weight = window[k]
                for j in range(columns):
                    along_x[j * every + k] += weight * row[j]
            for k in range(size):
                weight, into = window[k], out[n, i * every + k]
                for j in range(width):
                    into[j] += weight * along_x[j]
    return out
