"""A closed surface that holds itself together: the snake in three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.contours.sphere import sphere
from volumes.jit import kernel
from volumes.shapes import AnyArray, Mask, Shape3, Triple

Floats = NDArray[np.float64]


def evolved(
    points: Floats, pull: Callable[[Floats], Floats], cuts: int, alpha: float, beta: float, step: float, steps: int
) -> Floats:
    """The surface after so many steps of X_t = α ΔX − β Δ²X + pull(X), Δ the Laplacian of the sphere of parameters.

    The snake's equation with the sphere in the place of the circle: E = ∫ α |∇X|² + β |ΔX|² + E_ext. Semi-implicit, as
    in the plane, by one factorised matrix for all cells.

    Parameters
    ----------
    points : (n, 3), where each point of ``sphere(cuts)`` lies.
    """
    solve = _solver(cuts, alpha, beta, step)
    for _ in range(steps):
        points = solve(points + step * pull(points))
    return points


@cache
def _solver(cuts: int, alpha: float, beta: float, step: float) -> Callable[[Floats], Floats]:
    from scipy import sparse
    from scipy.sparse.linalg import splu

    own = sphere(cuts).laplacian
    matrix = sparse.eye_array(own.shape[0]) + step * (alpha * own + beta * (own @ own))
    factors: Any = splu(sparse.csc_array(matrix))
    return lambda right: np.asarray(factors.solve(right))


def around(mask: Mask, spacing_um: Triple, cuts: int) -> Floats:
    """(n, 3) µm, for each point of the sphere where its ray from the mask's centre leaves the mask for good."""
    from scipy import ndimage

    rays = sphere(cuts).points
    centre = np.argwhere(mask).mean(axis=0) * spacing_um
    reach = np.linalg.norm(np.array(mask.shape) * spacing_um)
    way = np.arange(0, reach, min(spacing_um) / 2)
    at = (centre + way[:, None, None] * rays) / spacing_um
    held = ndimage.map_coordinates(mask.astype(np.float32), np.moveaxis(at, -1, 0), order=1, mode="grid-constant") > 0.5
    last = np.where(held.any(axis=0), len(way) - 1 - np.argmax(held[::-1], axis=0), 0)
    out: Floats = centre + way[last][:, None] * rays
    return out


def filled(points_um: Floats, cuts: int, shape: Shape3, spacing_um: Triple) -> Mask:
    """(Z, Y, X) the voxels whose centres lie inside the surface: its winding number is not 0."""
    # A hair off the grid, so that no ray meets an edge or a corner.
    at = points_um / spacing_um + np.array([1.2e-7, 1.7e-7, 0.0])
    inside: Mask = np.cumsum(_crossings(at, sphere(cuts).faces, np.array(shape)), axis=2)[:, :, :-1] != 0
    return inside


@kernel
def _crossings(points: AnyArray, faces: AnyArray, shape: AnyArray) -> AnyArray:
    """(Z, Y, X + 1): ±1 at the first voxel after each crossing of a ray along x, by the way that the triangle faces."""
    out = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    for f in range(len(faces)):
        a, b, c = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        z0, z1 = int(np.ceil(min(a[0], b[0], c[0]))), int(np.floor(max(a[0], b[0], c[0])))
        y0, y1 = int(np.ceil(min(a[1], b[1], c[1]))), int(np.floor(max(a[1], b[1], c[1])))
        for z in range(max(0, z0), min(shape[0] - 1, z1) + 1):
            for y in range(max(0, y0), min(shape[1] - 1, y1) + 1):
                v = ((z - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
                w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (z - a[0])) / area
                if v >= 0 and w >= 0 and v + w <= 1:
                    x = np.ceil(a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2]))
                    out[z, y, int(min(max(x, 0), shape[2]))] += 1 if area > 0 else -1
    return out
