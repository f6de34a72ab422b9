"""Exact cells drawn into the voxels of any grid: which cell, how much of the voxel, how much light, which surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32
from numpy.typing import NDArray

from phantom.cells.bodies import (
    Bodies,
    Edges,
    across,
    bodies,
    edges_inside,
    edges_um,
    inside,
    lengths,
    outwardness,
    widest,
)
from phantom.cells.cells import Cells
from phantom.cells.membranes import membranes_of
from phantom.cells.texture import Look, dressed, levels, noise_cube, shine
from volumes.errors import ConfigError, ContentError, GridError
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Triple

COARSEST = 0.34
"""A voxel longer than this share of a nucleus' radius is looked at in parts."""
WIDEST = 2 / 3
"""A soft edge as wide as this reaches down to the centre."""
SPARE = 1.25
"""By how much the steps between voxels may grow from the middle of a cell's box to its rim."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Cells on a grid, all arrays (z, y, x). A row is one of the table of cells, −1 for none.

    Parameters
    ----------
    row : whose nucleus holds the voxel's centre; where several do, the one that it lies deepest in.
    owner_row : whose light comes from the voxel; the same as ``row`` wherever that is a cell.
    fill : share of the voxel that lies inside nuclei, 0 to 1.
    light : fill × chromatin texture; summed over a nucleus, as much as its fill.
    membrane : strength of a cell's surface, 0 to 1; the coarser the voxels, the less, so that its sum stays.
    membrane_row : whose surface.
    """

    row: Int32[np.ndarray, "z y x"]
    owner_row: Int32[np.ndarray, "z y x"]
    fill: Float32[np.ndarray, "z y x"]
    light: Float32[np.ndarray, "z y x"]
    membrane: Float32[np.ndarray, "z y x"]
    membrane_row: Int32[np.ndarray, "z y x"]


class _Drawing(NamedTuple):
    """What is being drawn: ``depth`` is the least ρ so far, ``light`` the texture of the cell that it belongs to."""

    row: AnyArray
    owner_row: AnyArray
    fill: AnyArray
    light: AnyArray
    depth: AnyArray


