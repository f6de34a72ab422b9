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
BLOCK = 512
"""Values whose bins are worked out together, before they are counted one by one."""


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
    counts = np.zeros((4, BINS), np.int64)
    start, per_bin = flat.dtype.type(least), flat.dtype.type(BINS / (greatest - least))
    _count(flat, start, per_bin, counts)
    low, high = _quantiles(flat, start, per_bin, counts.sum(axis=0))
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


def _quantiles(flat: AnyArray, least: float, per_bin: float, counts: AnyArray) -> tuple[float, float]:
    """Only the bins that hold the neighbouring ranks are sorted: the same numbers as ``numpy.quantile``."""
    ends = np.cumsum(counts)
    ranks = [q * (flat.size - 1) for q in (LOW, HIGH)]
    bins = np.array(
        [[np.searchsorted(ends, min(int(r) + d, flat.size - 1), side="right") for d in (0, 1)] for r in ranks]
    )
    starts = ends[bins[:, 0]] - counts[bins[:, 0]]
    sizes = ends[bins[:, 1]] - starts
    inside = [np.empty(int(size), flat.dtype) for size in sizes]
    _gather(flat, least, per_bin, bins, inside[0], inside[1])
    low, high = (_between(values, rank - int(start)) for values, rank, start in zip(inside, ranks, starts, strict=True))
    return low, high


def _between(values: AnyArray, rank: float) -> float:
    """The value at a rank between two whole ones; the values are left in another order."""
    below = int(rank)
    above = min(below + 1, values.size - 1)
    values.partition((below, above))
    a, b = float(values[below]), float(values[above])
    return a + (b - a) * (rank - below)


@kernel
def _count(flat: AnyArray, least: float, per_bin: float, counts: AnyArray) -> None:
    """In four tables by turns: neighbours are often of one bin, and then need not wait for each other."""
    bins = np.empty(BLOCK, np.int32)
    for first in range(0, flat.size, BLOCK):
        part = flat[first : first + BLOCK]
        _bins(part, least, per_bin, bins)
        for i in range(part.size):
            counts[i % 4, bins[i]] += 1


@kernel
def _gather(flat: AnyArray, least: float, per_bin: float, ends: AnyArray, low: AnyArray, high: AnyArray) -> None:
    """The values of either range of bins; the two may overlap. Most blocks hold none of one, many of neither."""
    bins = np.empty(BLOCK, np.int32)
    n, m = 0, 0
    for first in range(0, flat.size, BLOCK):
        part = flat[first : first + BLOCK]
        _bins(part, least, per_bin, bins)
        n = _taken(part, bins, ends[0, 0], ends[0, 1], low, n)
        m = _taken(part, bins, ends[1, 0], ends[1, 1], high, m)


@kernel
def _bins(part: AnyArray, least: float, per_bin: float, bins: AnyArray) -> None:
    for i in range(part.size):
        bins[i] = min(np.int32((part[i] - least) * per_bin), np.int32(BINS - 1))


@kernel
def _taken(part: AnyArray, bins: AnyArray, first: int, last: int, out: AnyArray, n: int) -> int:
    """Copy what lies in the bins from first to last to ``out[n:]``; where that ends."""
    number = 0
    for i in range(part.size):
        number += 1 if first <= bins[i] <= last else 0
    if number > 0:
        for i in range(part.size):
            if first <= bins[i] <= last:
                out[n] = part[i]
                n += 1
    return n
