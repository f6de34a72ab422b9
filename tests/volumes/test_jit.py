"""A compiled loop is the function it was."""

import numpy as np
import pytest

from volumes.jit import inlined, kernel


@inlined
def _squared(x: float) -> float:
    return x * x


@kernel
def _sum_of_squares(values: np.ndarray) -> float:
    total = 0.0
    for value in values:
        total += _squared(value)
    return total


def test_the_kernel_gives_what_python_gives(rng):
    values = rng.random(100)
    assert _sum_of_squares(values) == pytest.approx(float((values**2).sum()))
    assert _sum_of_squares(values) == _sum_of_squares.py_func(values)


def test_the_kernel_keeps_its_name_and_leaves_the_interpreters_lock(rng):
    assert _sum_of_squares.__name__ == "_sum_of_squares"
    assert _sum_of_squares.targetoptions["nogil"]
    assert _sum_of_squares.targetoptions["nopython"]
