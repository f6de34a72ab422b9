"""Any transform as what files hold: an affine map, and what remains of it on a grid; how far off that is, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray

from volumes.displacement import DisplacementField
from volumes.errors import GridError, TransformError
from volumes.grid import Grid
from volumes.shapes import Points, Shape3, Triple
from volumes.transform import Affine, Composite, Transform, as_affine

GENTLE = 4.0
"""The taper is so many times as wide as the largest displacement that it brings to 0, so that it does not fold."""
LEAST_MARGIN = 2
"""Voxels of the taper on each side, at least."""
MOST_VOXELS = 1 << 28
"""A field of more voxels than this is refused."""
CHECKS = 8192
"""Random points at which the sampled transform is held against the true one, and as many middles of random cells."""
_LATTICE = 9


@dataclass(frozen=True, eq=False)
class Sampled:
    """A transform for files, and how far it lies from the one it stands for.

    Parameters
    ----------
    transform : an Affine, if the true one is linear; else ``Composite((affine, field))``: x ↦ A (x + u(x)). Outside
        the grid u falls off to 0, so that the map is continuous and tends to A.
    error_um : the largest distance between both over random points of the grid's field of view, the middles of random
        cells, and the points given; for an inverse also how far points come back from where they began.
    """

    transform: Affine | Composite
    error_um: float


def sampled(
    transform: Transform,
    grid: Grid,
    spacing_um: Triple | None = None,
    *,
    also_um: ArrayLike | None = None,
    limit_um: float | None = None,
) -> Sampled:
    """A transform, sampled over the field of view of a grid, plane by plane; nothing outside of it is asked for.

    Parameters
    ----------
    transform : fixed points → moving points, world (z, y, x) µm.
    grid : the fixed volume's.
    spacing_um : µm between samples along the grid's axes; its own when left out. Wider ones make smaller files.
    also_um : points (n, 3) at which the error is measured too, for instance landmarks.
    limit_um : the largest error that is taken.

    Raises
    ------
    TransformError : points that are not finite; a best affine map that is singular; an error above the limit.
    GridError : too many voxels.
    """
    linear = as_affine(transform)
    if linear is not None:
        return Sampled(linear, 0.0)
    affine = _best_affine(transform, grid)
    samples = grid if spacing_um is None else grid.with_spacing(spacing_um)
    out = Composite((affine, _tapered(_rest(transform, affine.inverse(), samples), samples)))
    places = [*_places(grid, samples), *([] if also_um is None else [np.asarray(also_um, dtype=np.float64)])]
    error = max(_apart(out(points), transform(points)) for points in places)
    return _within(Sampled(out, error), limit_um)


def sampled_inverse(
    transform: Transform,
    fixed_grid: Grid,
    moving_grid: Grid,
    spacing_um: Triple | None = None,
    *,
    limit_um: float | None = None,
) -> Sampled:
    """The inverse of a transform, sampled over the field of view of the moving volume.

    Parameters
    ----------
    transform : fixed points → moving points; its ``inverse()`` is asked at the moving grid's points.
    fixed_grid : where points start that must come back, there by the transform and back by the result.
    moving_grid : the moving volume's.
    spacing_um : µm between samples along the moving grid's axes; its own when left out.
    limit_um : the largest error that is taken.

    Raises
    ------
    TransformError : no inverse somewhere in the moving field of view, because the transform folds or tears there; grids
        that it lays apart; or as :func:`sampled`.
    GridError : too many voxels.
    """
    found = sampled(transform.inverse(), moving_grid, spacing_um)
    start = np.concatenate(_places(fixed_grid, fixed_grid))
    there = transform(start)
    within = _is_inside(moving_grid, there)
    if not within.any():
        raise TransformError(
            "brings no point of the fixed grid into the moving one",
            field="transform",
            value=there.mean(axis=0).tolist(),
            remedy="Check which way it maps, fixed to moving, and the order of the grids",
        )
    error = max(found.error_um, _apart(found.transform(there[within]), start[within]))
    return _within(Sampled(found.transform, error), limit_um)


def _within(found: Sampled, limit_um: float | None) -> Sampled:
    if limit_um is None or found.error_um <= limit_um:
        return found
    raise TransformError(
        f"is off by {found.error_um:.3g} µm between its samples, more than {limit_um} µm",
        field="spacing_um",
        remedy="Sample it more finely",
    )


def _best_affine(transform: Transform, grid: Grid) -> Affine:
    """The affine map of least squares over a lattice that fills the field of view."""
    axes = [np.linspace(-0.5, n - 0.5, _LATTICE) for n in grid.shape]
    points = grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3))
    moved = _finite(transform(points), "the grid's lattice")
    middle, centre = points.mean(axis=0), moved.mean(axis=0)
    linear = np.linalg.lstsq(points - middle, moved - centre, rcond=None)[0].T
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, centre - linear @ middle
    return Affine(matrix)


def _rest(transform: Transform, back: Affine, grid: Grid) -> Float64[np.ndarray, "z y x 3"]:
    """``u(x) = A⁻¹ T(x) − x`` at the voxels, and on one layer more on each side.

    The outer layers are run on to from the outermost centres and the edge of the field of view, half a voxel further,
    so that the interpolation is right up to that edge and nothing beyond it is asked for.
    """
    out = np.empty((*(n + 2 for n in grid.shape), 3))
    axes = [np.concatenate([[-0.5], np.arange(n), [n - 0.5]]) for n in grid.shape]
    rows = np.stack(np.meshgrid(*axes[1:], indexing="ij"), -1).reshape(-1, 2)
    for layer, z in enumerate(axes[0]):
        points = grid.to_world(np.column_stack([np.full(len(rows), z), rows]))
        moved = _finite(transform(points), f"plane z = {z}")
        out[layer] = (back(moved) - points).reshape(out.shape[1:])
    for axis in range(3):
        along = np.moveaxis(out, axis, 0)
        along[0] = 2 * along[0] - along[1]
        along[-1] = 2 * along[-1] - along[-2]
    return out


def _tapered(rest: Float64[np.ndarray, "z y x 3"], grid: Grid) -> DisplacementField:
    """The field with a margin over which it falls off to 0 linearly, of its own width along each axis."""
    faces = [np.moveaxis(rest, axis, 0)[[0, -1]] for axis in range(3)]
    largest = max(float(np.linalg.norm(face, axis=-1).max()) for face in faces)
    margins = [max(LEAST_MARGIN, int(np.ceil(GENTLE * largest / step))) for step in grid.spacing_um]
    shape = _wider(rest.shape[:3], margins, largest)
    wide = np.zeros((*shape, 3))
    wide[tuple(slice(m, m + n) for m, n in zip(margins, rest.shape[:3], strict=True))] = rest
    for axis, margin in enumerate(margins):
        along = np.moveaxis(wide, axis, 0)
        for k in range(1, margin):
            share = 1 - k / margin
            np.multiply(along[margin], share, out=along[margin - k])
            np.multiply(along[-1 - margin], share, out=along[k - 1 - margin])
    origin = grid.to_world([[-1.0 - m for m in margins]])[0].tolist()
    return DisplacementField(wide, Grid(shape, grid.spacing_um, origin, grid.direction))


def _wider(shape: tuple[int, ...], margins: list[int], largest_um: float) -> Shape3:
    z, y, x = (n + 2 * m for n, m in zip(shape, margins, strict=True))
    if z * y * x > MOST_VOXELS:
        raise GridError(
            f"needs a field of {z} × {y} × {x} voxels, to bring {largest_um:.3g} µm at its border gently to 0",
            field="spacing_um",
            remedy="Sample more coarsely",
        )
    return z, y, x


def _places(grid: Grid, samples: Grid) -> list[Points]:
    """Random points of the field of view, and middles of random cells, between whose corners the error is largest."""
    rng = np.random.default_rng(0)
    anywhere = rng.uniform(-0.5, np.asarray(grid.shape) - 0.5, (CHECKS, 3))
    cells = rng.integers(0, np.maximum(np.asarray(samples.shape) - 1, 1), (CHECKS, 3))
    middles = np.minimum(cells + 0.5, np.asarray(samples.shape) - 0.5)
    return [grid.to_world(anywhere), samples.to_world(middles)]


def _is_inside(grid: Grid, points: Points) -> NDArray[np.bool_]:
    index = grid.to_index(points)
    return np.asarray(((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)).all(axis=1))


def _finite(points: Points, where: str) -> Points:
    if not np.isfinite(points).all():
        raise TransformError("gives points that are not finite", field="transform", value=where)
    return points


def _apart(a: Points, b: Points) -> float:
    """The largest distance between points of equal rows; 0 of none."""
    return float(np.linalg.norm(_finite(a, "checks") - _finite(b, "checks"), axis=1).max(initial=0.0))
