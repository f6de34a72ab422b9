"""A cloud of points seen by an orthographic camera: what every pixel collects. The loops that take the time.

A point is spread over the four pixels around it by bilinear weights, so that a projection changes smoothly with the
pose. Depth grows away from the camera.
"""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray


@kernel
def place(points: AnyArray, matrix: AnyArray, out: AnyArray) -> None:
    """Points (n, 3) through a (3, 4) matrix: depth in µm, row and column in pixels, into ``out`` (n, 3)."""
    for s in range(points.shape[0]):
        z, y, x = points[s, 0], points[s, 1], points[s, 2]
        for i in range(3):
            out[s, i] = matrix[i, 0] * z + matrix[i, 1] * y + matrix[i, 2] * x + matrix[i, 3]


@kernel
def surface(seen: AnyArray, front: AnyArray) -> None:
    """The least depth of the points at each pixel of ``front`` (rows, columns), infinite where none is.

    A point is taken to cover the four pixels around it.
    """
    rows, columns = front.shape
    front[:] = np.inf
    for s in range(seen.shape[0]):
        y, x = seen[s, 1], seen[s, 2]
        if not (0.0 <= y < rows - 1 and 0.0 <= x < columns - 1):
            continue
        j, k = int(y), int(x)
        for a in range(2):
            for b in range(2):
                if seen[s, 0] < front[j + a, k + b]:
                    front[j + a, k + b] = seen[s, 0]


@kernel
def sum_through(seen: AnyArray, features: AnyArray, attenuation: float, lift: AnyArray, out: AnyArray) -> None:
    """Σ w · feature · exp(−µ d) at each pixel: d is how far a point lies behind the surface, w its bilinear weight.

    Parameters
    ----------
    seen : depth, row, column of the points (n, 3), as :func:`place` gives them.
    features : (n, k).
    attenuation : µ, per µm; 0 for clear tissue.
    lift : exp(µ · depth of the surface) (rows, columns), read only where µ is above 0.
    out : (rows, columns, k), overwritten.
    """
    rows, columns, count = out.shape
    out[:] = 0.0
    for s in range(seen.shape[0]):
        y, x = seen[s, 1], seen[s, 2]
        if not (0.0 <= y < rows - 1 and 0.0 <= x < columns - 1):
            continue
        j, k = int(y), int(x)
        fy, fx = y - j, x - k
        w00, w01, w10, w11 = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
        if attenuation > 0.0:
            fades = np.exp(-attenuation * seen[s, 0])
            w00, w01 = w00 * fades * lift[j, k], w01 * fades * lift[j, k + 1]
            w10, w11 = w10 * fades * lift[j + 1, k], w11 * fades * lift[j + 1, k + 1]
        for c in range(count):
            value = features[s, c]
            out[j, k, c] += w00 * value
            out[j, k + 1, c] += w01 * value
            out[j + 1, k, c] += w10 * value
            out[j + 1, k + 1, c] += w11 * value


@kernel
def largest_through(seen: AnyArray, features: AnyArray, out: AnyArray) -> None:
    """The largest of weight · feature at each pixel, in place of the sum; 0 where no point is.

    The weight is 1 within half a pixel of the point and falls to 0 at one pixel, which keeps it continuous.
    """
    rows, columns, count = out.shape
    out[:] = 0.0
    for s in range(seen.shape[0]):
        y, x = seen[s, 1], seen[s, 2]
        if not (0.0 <= y < rows - 1 and 0.0 <= x < columns - 1):
            continue
        j, k = int(y), int(x)
        for a in range(2):
            for b in range(2):
                weight = min(1.0, 2 - 2 * abs(y - j - a)) * min(1.0, 2 - 2 * abs(x - k - b))
                for c in range(count):
                    out[j + a, k + b, c] = max(out[j + a, k + b, c], weight * features[s, c])
