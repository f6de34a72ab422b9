"""FMI: information that small windows of the fused picture share with the same windows of a source.

In each window of 3 voxels along an axis the values, from 0 at the lowest to 1 at the highest, are taken as a
distribution p over the window's places (columns first); a constant window is uniform. With F and G the cumulative
distributions of the fused and the source's window, r Pearson's correlation of the two distributions, and φ = r / r*,

    joint = φ C(F, G) + (1 − φ) F G,   FMI = 2 (H(p_F) + H(p_S) − H(joint)) / (H(p_F) + H(p_S)),

where C is the Fréchet bound min(F, G), or max(0, F + G − 1) for r < 0, and r* the correlation of places under C.
Equal windows have FMI 1. Mean over windows, and over sources. Haghighat, Aghagolzadeh & Seyedarabi 2011, "A
non-reference image fusion metric based on mutual information of image features"; Haghighat & Razian 2014, "Fast-FMI".
Where φ > 1 the joint has negative cells; their −j log |j| counts, as in the published code.

Traps: published tables say seldom of which feature; noise that is the same in both pictures counts as kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from fusion.metrics.levels import Grey, window_axes
from volumes.errors import ContentError
from volumes.jit import inlined, kernel

Feature = Literal["grey", "gradient"]
Volume = Float64[np.ndarray, "z y x"]
Window = Float64[np.ndarray, "places"]
Stairs = tuple[Int64[np.ndarray, " stairs"], Int64[np.ndarray, " stairs"], Float64[np.ndarray, " stairs"]]

WIDTH = 3
TINY = 1e-12
SAME = 1e-6
"""Grey levels that differ by less are one, so that rounding makes no feature."""


def feature_information(
    fused: Grey, sources: Sequence[Grey], steps: Sequence[float], feature: Feature = "grey"
) -> float:
    """FMI, up to 1, of grey levels as they are ("FMI_pixel" of published tables) or of their gradient's magnitude.

    Axes that are short or coarse have no part in the windows (:func:`fusion.metrics.levels.window_axes`).

    Raises
    ------
    ContentError : no axis has 3 voxels.
    """
    axes = window_axes(fused.shape, steps, WIDTH)
    if not axes:
        raise ContentError(f"FMI needs an axis of {WIDTH} voxels", field="fused", value=fused.shape)
    own, *others = (_as_volume(_feature(p, steps, feature)) for p in (fused, *sources))
    spans = [WIDTH if i in axes else 1 for i in range(fused.ndim)]
    z, y, x = [1] * (3 - fused.ndim) + spans
    return float(np.mean([_mean_shared(own, other, z, y, x) for other in others]))


def _feature(values: Grey, steps: Sequence[float], feature: Feature) -> Grey:
    if feature == "grey":
        return values
    return np.sqrt(sum((np.gradient(values, s, axis=i) ** 2 for i, s in enumerate(steps)), np.zeros(values.shape)))


def _as_volume(values: Grey) -> Volume:
    return np.ascontiguousarray(values.reshape((1,) * (3 - values.ndim) + values.shape))


@kernel
def _mean_shared(a: Volume, b: Volume, depth: int, height: int, width: int) -> float:
    rows, columns = a.shape[1:]
    flat_a, flat_b = a.ravel(), b.ravel()
    places = depth * height * width
    offsets, k = np.empty(places, np.int64), 0
    for i in range(width):
        for j in range(height):
            for n in range(depth):
                offsets[k] = (n * rows + j) * columns + i
                k += 1
    p, q, log_p, log_q = np.empty(places), np.empty(places), np.empty(places), np.empty(places)
    stairs = (np.empty(2 * places, np.int64), np.empty(2 * places, np.int64), np.empty(2 * places))
    total, count = 0.0, 0
    for z in range(a.shape[0] - depth + 1):
        for y in range(rows - height + 1):
            for x in range(columns - width + 1):
                start, apart = (z * rows + y) * columns + x, 0.0
                for k in range(places):
                    p[k], q[k] = flat_a[start + offsets[k]], flat_b[start + offsets[k]]
                    apart = max(apart, abs(p[k] - q[k]))
                total += 1.0 if apart < SAME else _shared(p, q, log_p, log_q, stairs)
                count += 1
    return total / count


@kernel
def _shared(p: Window, q: Window, log_p: Window, log_q: Window, stairs: Stairs) -> float:
    """FMI of one pair of windows, which become their distributions; the last three are room to work in."""
    if not (_distribute(p) and _distribute(q)):
        return 0.0
    r, mean_p, mean_q, spread = _correlations(p, q)
    if abs(r) < TINY or spread < TINY:
        return 0.0
    first, second, mass = stairs
    steps = _staircase(p, q, r < 0, stairs)
    together = 0.0
    for k in range(steps):
        together += mass[k] * first[k] * second[k]
    phi = r * spread / (together - mean_p * mean_q)
    apart = _entropy(p, log_p) + _entropy(q, log_q)
    # Off the stairs a cell is (1 − φ) pᵢ qⱼ. Were all cells so, H would be (1 − φ) (H(p) + H(q) − log |1 − φ|).
    rest, log_rest = 1 - phi, _log(1 - phi)
    joint = rest * (apart - log_rest)
    for k in range(steps):
        i, j = first[k], second[k]
        cell = rest * p[i] * q[j]
        full = cell + phi * mass[k]
        joint += cell * (log_rest + log_p[i] + log_q[j]) - full * _log(full)
    return 2 * (apart - joint) / apart


@kernel
def _distribute(p: Window) -> bool:
    """Stretch to 0–1 and divide by the sum, in place; False for a constant, which tells nothing."""
    low, high, total = p[0], p[0], 0.0
    for value in p:
        low, high = min(low, value), max(high, value)
    if high - low < SAME:
        return False
    for k in range(len(p)):
        p[k] -= low
        total += p[k]
    for k in range(len(p)):
        p[k] /= total
    return True


@kernel
def _correlations(p: Window, q: Window) -> tuple[float, float, float, float]:
    """Pearson's r of the two distributions; the mean place of each, and the product of the places' deviations."""
    n, r, of_p, of_q, mean_p, mean_q = len(p), 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        a, b = p[k] - 1 / n, q[k] - 1 / n
        r, of_p, of_q = r + a * b, of_p + a * a, of_q + b * b
        mean_p, mean_q = mean_p + k * p[k], mean_q + k * q[k]
    var_p, var_q = 0.0, 0.0
    for k in range(n):
        var_p, var_q = var_p + (k - mean_p) ** 2 * p[k], var_q + (k - mean_q) ** 2 * q[k]
    return r / math.sqrt(of_p * of_q), mean_p, mean_q, math.sqrt(var_p * var_q)


@kernel
def _staircase(p: Window, q: Window, lower: bool, stairs: Stairs) -> int:
    """The cells, and their number, along which the mass of the Fréchet bound lies: places of p upwards, of q too, or
    downwards under the lower bound."""
    first, second, mass = stairs
    n, count = len(p), 0
    i, j, left_p, left_q = 0, n - 1 if lower else 0, p[0], q[n - 1 if lower else 0]
    while i < n and 0 <= j < n:
        both = min(left_p, left_q)
        if both > 0:
            first[count], second[count], mass[count] = i, j, both
            count += 1
        left_p -= both
        left_q -= both
        if left_p <= left_q:
            i += 1
            left_p = p[i] if i < n else 0.0
        else:
            j += -1 if lower else 1
            left_q = q[j] if 0 <= j < n else 0.0
    return count


@inlined
def _log(x: float) -> float:
    """log |x|, 0 at 0, where it is only ever multiplied by 0."""
    return math.log(abs(x)) if abs(x) > 0 else 0.0


@kernel
def _entropy(p: Window, log_p: Window) -> float:
    total = 0.0
    for k in range(len(p)):
        log_p[k] = _log(p[k])
        total -= p[k] * log_p[k]
    return total
