"""Fuzzy c-means: every point belongs to every cluster to some degree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumes.jit import kernel
from volumes.shapes import AnyArray

TINY = 1e-12
"""Squared distance that a point on a centre counts as."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Where the clusters lie, and how J fell.

    Parameters
    ----------
    centres : (c, d), in the order in which they were given.
    objective : J before each move of the centres, falling.
    """

    centres: NDArray[np.float64]
    objective: tuple[float, ...]


def fuzzy_c_means(
    points: NDArray[np.float32], start: NDArray[np.float64], rounds: int = 60, tolerance: float = 1e-4
) -> Clusters:
    """Minimise J = Σₖ Σᵢ uᵢₖ² |xₖ − cᵢ|² over memberships u and centres c, in turn, from given centres.

    Bezdek 1981, "Pattern recognition with fuzzy objective function algorithms", with fuzziness 2: uᵢₖ is the inverse
    squared distance to centre i over the sum of those to all, and cᵢ the mean of the points, weighted by uᵢₖ².

    Parameters
    ----------
    points : (n, d).
    start : (c, d).
    rounds : at most.
    tolerance : of J; a round that lowers it by a smaller share is the last.
    """
    centres, objective = start.astype(np.float64), list[float]()
    for _ in range(rounds):
        moved, value = _round(points, centres)
        objective.append(value)
        centres = moved
        if len(objective) > 1 and objective[-2] - value <= tolerance * objective[-2]:
            break
    return Clusters(centres, tuple(objective))


def memberships(points: NDArray[np.float32], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, c) degrees; each row sums to 1."""
    squared = ((points[:, None, :].astype(np.float64) - centres) ** 2).sum(axis=-1)
    inverse = 1 / np.maximum(squared, TINY)
    degrees: NDArray[np.float64] = inverse / inverse.sum(axis=1, keepdims=True)
    return degrees


@kernel
def nearest(points: AnyArray, centres: AnyArray) -> NDArray[np.int64]:
    """(n,) the cluster to which each point belongs most."""
    out = np.empty(points.shape[0], np.int64)
    for k in range(points.shape[0]):
        best, least = 0, np.inf
        for i in range(centres.shape[0]):
            squared = 0.0
            for j in range(points.shape[1]):
                squared += (points[k, j] - centres[i, j]) ** 2
            if squared < least:
                best, least = i, squared
        out[k] = best
    return out


@kernel
def _round(points: AnyArray, centres: AnyArray) -> tuple[NDArray[np.float64], float]:
    """The centres after one round, and J before it."""
    c, d = centres.shape
    sums, weights, inverse = np.zeros((c, d)), np.zeros(c), np.empty(c)
    objective = 0.0
    for k in range(points.shape[0]):
        total = 0.0
        for i in range(c):
            squared = 0.0
            for j in range(d):
                squared += (points[k, j] - centres[i, j]) ** 2
            inverse[i] = 1 / max(squared, TINY)
            total += inverse[i]
        for i in range(c):
            degree = inverse[i] / total
            weight = degree * degree
            objective += weight / inverse[i]
            weights[i] += weight
            for j in range(d):
                sums[i, j] += weight * points[k, j]
    for i in range(c):
        for j in range(d):
            sums[i, j] /= weights[i]
    return sums, objective
