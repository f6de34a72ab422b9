"""The surfaces of cells: free where a cell meets nothing, a common face where two of them meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phantom.cells.bodies import Bodies, Edges, across, edges_inside, edges_um, inside, outwardness, widest
from volumes.jit import kernel
from volumes.shapes import AnyArray

THICKNESS_UM = 0.3
"""Half width of a membrane under a light microscope, in voxels not coarser than that."""
FAINTEST = 2.6
"""So many widths away a membrane is down to 0.1 % and ends."""


class _Nearest(NamedTuple):
    """The two cells in whose bodies each voxel lies deepest, and how deep: ``β = ρ / body``."""

    depth: AnyArray
    row: AnyArray
    next_depth: AnyArray
    next_row: AnyArray


def membranes_of(
    body: Bodies, points: AnyArray, boxes: AnyArray, order: AnyArray, voxel_um: AnyArray
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Strength ``t/width exp(−(d/width)²)`` of the nearest surface and whose it is, (z, y, x); −1 where there is none.

    A body is ``β = ρ/body ≤ 1``. Where bodies overlap a voxel is of the cell with the least β, so that they meet in
    the face ``β_i = β_j``. Distances are those to the tangent plane: ``|1 − β| / |∇β|`` and
    ``(β_j − β_i) / |∇(β_j − β_i)|``. The width is t, :data:`THICKNESS_UM`, or the voxel's across the surface,
    whichever is larger: coarse voxels spread the same light more thinly.

    Parameters
    ----------
    body : the cells.
    points : centres of the voxels, (z, y, x, 3) float32, µm.
    boxes : index bounds of each cell's whole body, (n, 2, 3).
    order : the rows in the order in which ties are decided.
    voxel_um : voxel size, (3,).
    """
    shape = points.shape[:3]
    near = _Nearest(
        np.full(shape, np.inf, np.float32),
        np.full(shape, -1, np.int32),
        np.full(shape, np.inf, np.float32),
        np.full(shape, -1, np.int32),
    )
    _nearest_kernel(points, boxes, order, voxel_um, body, near)
    _shell_kernel(points, voxel_um, body, near)
    return near.depth, near.row


@kernel
def _nearest_kernel(
    points: AnyArray, boxes: AnyArray, order: AnyArray, voxel_um: AnyArray, body: Bodies, near: _Nearest
) -> None:
    for n in order:
        if (boxes[n, 0] < boxes[n, 1]).all():
            _compare(points, boxes[n], voxel_um, body.frame[n], body.bumps[n], n, near)


@kernel
def _compare(
    points: AnyArray, box: AnyArray, voxel_um: AnyArray, frame: AnyArray, bumps: AnyArray, n: int, near: _Nearest
) -> None:
    """Put one cell in its place among the two that each voxel lies deepest in."""
    first, first_row, second, second_row = near
    low, high = box[0], box[1]
    middle = (low + high) // 2
    edges = edges_inside(frame, edges_um(points, voxel_um, middle[0], middle[1], middle[2]))
    reach = frame[15] * frame[16] + FAINTEST * _thickest(frame, edges)
    for i in range(low[0], high[0]):
        for j in range(low[1], high[1]):
            for k in range(low[2], high[2]):
                z, y, x = inside(frame, points, i, j, k)
                if not z * z + y * y + x * x < reach * reach:
                    continue
                depth = np.float32(outwardness(bumps, z, y, x) / frame[16])
                if depth < first[i, j, k]:
                    second[i, j, k], second_row[i, j, k] = first[i, j, k], first_row[i, j, k]
                    first[i, j, k], first_row[i, j, k] = depth, n
                elif depth < second[i, j, k]:
                    second[i, j, k], second_row[i, j, k] = depth, n


@kernel
def _thickest(frame: AnyArray, e: Edges) -> float:
    """No membrane is wider than this, in the frame of the cell; half of it is to spare where steps vary."""
    return float(1.5 * max(widest(e), THICKNESS_UM * np.sqrt((frame[3:12] ** 2).sum())))


@kernel
def _shell_kernel(points: AnyArray, voxel_um: AnyArray, body: Bodies, near: _Nearest) -> None:
    """Turn the depths into strengths, in place."""
    frame, bumps = body
    depth, row, other_depth, other_row = near
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            for k in range(points.shape[2]):
                n, m, strength = row[i, j, k], other_row[i, j, k], 0.0
                if n >= 0:
                    e = edges_um(points, voxel_um, i, j, k)
                    z, y, x = _steepness(points, frame[n], bumps[n], i, j, k)
                    strength = _shell(1.0 - depth[i, j, k], e, z, y, x)
                    if m >= 0 and depth[i, j, k] < 1:
                        fz, fy, fx = _steepness(points, frame[m], bumps[m], i, j, k)
                        face = _shell(other_depth[i, j, k] - depth[i, j, k], e, fz - z, fy - y, fx - x)
                        strength = max(strength, face)
                if strength == 0:
                    row[i, j, k] = -1
                depth[i, j, k] = strength


@kernel
def _shell(value: float, e: Edges, z: float, y: float, x: float) -> float:
    """``t/width exp(−(d/width)²)`` where a function has this value and this gradient (1/µm)."""
    steep = np.sqrt(z * z + y * y + x * x)
    if steep == 0:
        return 0.0
    width = max(THICKNESS_UM, across(e, z / steep, y / steep, x / steep))
    away = abs(value) / steep / width
    return float(THICKNESS_UM / width * np.exp(-away * away)) if away < FAINTEST else 0.0


@kernel
def _steepness(
    points: AnyArray, frame: AnyArray, bumps: AnyArray, i: int, j: int, k: int
) -> tuple[float, float, float]:
    """``∇β = Aᵀ v̂ / (r body)`` of a cell, (z, y, x), 1/µm, the slope of r itself left out."""
    z, y, x = inside(frame, points, i, j, k)
    far = np.sqrt(z * z + y * y + x * x)
    if far < 1e-12:
        return 0.0, 0.0, 0.0
    up = outwardness(bumps, z, y, x) / (far * far * frame[16])
    return (
        up * (frame[3] * z + frame[6] * y + frame[9] * x),
        up * (frame[4] * z + frame[7] * y + frame[10] * x),
        up * (frame[5] * z + frame[8] * y + frame[11] * x),
    )
