"""The compiled loops behind :mod:`registration.deformable.soft_information`: a joint
histogram and the way back from it.
"""

from __future__ import annotations

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray


@inlined
def _coordinate(value: float, bins: int) -> float:
    """Bins 1 … bins − 2 of intensities 0–1, what lies beyond as the end."""
    return 1.0 + min(max(value, 0.0), 1.0) * (bins - 3.0)


@kernel
def count(fixed: AnyArray, warped: AnyArray, weights: AnyArray, histogram: AnyArray) -> None:
    """Adds each weight to the nearest fixed bin, spread over four warped bins by the cubic B-spline.

    Parameters
    ----------
    fixed, warped, weights : (n,).
    histogram : (bins, bins), fixed first.
    """
    bins = len(histogram)
    for s in range(len(fixed)):
        w = weights[s]
        if w <= 0.0:
            continue
        c = _coordinate(warped[s], bins)
        k = min(int(c), bins - 3)
        f = c - k
        r = 1.0 - f
        row = histogram[int(_coordinate(fixed[s], bins) + 0.5)]
        row[k - 1] += w * (r * r * r / 6.0)
        row[k] += w * (2.0 / 3.0 - f * f * (1.0 - f / 2.0))
        row[k + 1] += w * (2.0 / 3.0 - r * r * (1.0 - r / 2.0))
        row[k + 2] += w * (f * f * f / 6.0)


@kernel
def push(fixed: AnyArray, warped: AnyArray, weights: AnyArray, table: AnyArray, out: AnyArray) -> None:
    """``out = weight · Σ_bins table · ∂ share / ∂ warped``; 0 where the intensity is cut off.

    Parameters
    ----------
    fixed, warped, weights : (n,), as in :func:`count`.
    table : derivative by the histogram (bins, bins).
    out : (n,), overwritten.
    """
    bins = len(table)
    for s in range(len(fixed)):
        w, value = weights[s], warped[s]
        if w <= 0.0 or not 0.0 < value < 1.0:
            out[s] = 0.0
            continue
        c = _coordinate(value, bins)
        k = min(int(c), bins - 3)
        f = c - k
        r = 1.0 - f
        row = table[int(_coordinate(fixed[s], bins) + 0.5)]
        along = -r * r / 2.0 * row[k - 1] + f * (1.5 * f - 2.0) * row[k]
        along += r * (2.0 - 1.5 * r) * row[k + 1] + f * f / 2.0 * row[k + 2]
        out[s] = w * along * (bins - 3.0)
