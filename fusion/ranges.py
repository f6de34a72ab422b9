"""The range of a source that a few hot or dead voxels cannot stretch."""

from __future__ import annotations

import numpy as np

from volumes.errors import ContentError
from volumes.jit import kernel
from volumes.shapes import AnyArray

LOW, HIGH = 0.005, 0.998
"""The quantiles between which nearly all of a source lies."""

LEAST_SPAN, GREATEST_SPAN = 1e-15, 1e18
"""Spans whose details can be squared and summed in float32, and so be compared."""

BINS = 4096


def robust_range(values: AnyArray, what: str) -> tuple[float, float]:
    """The 0.5 and 99.8 percentiles of the values; where both are one, the least and the greatest.

    Parameters
    ----------
    values : floats of any shape, at least one, all finite.
    what : names them in an error.

    Returns
    -------
    Two equal numbers only if all values are equal.

    Raises
    ------
    ContentError : values too large or too close to each other for float32.
    """
    flat = np.ascontiguousarray(values).ravel()
    least, greatest = float(flat.min()), float(flat.max())
    require_span(least, greatest, what)
    if least == greatest:
        return least, greatest
    counts = np.zeros(BINS, np.int64)
    per_bin = BINS / (greatest - least)
    _count(flat, least, per_bin, counts)
    low, high = (_quantile(flat, q, least, per_bin, counts) for q in (LOW, HIGH))
    return (low, high) if low < high else (least, greatest)


def require_span(least: float, greatest: float, what: str) -> None:
    """Raise ContentError unless the two are equal or as far apart as float32 arithmetic on their squares allows."""
    if least != greatest and not LEAST_SPAN <= greatest - least <= GREATEST_SPAN:
        raise ContentError(
            f"spans more than {GREATEST_SPAN:g} or less than {LEAST_SPAN:g}, too far for float32",
            field=what,
            value=(least, greatest),
            remedy="Give it in a unit in which its values are nearer to 1",
        )


def _quantile(flat: AnyArray, q: float, least: float, per_bin: float, counts: AnyArray) -> float:
    """Only the bins that hold the two neighbouring ranks are sorted: the same number as ``numpy.quantile``."""
    rank = q * (flat.size - 1)
    below = int(rank)
    above = min(below + 1, flat.size - 1)
    ends = np.cumsum(counts)
    first, last = (int(np.searchsorted(ends, k, side="right")) for k in (below, above))
    start = int(ends[first] - counts[first])
    inside = np.empty(int(ends[last]) - start, flat.dtype)
    _gather(flat, least, per_bin, first, last, inside)
    inside.sort()
    a, b = float(inside[below - start]), float(inside[above - start])
    return a + (b - a) * (rank - below)


@kernel
def _count(flat: AnyArray, least: float, per_bin: float, counts: AnyArray) -> None:
    for i in range(flat.size):
        counts[min(int((flat[i] - least) * per_bin), counts.size - 1)] += 1


@kernel
def _gather(flat: AnyArray, least: float, per_bin: float, first: int, last: int, out: AnyArray) -> None:
    n = 0
    for i in range(flat.size):
        b = min(int((flat[i] - least) * per_bin), BINS - 1)
        if first <= b <= last:
            out[n] = flat[i]
            n += 1
