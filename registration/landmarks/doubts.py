"""Whether a fit to landmarks may be used: what it misses, which pairs do not belong, how much they cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from registration.landmarks.mismatch import exchanged, misplaced
from registration.landmarks.models import Model, Pairs, moments, spread_um, thinness
from registration.landmarks.thin_plate import Solved, ThinPlateSpline
from registration.quality import Status
from volumes.grid import Grid
from volumes.transform import Affine

DOUBTFUL_MISS, FAILED_MISS = 0.1, 0.5
"""Leave-one-out errors above these shares of the landmarks' spread are doubtful, or failed."""
DOUBTFUL_THIN = 0.03
"""Landmarks whose least needed extent is below this share of their largest hardly determine the model."""
DOUBTFUL_COVER = 0.25
"""Landmarks whose spread is below this share of the field's cover too little of it."""
_LATTICE = 9


def judged(
    pairs: Pairs,
    model: Model,
    transform: Affine | ThinPlateSpline,
    errors_um: NDArray[np.float64],
    left_outs_um: NDArray[np.float64],
    solved: Solved | None,
    field: Grid | None,
) -> tuple[Status, tuple[str, ...]]:
    """The status of a fit, and each reason against it with what to try."""
    missed = left_outs_um if np.isfinite(left_outs_um).all() else errors_um
    share = float(np.sqrt(pairs.weights @ missed**2)) / pairs.spread_um
    reasons = [
        *_unchecked(pairs, model, left_outs_um),
        *_large(share),
        *(exchanged(pairs, model, missed, solved) or misplaced(pairs, model, left_outs_um, solved)),
        *_thin(pairs, model),
        *_covering(pairs, field),
    ]
    if isinstance(transform, ThinPlateSpline):
        reasons += _folding(transform)
    failed = share > FAILED_MISS
    return Status.FAILED if failed else Status.DOUBTFUL if reasons else Status.GOOD, tuple(reasons)


def _unchecked(pairs: Pairs, model: Model, left_outs: NDArray[np.float64]) -> list[str]:
    needed = [name for name, miss in zip(pairs.names, left_outs, strict=True) if np.isnan(miss)]
    if not needed:
        return []
    named = "any one of them" if len(needed) == len(pairs.names) else ", ".join(repr(name) for name in needed)
    return [f"without {named} the others do not determine a {model} map, so nothing checks it: add landmarks"]


def _large(share: float) -> list[str]:
    if share <= DOUBTFUL_MISS:
        return []
    return [f"landmarks are missed by {share:.0%} of their spread: check the pairs, or try another model"]


def _thin(pairs: Pairs, model: Model) -> list[str]:
    given = moments(pairs.fixed_um, pairs.moving_um, pairs.weights)
    thin = float(min(thinness(model, given.fixed)[0], thinness(model, given.moving)[0]))
    if thin > DOUBTFUL_THIN:
        return []
    shape = "on one line" if model in ("rigid", "similarity") else "in one plane"
    return [f"the landmarks lie nearly {shape} (extent {thin:.2g} of the largest): add one away from them"]


def _covering(pairs: Pairs, field: Grid | None) -> list[str]:
    if field is None:
        return []
    share = spread_um(pairs.fixed_um) / float(np.sqrt((np.asarray(field.extent_um) ** 2).sum() / 12))
    if share > DOUBTFUL_COVER:
        return []
    return [f"the landmarks spread over {share:.0%} of the field: away from them the error grows; add some further out"]


def _folding(spline: ThinPlateSpline) -> list[str]:
    """Over a lattice about the landmarks, and next to each of them, where the spline has kinks."""
    low, high = spline.centres_um.min(axis=0), spline.centres_um.max(axis=0)
    axes = [np.linspace(a, b, _LATTICE) for a, b in zip(low, high, strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    least = np.concatenate([spline.kinks(), np.linalg.det(spline.jacobian(lattice))])
    if least.min() > 0:
        return []
    return [
        f"the spline folds at {(least <= 0).mean():.1%} of the places looked at: check the pairs, or give a smoothing"
    ]
