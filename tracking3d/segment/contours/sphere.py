"""A sphere of triangles, on which a closed surface is parametrised, and its Laplacian."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sphere:
    """An icosahedron with each triangle cut in four, again and again, its corners on the unit sphere.

    Parameters
    ----------
    points : (n, 3).
    faces : (m, 3) points of each triangle, seen from outside in one sense.
    laplacian : (n, n), −Δ: its lowest eigenvalues are near l (l + 1), l = 0, 1, 2, …, those of the sphere.
    """

    points: Floats
    faces: NDArray[np.int64]
    laplacian: sparse.csc_array


@cache
def sphere(cuts: int) -> Sphere:
    """The icosahedron cut so many times: 10 · 4^cuts + 2 points."""
    points, faces = _icosahedron()
    for _ in range(cuts):
        points, faces = _cut(points, faces)
    return Sphere(points, faces, _laplacian(points, faces))


def _icosahedron() -> tuple[Floats, NDArray[np.int64]]:
    from scipy.spatial import ConvexHull

    g = (1 + 5**0.5) / 2
    points = np.array([np.roll((0, a, b * g), k) for k in range(3) for a in (-1, 1) for b in (-1, 1)], float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices.astype(np.int64)
    corners = points[faces]
    inward = np.linalg.det(corners) < 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces


def _cut(points: Floats, faces: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    middle = points[unique].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = (len(points) + place.reshape(3, -1)).astype(np.int64)
    a, b, c = faces.T
    quarters = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.vstack([points, middle]), np.concatenate([np.stack(q, axis=1) for q in quarters])


def _laplacian(points: Floats, faces: NDArray[np.int64]) -> sparse.csc_array:
    """−Δ by cotangents, over each point's share of the area (Pinkall and Polthier 1993)."""
    from scipy import sparse

    n = len(points)
    weights = sparse.csc_array((n, n))
    area = np.zeros(n)
    for k in range(3):
        i, j, o = faces[:, (k + 1) % 3], faces[:, (k + 2) % 3], faces[:, k]
        u, v = points[i] - points[o], points[j] - points[o]
        across = np.linalg.norm(np.cross(u, v), axis=1)
        half = (u * v).sum(axis=1) / across / 2
        weights = weights + sparse.csc_array((np.r_[half, half], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
        np.add.at(area, o, across / 6)
    stiff = sparse.csc_array(sparse.diags_array(weights.sum(axis=0)) - weights)
    return sparse.csc_array(sparse.diags_array(1 / area) @ stiff)
