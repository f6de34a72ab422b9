"""Pairs of landmarks that do not belong: two that were exchanged, or one that lies elsewhere."""

from __future__ import annotations

from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from registration.landmarks.models import FREEDOM, LinearModel, Model, Pairs, fitted, leverage, misses, moments
from registration.landmarks.thin_plate import Solved, left_out_misses
from volumes.shapes import Points
from volumes.transform import Affine

SWAP_GAIN = 0.5
"""Two moving points are taken for exchanged where exchanging them brings the error below this share."""
SUSPECTS = 8
"""Exchanges are tried among so many pairs, those that fit the others worst."""
CHANCE = 0.01
"""A pair is named when chance would make the worst of so many as bad less often than this."""
SMALLEST_MISS = 0.01
"""Pairs that miss by less than this share of the spread are not named."""
BENT_MISS = 3.0
"""A pair of a thin plate is named only if it misses by so many times the median: what lies between bends too."""
_ROUNDING = 1e-9


def exchanged(pairs: Pairs, model: Model, missed: NDArray[np.float64], solved: Solved | None) -> list[str]:
    """The two pairs whose moving points, exchanged, make the error fall most, where it falls a long way."""
    before = _residual(pairs, model, pairs.moving_um, solved)
    if not SMALLEST_MISS * pairs.spread_um < before < np.inf:
        return []
    worst = np.argsort(-missed, kind="stable")[:SUSPECTS]
    trials = [
        (_residual(pairs, model, _swapped(pairs.moving_um, i, j), solved), i, j) for i, j in combinations(worst, 2)
    ]
    after, i, j = min(trials)
    if after > SWAP_GAIN * before:
        return []
    return [
        f"{pairs.names[i]!r} and {pairs.names[j]!r} look exchanged: with their moving points the other way round the "
        f"error falls from {before:.3g} to {after:.3g} µm"
    ]


def _swapped(points: Points, i: int, j: int) -> Points:
    out = points.copy()
    out[[i, j]] = points[[j, i]]
    return out


def _residual(pairs: Pairs, model: Model, moving: Points, solved: Solved | None) -> float:
    """Of a linear map the error of its fit; of a thin plate, which has none, that of leaving each out."""
    if solved is None:
        linear = cast(LinearModel, model)
        matrix = fitted(linear, moments(pairs.fixed_um, moving, pairs.weights))
        return float(np.sqrt(pairs.weights @ misses(matrix, pairs.fixed_um, moving) ** 2))
    return float(np.sqrt(pairs.weights @ left_out_misses(solved, moving) ** 2))


def misplaced(pairs: Pairs, model: Model, left_outs: NDArray[np.float64], solved: Solved | None) -> list[str]:
    """The pair furthest from where the others bring it, where chance hardly makes one so far: an F-test."""
    if np.isnan(left_outs).any():
        return []
    worst = int(np.argmax(left_outs))
    least = SMALLEST_MISS * pairs.spread_um
    if model == "thin_plate":
        least = max(least, BENT_MISS * float(np.median(left_outs)))
    if left_outs[worst] <= least:
        return []
    spare = 3 * (len(pairs.names) - 1) - FREEDOM[model]
    if spare <= 0:
        return []
    ratio = (
        _missed(pairs, cast(LinearModel, model), worst, spare) if solved is None else _bent(pairs, solved, worst, spare)
    )
    if len(pairs.names) * float(fdtrc(3, spare, ratio)) > CHANCE:
        return []
    return [
        f"{pairs.names[worst]!r} lies {left_outs[worst]:.3g} µm from where the others bring it, far more than they "
        "scatter: check that pair"
    ]


def _missed(pairs: Pairs, linear: LinearModel, worst: int, spare: int) -> float:
    """Squared error of one pair under the linear fit to the others, by what their scatter lets expect."""
    rest = np.arange(len(pairs.names)) != worst
    weights = pairs.weights[rest] / pairs.weights[rest].sum()
    matrix = fitted(linear, moments(pairs.fixed_um[rest], pairs.moving_um[rest], weights))
    errors = misses(matrix, pairs.fixed_um, pairs.moving_um)
    transform, scale = Affine(matrix[0]), len(pairs.names)
    variance = float(scale * pairs.weights[rest] @ errors[rest] ** 2) / spare
    moved = transform(pairs.fixed_um)
    grows = leverage(linear, moved[rest], scale * pairs.weights[rest], moved[[worst]])[0]
    expected = max(variance, (_ROUNDING * pairs.spread_um) ** 2) * (3 / (scale * pairs.weights[worst]) + grows)
    return float(errors[worst] ** 2 / expected)


def _bent(pairs: Pairs, solved: Solved, worst: int, spare: int) -> float:
    """The same for a thin plate, taken for the mean of a random field whose covariance is its kernel (kriging)."""
    size = max(abs(float(solved[worst, worst])), _ROUNDING)
    bent = solved @ pairs.moving_um
    energy = abs(float(np.sum(pairs.moving_um * bent)))
    own = float(bent[worst] @ bent[worst]) / size
    return own / 3 / max((energy - own) / spare, _ROUNDING**2 * own, 1e-300)
