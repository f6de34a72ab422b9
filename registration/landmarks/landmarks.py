"""The transform that paired landmarks give, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from registration.landmarks.doubts import judged
from registration.landmarks.models import (
    FREEDOM,
    LEAST_POINTS,
    LinearModel,
    Model,
    Pairs,
    fitted,
    leverage,
    misses,
    moments,
    moments_without_each,
    thinness,
)
from registration.landmarks.thin_plate import Solved, ThinPlateSpline, left_out_misses, solve
from registration.quality import Status
from volumes.errors import ConfigError, ContentError, HeaderError, TransformError
from volumes.grid import Grid
from volumes.shapes import Matrix4, Points
from volumes.transform import Affine

DEGENERATE = 1e-3
"""Points whose extent along a needed axis is below this share of their largest do not determine a model."""
SAME = 1e-9
"""Points nearer than this share of their spread are one point."""
UNITS_APART = 50.0
"""Spreads that differ by more than this are taken for a mistaken unit."""
MIRROR_GAIN, MIRROR_MISS = 0.5, 0.05
"""A mirror image that fits this much better than a rotation, which misses by this share of the spread, is one."""


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """A transform through landmarks.

    Parameters
    ----------
    transform : fixed points → moving points, world (z, y, x) µm: an Affine, or a ThinPlateSpline.
    model : which model was fitted.
    error_um : root mean square distance of the moved fixed points from the moving ones, weighted as the fit: the
        fiducial registration error (FRE). It says how well the landmarks were hit, **not** how well what lies between
        them is: the two are uncorrelated for a rigid map (Fitzpatrick 2009), and the FRE of a thin plate is 0.
    errors_um : the same distance of each pair, (n,).
    left_out_um : root mean square of ``left_outs_um``: an honest, slightly pessimistic estimate of the target
        registration error (TRE) near the landmarks. None where some pair cannot be spared.
    left_outs_um : how far each moving point lies from where the fit to all *other* pairs brings it, (n,); NaN where
        the others do not determine the model.
    status : GOOD; DOUBTFUL, to be looked at; FAILED, not to be used.
    reasons : why it is doubtful or failed, with the names of suspect pairs, and what to try.
    pairs : the landmarks that were fitted.
    """

    transform: Affine | ThinPlateSpline
    model: Model
    error_um: float
    errors_um: NDArray[np.float64]
    left_out_um: float | None
    left_outs_um: NDArray[np.float64]
    status: Status
    reasons: tuple[str, ...]
    pairs: Pairs

    def expected_tre_um(self, points: ArrayLike) -> NDArray[np.float64]:
        """Expected root mean square error at fixed points (n, 3), to first order: it grows away from the landmarks.

        ``TRE²(x) = FLE² / N · (1 + ⅓ Σₖ dₖ² / fₖ²)`` for an unweighted rigid map, d the distances of x from the
        landmarks' principal axes and f the landmarks' own root mean squares of them; ``FRE² = (1 − 2 / N) FLE²`` gives
        the error of localisation FLE (Fitzpatrick, West & Maurer 1998, IEEE Trans. Med. Imaging 17, 694). For the
        similarity and the affine map the same with their parameters.

        Raises
        ------
        TransformError : a thin plate, whose error depends on what lies between the landmarks; or no pair to spare.
        """
        spare = 3 * len(self.pairs.names) - FREEDOM[self.model]
        if self.model == "thin_plate" or spare <= 0:
            raise TransformError(
                "has no expected error",
                field="model",
                value=f"{self.model} through {len(self.pairs.names)} points",
                remedy="Look at left_out_um, or add landmarks",
            )
        weights = self.pairs.weights * len(self.pairs.names)
        variance = float(weights @ self.errors_um**2) / spare
        moved, targets = self.transform(self.pairs.fixed_um), self.transform(points)
        return np.sqrt(variance * leverage(self.model, moved, weights, targets))

    def as_dict(self) -> dict[str, object]:
        """The figures as plain values, for JSON."""
        return {
            "model": self.model,
            "landmarks": len(self.pairs.names),
            "error_um": self.error_um,
            "left_out_um": self.left_out_um,
            "errors_um": dict(zip(self.pairs.names, self.errors_um.tolist(), strict=True)),
            "status": self.status.value,
            "reasons": list(self.reasons),
        }


def from_landmarks(
    fixed_um: ArrayLike,
    moving_um: ArrayLike,
    model: Model = "rigid",
    *,
    weights: ArrayLike | None = None,
    smoothing: float = 0.0,
    names: Sequence[str] | None = None,
    field: Grid | None = None,
) -> LandmarkFit:
    """The transform of least squares from fixed to moving landmarks, row by row.

    Parameters
    ----------
    fixed_um, moving_um : (n, 3) each, world (z, y, x) µm; row i of one is row i of the other.
    model : ``rigid`` and ``similarity`` (3 points or more, not on one line; never a mirror image), ``affine`` and
        ``thin_plate`` (4 or more, not in one plane). One or two more than that are needed to check the fit.
    weights : of the pairs, above 0, as one over the variance of each; all alike when left out.
    smoothing : of a thin plate, µm: 0 passes through every landmark, more forgives errors of localisation.
    names : of the pairs, for the reasons; their row numbers when left out.
    field : the fixed volume's grid, to see how much of it the landmarks cover.

    Raises
    ------
    ContentError : counts that differ, points that are not finite, two at one place, weights that are not above 0.
    TransformError : too few points, or points that leave the model undetermined; points that fit a mirror image.
    HeaderError : spreads so different that one unit must be wrong.
    ConfigError : a model that is not known, or an option that this model does not have.
    """
    _check_options(model, weights, smoothing)
    pairs = _pairs(fixed_um, moving_um, weights, names)
    _check_points(pairs, model)
    transform = _fit(pairs, model, smoothing)
    errors = np.linalg.norm(transform(pairs.fixed_um) - pairs.moving_um, axis=1)
    error = float(np.sqrt(pairs.weights @ errors**2))
    relative = pairs.weights * len(pairs.names)
    solved = solve(pairs.fixed_um, smoothing, relative)[0] if model == "thin_plate" else None
    left_outs = _left_outs(pairs, model, solved)
    left_out = float(np.sqrt(pairs.weights @ left_outs**2)) if np.isfinite(left_outs).all() else None
    status, reasons = judged(pairs, model, transform, errors, left_outs, solved, field)
    return LandmarkFit(transform, model, error, errors, left_out, left_outs, status, reasons, pairs)


def _check_options(model: str, weights: ArrayLike | None, smoothing: float) -> None:
    if model not in FREEDOM:
        raise ConfigError("no such model", field="model", value=model, remedy=f"Known: {', '.join(FREEDOM)}")
    if not 0 <= smoothing < np.inf:
        raise ConfigError("must be finite and at least 0", field="smoothing", value=smoothing)
    if smoothing and model != "thin_plate":
        raise ConfigError(f"does nothing to a {model} map", field="smoothing", value=smoothing, remedy="Leave it out")
    if weights is not None and model == "thin_plate" and not smoothing:
        raise ConfigError(
            "do nothing to a thin plate that passes through every landmark",
            field="weights",
            remedy="Leave them out, or give a smoothing above 0",
        )


def _pairs(fixed_um: ArrayLike, moving_um: ArrayLike, weights: ArrayLike | None, names: Sequence[str] | None) -> Pairs:
    fixed, moving = _points(fixed_um, "fixed_um"), _points(moving_um, "moving_um")
    given = np.ones(len(fixed)) if weights is None else np.array(weights, dtype=np.float64)
    labels = tuple(str(i) for i in range(len(fixed))) if names is None else tuple(names)
    counts = (len(fixed), len(moving), *given.shape, len(labels))
    if len(set(counts)) != 1 or given.ndim != 1:
        raise ContentError(
            "must be as many fixed as moving points, weights and names",
            field="fixed_um",
            value=counts,
            remedy="Match the landmarks by name first: landmark_files.paired",
        )
    if not (np.isfinite(given) & (given > 0)).all():
        raise ContentError("must be finite and above 0", field="weights", value=given.tolist())
    return Pairs(labels, fixed, moving, given / given.sum())


def _points(given: ArrayLike, field: str) -> Points:
    points = np.array(given, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ContentError("needs one (z, y, x) a row", field=field, value=points.shape)
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ContentError(f"row {row} is not finite", field=field, value=points[row].tolist(), remedy="Leave it out")
    return points


def _check_points(pairs: Pairs, model: Model) -> None:
    count = len(pairs.names)
    if count < LEAST_POINTS[model]:
        raise TransformError(
            f"{model} needs at least {LEAST_POINTS[model]} pairs",
            field="fixed_um",
            value=count,
            remedy="Add landmarks, or choose a model with fewer parameters",
        )
    given = moments(pairs.fixed_um, pairs.moving_um, pairs.weights)
    for field, points, covariance in (
        ("fixed_um", pairs.fixed_um, given.fixed),
        ("moving_um", pairs.moving_um, given.moving),
    ):
        _refuse_repeated(pairs, points, field)
        thin = float(thinness(model, covariance)[0])
        if thin <= DEGENERATE:
            shape = "on one line" if model in ("rigid", "similarity") else "in one plane"
            raise TransformError(
                f"lie {shape}, which leaves a {model} map undetermined",
                field=field,
                value=f"extent {thin:.2g} of the largest",
                remedy="Add a landmark away from them, or choose a model with fewer parameters",
            )
    ratio = float(np.sqrt(np.trace(given.moving[0]) / np.trace(given.fixed[0])))
    if not 1 / UNITS_APART <= ratio <= UNITS_APART:
        raise HeaderError(
            f"spreads of fixed and moving points differ by a factor of {max(ratio, 1 / ratio):.3g}",
            field="moving_um",
            remedy="One unit is probably wrong (mm read as µm): state the unit of each file",
        )


def _refuse_repeated(pairs: Pairs, points: Points, field: str) -> None:
    from scipy.spatial import KDTree

    spread = float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())
    repeated = sorted(KDTree(points).query_pairs(SAME * spread))
    if repeated or spread == 0:
        a, b = repeated[0] if repeated else (0, 1)
        raise ContentError(
            f"{pairs.names[a]!r} and {pairs.names[b]!r} lie at one place",
            field=field,
            value=points[a].tolist(),
            remedy="Leave one of them out",
        )


def _fit(pairs: Pairs, model: Model, smoothing: float) -> Affine | ThinPlateSpline:
    linear: LinearModel = "affine" if model == "thin_plate" else model
    given = moments(pairs.fixed_um, pairs.moving_um, pairs.weights)
    matrix = cast(Matrix4, fitted(linear, given)[0])
    if _mirrored(pairs, linear, matrix):
        raise TransformError(
            "the pairs fit a mirror image better than any map without one",
            field="moving_um",
            value=matrix[:3, :3].tolist(),
            remedy="Check the axes of one file (x, y, z against z, y, x; a sign), and the pairs for a mismatch",
        )
    if model == "thin_plate":
        weights = pairs.weights * len(pairs.names)
        return ThinPlateSpline.through(pairs.fixed_um, pairs.moving_um, smoothing, weights)
    return Affine(matrix)


def _mirrored(pairs: Pairs, model: LinearModel, matrix: Matrix4) -> bool:
    if model == "affine":
        return bool(np.linalg.det(matrix[:3, :3]) < 0)
    given = moments(pairs.fixed_um, pairs.moving_um, pairs.weights)
    other = fitted(model, given, mirrored=True)
    miss, mirror = (
        float(np.sqrt(pairs.weights @ misses(m, pairs.fixed_um, pairs.moving_um) ** 2)) for m in (matrix[None], other)
    )
    spread = float(np.sqrt(np.trace(given.moving[0])))
    return mirror < MIRROR_GAIN * miss and miss > MIRROR_MISS * spread


def _left_outs(pairs: Pairs, model: Model, solved: Solved | None) -> NDArray[np.float64]:
    """(n,): how far each moving point lies from where the fit to the others brings it; NaN where there is none."""
    if len(pairs.names) <= LEAST_POINTS[model]:
        return np.full(len(pairs.names), np.nan)
    given = moments_without_each(pairs.fixed_um, pairs.moving_um, pairs.weights)
    enough = np.minimum(thinness(model, given.fixed), thinness(model, given.moving)) > DEGENERATE
    if solved is not None:
        return np.where(enough, left_out_misses(solved, pairs.moving_um), np.nan)
    given.fixed[~enough] = np.eye(3)
    linear = cast(LinearModel, model)
    return np.where(enough, misses(fitted(linear, given), pairs.fixed_um, pairs.moving_um), np.nan)