def rasterised(
    cells: Cells,
    points_um: Float32[np.ndarray, "z y x 3"],
    boxes: NDArray[np.integer],
    voxel_um: Triple,
    look: Look,
    membranes: bool = False,
) -> Raster:
    """Draw cells into voxels that lie anywhere in their frame: through any pose, scale or smooth deformation.

    A voxel at x lies at ``v = F⁻¹(x − c)/κ + g`` in the frame of a cell, whose nucleus is ``ρ = |v|/r(v̂) ≤ 1``. The
    share of it inside is ``½ + (1 − ρ³)/3w`` within [0, 1], w being the voxel's width across the surface in units of
    ρ: since ``∫ρ² dρ`` of that is 1/3 for every w, the volume of a nucleus is kept whatever the grid. Voxels longer
    than :data:`COARSEST` of the radius are summed over parts. Shares of several cells add up to at most 1.

    Each voxel depends on its own plane of points alone, and cells are drawn in the order of their numbers: neither
    slabs nor the order of the rows change a bit.

    Parameters
    ----------
    cells : n cells, in the specimen's frame.
    points_um : centres of the voxels in the specimen's frame.
    boxes : index bounds [low, high) of each cell's voxels, (n, 2, 3), clipped to the grid; with a voxel to spare.
    voxel_um : voxel size along the index axes.
    look : of the chromatin.
    membranes : also draw the surfaces of the cells' bodies; the boxes must hold those.

    Raises
    ------
    GridError : points or boxes of another shape, or boxes that leave the grid.
    ConfigError : a voxel size that is not above 0.
    ContentError : points or cells that are not finite.
    """
    points, bounds, voxel = _checked(cells, points_um, boxes, voxel_um)
    body, dress = bodies(cells), dressed(cells, look)
    if not (np.isfinite(body.frame).all() and np.isfinite(body.bumps).all() and np.isfinite(dress).all()):
        raise ContentError("must be finite", field="cells")
    level = levels(dress, body.bumps, np.all(bounds[:, 0] < bounds[:, 1], axis=1))
    order = np.argsort(cells.number, kind="stable")
    shape = points.shape[:3]
    out = _Drawing(
        np.full(shape, -1, np.int32),
        np.full(shape, -1, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.full(shape, np.inf, np.float32),
    )
    _draw_kernel(points, bounds, order, voxel, body, dress, level, noise_cube(), out)
    _finish_kernel(out)
    surface, surface_row = membranes_of(body, points, bounds, order, voxel) if membranes else _no_membranes(shape)
    return Raster(out.row, out.owner_row, out.fill, out.light, surface, surface_row)


def _no_membranes(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    return np.broadcast_to(np.float32(0), shape), np.broadcast_to(np.int32(-1), shape)


def _checked(
    cells: Cells, points_um: AnyArray, boxes: AnyArray, voxel_um: Triple
) -> tuple[AnyArray, NDArray[np.int64], NDArray[np.float64]]:
    if points_um.ndim != 4 or points_um.shape[3] != 3:
        raise GridError("needs one point (z, y, x) a voxel", field="points_um", value=points_um.shape)
    if boxes.shape != (len(cells), 2, 3):
        raise GridError(f"needs shape {(len(cells), 2, 3)}", field="boxes", value=boxes.shape)
    if len(cells) and not (boxes.min() >= 0 and (boxes <= np.asarray(points_um.shape[:3])).all()):
        raise GridError("leave the grid", field="boxes", value=(int(boxes.min()), boxes.max((0, 1)).tolist()))
    voxel = np.asarray(voxel_um, dtype=np.float64)
    if voxel.shape != (3,) or not (np.isfinite(voxel) & (voxel > 0)).all():
        raise ConfigError("needs three sizes above 0 (z, y, x)", field="voxel_um", value=voxel_um)
    if not np.isfinite(points_um).all():
        raise ContentError("must be finite", field="points_um", remedy="Check the pose and the deformation")
    return np.ascontiguousarray(points_um, dtype=np.float32), np.ascontiguousarray(boxes, dtype=np.int64), voxel


@kernel
def _draw_kernel(
    points: AnyArray,
    boxes: AnyArray,
    order: AnyArray,
    voxel_um: AnyArray,
    body: Bodies,
    dress: AnyArray,
    level: AnyArray,
    cube: AnyArray,
    out: _Drawing,
) -> None:
    for n in order:
        if (boxes[n, 0] < boxes[n, 1]).all():
            _draw(points, boxes[n], voxel_um, body.frame[n], body.bumps[n], dress[n], level[n], cube, n, out)


@kernel
def _draw(
    points: AnyArray,
    box: AnyArray,
    voxel_um: AnyArray,
    frame: AnyArray,
    bumps: AnyArray,
    dress: AnyArray,
    level: float,
    cube: AnyArray,
    n: int,
    out: _Drawing,
) -> None:
    """One cell; the cell that a voxel lies deepest in has it."""
    row, owner_row, fill, texture, depth = out
    low, high = box[0], box[1]
    middle = (low + high) // 2
    edges = edges_inside(frame, edges_um(points, voxel_um, middle[0], middle[1], middle[2]))
    width, reach = _limits(frame, edges)
    for i in range(low[0], high[0]):
        for j in range(low[1], high[1]):
            for k in range(low[2], high[2]):
                z, y, x = inside(frame, points, i, j, k)
                if not z * z + y * y + x * x < reach * reach:
                    continue
                rho = outwardness(bumps, z, y, x)
                share, light = 1.0, 1.0
                if rho * rho * rho < 1 - 1.5 * width:
                    light = shine(cube, dress, z, y, x, rho)
                elif rho * rho * rho < 1 + 1.5 * width or width > WIDEST:
                    e = edges_inside(frame, edges_um(points, voxel_um, i, j, k))
                    share, light = _edge(bumps, frame[15], dress, cube, e, z, y, x, rho)
                else:
                    continue
                if share > 0 or rho <= 1:
                    fill[i, j, k] += np.float32(share)
                    if np.float32(rho) < depth[i, j, k]:
                        depth[i, j, k] = rho
                        texture[i, j, k] = light / level
                        owner_row[i, j, k] = n
                        row[i, j, k] = n if rho <= 1 else -1


@kernel
def _limits(frame: AnyArray, e: Edges) -> tuple[float, float]:
    """No soft edge is wider than the first, no voxel is touched whose |v| is more than the second.

    A first above :data:`WIDEST` says that voxels come in parts.
    """
    steps = np.array(lengths(e)) * SPARE
    thin, longest = max(2 - frame[15], 0.1), frame[15]
    width = min(min(SPARE * widest(e), np.sqrt(3.0) * COARSEST) / thin, WIDEST)
    reach = longest * (1 + 1.5 * width) ** (1 / 3)
    if steps.max() <= COARSEST:
        return width, reach
    return np.inf, reach + 0.5 * (steps * (1 - 1 / np.ceil(steps / COARSEST))).sum()


@kernel
def _edge(
    bumps: AnyArray,
    longest: float,
    dress: AnyArray,
    cube: AnyArray,
    e: Edges,
    z: float,
    y: float,
    x: float,
    rho: float,
) -> tuple[float, float]:
    """The share of a voxel at the edge that is inside, and the mean light there."""
    one, two, three = lengths(e)
    if max(one, two, three) > COARSEST:
        if np.sqrt(z * z + y * y + x * x) + 0.5 * (one + two + three) < 2 - longest:
            return 1.0, _averaged(dress, cube, e, z, y, x, rho)
        return _in_parts(bumps, longest, dress, cube, e, z, y, x)
    share = _share(e, z, y, x, rho)
    if share == 0:
        return 0.0, 1.0
    out = max(rho, 1.0)
    return share, shine(cube, dress, z / out, y / out, x / out, min(rho, 1.0))


@inlined
def _share(e: Edges, z: float, y: float, x: float, rho: float) -> float:
    """The share inside of a voxel at v: ``½ + (1 − ρ³)/3w``."""
    far = max(np.sqrt(z * z + y * y + x * x), 1e-12)
    width = min(across(e, z / far, y / far, x / far) * rho / far, WIDEST)
    return 1.0 if width == 0 else min(max(0.5 + (1 - rho * rho * rho) / (3 * width), 0.0), 1.0)


@kernel
def _averaged(dress: AnyArray, cube: AnyArray, e: Edges, z: float, y: float, x: float, rho: float) -> float:
    """The mean light of a coarse voxel that lies wholly inside; ρ is taken to grow with |v| within it."""
    one, two, three = lengths(e)
    p, q, r = int(np.ceil(one / COARSEST)), int(np.ceil(two / COARSEST)), int(np.ceil(three / COARSEST))
    steep = rho / max(np.sqrt(z * z + y * y + x * x), 1e-12)
    total = 0.0
    for a in range(p):
        for b in range(q):
            for c in range(r):
                s, t, u = (a + 0.5) / p - 0.5, (b + 0.5) / q - 0.5, (c + 0.5) / r - 0.5
                vz = z + s * e[0] + t * e[3] + u * e[6]
                vy = y + s * e[1] + t * e[4] + u * e[7]
                vx = x + s * e[2] + t * e[5] + u * e[8]
                total += shine(cube, dress, vz, vy, vx, min(steep * np.sqrt(vz * vz + vy * vy + vx * vx), 1.0))
    return total / (p * q * r)


@kernel
def _in_parts(
    bumps: AnyArray, longest: float, dress: AnyArray, cube: AnyArray, e: Edges, z: float, y: float, x: float
) -> tuple[float, float]:
    """:func:`_edge` of a coarse voxel, over those of its parts that can hold something."""
    one, two, three = lengths(e)
    p, q, r = int(np.ceil(one / COARSEST)), int(np.ceil(two / COARSEST)), int(np.ceil(three / COARSEST))
    part = (e[0] / p, e[1] / p, e[2] / p, e[3] / q, e[4] / q, e[5] / q, e[6] / r, e[7] / r, e[8] / r)
    first, last = _parts_within(part, (p, q, r), z, y, x, longest * (1 + 1.5 * WIDEST) ** (1 / 3))
    total, bright = 0.0, 0.0
    for a in range(first[0], last[0]):
        for b in range(first[1], last[1]):
            for c in range(first[2], last[2]):
                s, t, u = a - 0.5 * (p - 1), b - 0.5 * (q - 1), c - 0.5 * (r - 1)
                vz = z + s * part[0] + t * part[3] + u * part[6]
                vy = y + s * part[1] + t * part[4] + u * part[7]
                vx = x + s * part[2] + t * part[5] + u * part[8]
                rho = outwardness(bumps, vz, vy, vx)
                share = _share(part, vz, vy, vx, rho)
                if share > 0:
                    out = max(rho, 1.0)
                    total += share
                    bright += share * shine(cube, dress, vz / out, vy / out, vx / out, min(rho, 1.0))
    if total == 0:
        return 0.0, 1.0
    return total / (p * q * r), bright / total


@kernel
def _parts_within(
    part: Edges, count: tuple[int, int, int], z: float, y: float, x: float, reach: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Bounds [first, last) of the parts of a voxel at v that lie within ``reach`` of the cell's middle.

    ``v + P t = w``, ``|w| ≤ reach``: each ``t`` lies within ``reach |row of P⁻¹|`` of ``−P⁻¹ v``.
    """
    p = np.array(((part[0], part[3], part[6]), (part[1], part[4], part[7]), (part[2], part[5], part[8])))
    back = np.linalg.inv(p)
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        g = back[axis]
        middle = 0.5 * (count[axis] - 1) - (g[0] * z + g[1] * y + g[2] * x)
        away = reach * np.sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2])
        first[axis] = max(0, int(np.ceil(max(middle - away, -1.0))))
        last[axis] = min(count[axis], int(np.floor(min(middle + away, 1.0 * count[axis]))) + 1)
    return (first[0], first[1], first[2]), (last[0], last[1], last[2])


@kernel
def _finish_kernel(out: _Drawing) -> None:
    """No voxel is more than full; light is the share times the texture."""
    for i in range(out.fill.shape[0]):
        for j in range(out.fill.shape[1]):
            for k in range(out.fill.shape[2]):
                share = min(out.fill[i, j, k], np.float32(1))
                out.fill[i, j, k] = share
                out.light[i, j, k] *= share
