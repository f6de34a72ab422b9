"""The one way that a loop is compiled here: numba, cached on disk, free of the interpreter's lock, typed for mypy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers at its first call; one thread, no Python objects inside."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Like :func:`kernel`, for a small function that other kernels call in their inner loop."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, inline="always")(function))
