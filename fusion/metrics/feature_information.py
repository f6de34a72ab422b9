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
from jaxtyping import Float64

from fusion.metrics.levels import Grey, window_axes
from volumes.errors import ContentError
from volumes.jit import inlined, kernel

Feature = Literal["grey", "gradient"]
Volume = Float64[np.ndarray, "z y x"]
Window = Float64[np.ndarray, "places"]

WIDTH = 3
TINY = 1e-12


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
    places = depth * height * width
    p, q, log_p, log_q = np.empty(places), np.empty(places), np.empty(places), np.empty(places)
    total, count = 0.0, 0
    for z in range(a.shape[0] - depth + 1):
        for y in range(a.shape[1] - height + 1):
            for x in range(a.shape[2] - width + 1):
                equal, k = True, 0
                for i in range(width):
                    for j in range(height):
                        for n in range(depth):
                            p[k], q[k] = a[z + n, y + j, x + i], b[z + n, y + j, x + i]
                            equal = equal and p[k] == q[k]
                            k += 1
                total += 1.0 if equal else _shared(p, q, log_p, log_q)
                count += 1
    return total / count


@kernel
def _shared(p: Window, q: Window, log_p: Window, log_q: Window) -> float:
    """FMI of one pair of windows, which become their distributions; the logarithms are only there to be filled."""
    if _constant(p) or _constant(q):
        return 0.0
    _distribute(p)
    _distribute(q)
    r, spread = _correlation(p, q), math.sqrt(_variance(p) * _variance(q))
    if abs(r) < TINY or spread < TINY:
        return 0.0
    phi = r * spread / _bound(p, q, r < 0)
    apart = _entropy(p, log_p) + _entropy(q, log_q)
    return 2 * (apart - _joint_entropy(p, q, log_p, log_q, r < 0, phi, apart)) / apart


@inlined
def _constant(p: Window) -> bool:
    return bool(p.min() == p.max())


@kernel
def _distribute(p: Window) -> None:
    """Stretch to 0–1 and divide by the sum, in place."""
    p -= p.min()
    p /= p.sum()


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


@kernel
def _correlation(p: Window, q: Window) -> float:
    mean = 1 / len(p)
    top, of_p, of_q = 0.0, 0.0, 0.0
    for k in range(len(p)):
        top += (p[k] - mean) * (q[k] - mean)
        of_p += (p[k] - mean) ** 2
        of_q += (q[k] - mean) ** 2
    return top / math.sqrt(of_p * of_q)


@kernel
def _variance(p: Window) -> float:
    """Of the place, under p."""
    mean, square = 0.0, 0.0
    for k in range(len(p)):
        mean += k * p[k]
    for k in range(len(p)):
        square += (k - mean) ** 2 * p[k]
    return square


@kernel
def _bound(p: Window, q: Window, lower: bool) -> float:
    """Covariance of the two places under the Fréchet bound, whose mass lies along one staircase (Hoeffding 1940)."""
    n = len(p)
    mean_p, mean_q, both = 0.0, 0.0, 0.0
    for k in range(n):
        mean_p += k * p[k]
        mean_q += k * q[k]
    i, j, left_p, left_q = 0, n - 1 if lower else 0, p[0], q[n - 1 if lower else 0]
    while i < n and 0 <= j < n:
        mass = min(left_p, left_q)
        both += mass * i * j
        left_p -= mass
        left_q -= mass
        if left_p <= left_q:
            i += 1
            left_p = p[i] if i < n else 0.0
        else:
            j += -1 if lower else 1
            left_q = q[j] if 0 <= j < n else 0.0
    return both - mean_p * mean_q


@kernel
def _joint_entropy(p: Window, q: Window, log_p: Window, log_q: Window, lower: bool, phi: float, apart: float) -> float:
    """H(joint): in closed form off the bound's staircase, cell by cell on it.

    Off it a cell is (1 − φ) pᵢ qⱼ; were all cells so, the entropy would be (1 − φ) (H(p) + H(q) − log |1 − φ|).
    """
    n, rest, log_rest = len(p), 1 - phi, _log(1 - phi)
    total = rest * (apart - log_rest)
    i, j, left_p, left_q = 0, n - 1 if lower else 0, p[0], q[n - 1 if lower else 0]
    while i < n and 0 <= j < n:
        mass, cell = min(left_p, left_q), rest * p[i] * q[j]
        full = cell + phi * mass
        total += cell * (log_rest + log_p[i] + log_q[j]) - full * _log(full)
        left_p -= mass
        left_q -= mass
        if left_p <= left_q:
            i += 1
            left_p = p[i] if i < n else 0.0
        else:
            j += -1 if lower else 1
            left_q = q[j] if 0 <= j < n else 0.0
    return total
