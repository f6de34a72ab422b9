"""Sums that are the same to the last bit, whatever the number of threads."""

from __future__ import annotations

from torch import Tensor


def total(values: Tensor) -> Tensor:
    """The sum of all values.

    Torch lets each thread sum a part of a large tensor, so that what is rounded depends on how many there are. Sums
    along the last axis are each made by one thread; axis after axis they leave few enough for one.
    """
    while values.ndim > 1:
        values = values.sum(dim=-1)
    return values.sum()


def average(values: Tensor) -> Tensor:
    """The mean of all values."""
    return total(values) / values.numel()
