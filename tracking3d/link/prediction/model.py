"""What every motion model does: it begins a track, says where it is expected, and learns where it was seen."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import Points

State = TypeVar("State", bound="tuple[NDArray[Any], ...]")
"""What a model knows of n tracks: a named tuple of arrays, one row a track, so that rows can be taken and joined."""


class Expected(NamedTuple):
    """Where tracks will be seen.

    Parameters
    ----------
    zyx_um : (n, 3) expected places, µm.
    covariance_um2 : (n, 3, 3) of a place as it will be measured, its localisation error included, µm².
    """

    zyx_um: Points
    covariance_um2: NDArray[np.float64]


class MotionModel(Protocol[State]):
    """Follows many tracks at once; the states go in and come out, nothing is kept inside."""

    def started(self, zyx_um: Points) -> State:
        """Tracks that are first seen at places (n, 3)."""
        ...

    def predicted(self, state: State, seconds: NDArray[np.float64]) -> tuple[State, Expected]:
        """The tracks, and where they will be seen, each so many seconds (n,) after it was seen last."""
        ...

    def seen(self, predicted: State, zyx_um: Points) -> State:
        """Predicted tracks after each was seen at a place (n, 3)."""
        ...


def taken(state: State, rows: NDArray[np.int64]) -> State:
    """Some of the tracks."""
    return _like(state, [part[rows] for part in state])


def joined(state: State, other: State) -> State:
    """The tracks of both."""
    return _like(state, [np.concatenate(parts) for parts in zip(state, other, strict=True)])


def isotropic(variance_um2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariances (n, 3, 3) with the same variance (n,) along every axis."""
    return np.asarray(variance_um2[:, None, None] * np.eye(3))


def mahalanobis(offset: Points, covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared Mahalanobis lengths (…) of offsets (…, 3), and ½ log det of the covariances (…, 3, 3)."""
    squared = (offset * np.linalg.solve(covariance, offset[..., None])[..., 0]).sum(axis=-1)
    return squared, np.asarray(np.linalg.slogdet(covariance)[1] / 2)


def _like(state: State, parts: list[NDArray[Any]]) -> State:
    return type(state)(*parts)
