"""From a voxel of any grid to the frame of a cell, where its nucleus is a radius in each direction."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from phantom.cells.cells import Cells
from phantom.cells.shape import normalised, radius
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

Edges: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
"""The steps (z, y, x) to the next voxel along the three index axes, one after the other."""


class Bodies(NamedTuple):
    """The cells as the kernels take them: one row a cell, so that a loop over voxels holds no more than two short rows.

    Parameters
    ----------
    frame : (n, 17): the centroid (0–2), ``A = F⁻¹/κ`` row by row (3–11), ``g`` (12–14), ``1 + Σ|b|``, which no ``r``
        exceeds (15), and how much larger the whole cell is than its nucleus (16).
    bumps : of the radius ``r(v̂)``, (n, k).
    """

    frame: NDArray[np.float64]
    bumps: NDArray[np.float64]


def bodies(cells: Cells) -> Bodies:
    """What the kernels need of these cells."""
    scale, shift = normalised(cells.bumps)
    inward = np.linalg.inv(cells.frame_um) / scale[:, None, None]
    longest = 1 + np.abs(cells.bumps).sum(1)
    columns = [cells.centre_um, inward.reshape(-1, 9), shift, longest[:, None], cells.body[:, None]]
    return Bodies(np.concatenate(columns, 1), np.ascontiguousarray(cells.bumps, dtype=np.float64))


@inlined
def inside(frame: AnyArray, points: AnyArray, i: int, j: int, k: int) -> tuple[float, float, float]:
    """Where the centre of voxel (i, j, k) lies in the frame of a cell: ``v = A (x − c) + g``."""
    z, y, x = points[i, j, k, 0] - frame[0], points[i, j, k, 1] - frame[1], points[i, j, k, 2] - frame[2]
    return (
        frame[3] * z + frame[4] * y + frame[5] * x + frame[12],
        frame[6] * z + frame[7] * y + frame[8] * x + frame[13],
        frame[9] * z + frame[10] * y + frame[11] * x + frame[14],
    )


@kernel
def outwardness(bumps: AnyArray, z: float, y: float, x: float) -> float:
    """``ρ = |v| / r(v̂)``: below 1 inside the nucleus, 1 on its surface."""
    far = np.sqrt(z * z + y * y + x * x)
    if far < 1e-12:
        return 0.0
    return float(far / radius(bumps, z / far, y / far, x / far))


@kernel
def edges_um(points: AnyArray, voxel_um: AnyArray, i: int, j: int, k: int) -> Edges:
    """The steps to the next voxel in the specimen's frame, µm.

    Along y and x they are differences within the plane. The one along z stands upright on both, as long as they say
    that a voxel is: a plane then looks the same whichever planes are drawn together with it.
    """
    ny, nx = points.shape[1], points.shape[2]
    if ny < 2 or nx < 2:
        return voxel_um[0], 0.0, 0.0, 0.0, voxel_um[1], 0.0, 0.0, 0.0, voxel_um[2]
    b, f, c, d = max(j - 1, 0), min(j + 1, ny - 1), max(k - 1, 0), min(k + 1, nx - 1)
    v, u = 1.0 / (f - b), 1.0 / (d - c)
    yz = (points[i, f, k, 0] - points[i, b, k, 0]) * v
    yy = (points[i, f, k, 1] - points[i, b, k, 1]) * v
    yx = (points[i, f, k, 2] - points[i, b, k, 2]) * v
    xz = (points[i, j, d, 0] - points[i, j, c, 0]) * u
    xy = (points[i, j, d, 1] - points[i, j, c, 1]) * u
    xx = (points[i, j, d, 2] - points[i, j, c, 2]) * u
    zz, zy, zx = yy * xx - yx * xy, yx * xz - yz * xx, yz * xy - yy * xz
    area = np.sqrt(zz * zz + zy * zy + zx * zx)
    if area == 0:
        return voxel_um[0], 0.0, 0.0, yz, yy, yx, xz, xy, xx
    up = voxel_um[0] / np.sqrt(area * voxel_um[1] * voxel_um[2])
    return zz * up, zy * up, zx * up, yz, yy, yx, xz, xy, xx


@inlined
def edges_inside(frame: AnyArray, e: Edges) -> Edges:
    """The same steps in the frame of a cell: ``A e``."""
    return (
        frame[3] * e[0] + frame[4] * e[1] + frame[5] * e[2],
        frame[6] * e[0] + frame[7] * e[1] + frame[8] * e[2],
        frame[9] * e[0] + frame[10] * e[1] + frame[11] * e[2],
        frame[3] * e[3] + frame[4] * e[4] + frame[5] * e[5],
        frame[6] * e[3] + frame[7] * e[4] + frame[8] * e[5],
        frame[9] * e[3] + frame[10] * e[4] + frame[11] * e[5],
        frame[3] * e[6] + frame[4] * e[7] + frame[5] * e[8],
        frame[6] * e[6] + frame[7] * e[7] + frame[8] * e[8],
        frame[9] * e[6] + frame[10] * e[7] + frame[11] * e[8],
    )


@inlined
def lengths(e: Edges) -> tuple[float, float, float]:
    """How long each of the three steps is."""
    return (
        np.sqrt(e[0] * e[0] + e[1] * e[1] + e[2] * e[2]),
        np.sqrt(e[3] * e[3] + e[4] * e[4] + e[5] * e[5]),
        np.sqrt(e[6] * e[6] + e[7] * e[7] + e[8] * e[8]),
    )


@inlined
def across(e: Edges, z: float, y: float, x: float) -> float:
    """How wide a voxel is along a unit vector: ``√Σ (e · û)²``, which gives a ramp the variance of the voxel itself.

    A voxel seen along û is the convolution of three boxes as wide as ``e · û``; variances of convolutions add.
    """
    one, two, three = e[0] * z + e[1] * y + e[2] * x, e[3] * z + e[4] * y + e[5] * x, e[6] * z + e[7] * y + e[8] * x
    return float(np.sqrt(one * one + two * two + three * three))


@kernel
def widest(e: Edges) -> float:
    """No less than :func:`across` in any direction: ``‖E‖₂² ≤ ‖EᵀE‖_∞``."""
    one = e[0] * e[0] + e[1] * e[1] + e[2] * e[2]
    two = e[3] * e[3] + e[4] * e[4] + e[5] * e[5]
    three = e[6] * e[6] + e[7] * e[7] + e[8] * e[8]
    a = abs(e[0] * e[3] + e[1] * e[4] + e[2] * e[5])
    b = abs(e[0] * e[6] + e[1] * e[7] + e[2] * e[8])
    c = abs(e[3] * e[6] + e[4] * e[7] + e[5] * e[8])
    return float(np.sqrt(max(one + a + b, two + a + c, three + b + c)))
