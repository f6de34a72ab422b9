"""Bring a volume onto another grid through a transform: trilinear or nearest, with a mask of where there is data."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from volumes.errors import TransformError
from volumes.grid import Grid
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Mask, Matrix4, Points
from volumes.transform import Affine, Transform, as_affine
from volumes.volume import Volume

HALF = 0.5 + 1e-6
"""A point belongs to the field up to half a voxel past the outermost centres, as in ITK; rounding forgiven."""
SNAP = 1e-8
"""An index this near to a whole one is that one: then the identity changes no bit and asks for no neighbour."""


def resample(
    volume: Volume,
    like: Volume | Grid,
    transform: Transform | None = None,
    order: Literal["linear", "nearest"] | None = None,
) -> Volume:
    """The volume on the grid of ``like``: ``out(x) = volume(transform(x))``.

    Parameters
    ----------
    volume : the moving volume.
    like : the fixed volume or its grid.
    transform : fixed points → moving points, world (z, y, x) µm; identity when left out.
    order : ``linear`` (float32, or float64 for float64) or ``nearest`` (keeps the type). Left out, labels (integers
        of a modality called labels) are taken by nearest and all else linearly.

    Returns
    -------
    A volume with ``valid`` False where the fixed voxel falls outside the moving field, or on its invalid voxels. The
    value there is 0.

    Raises
    ------
    TransformError : a transform that gives points that are not finite.
    """
    grid = like if isinstance(like, Grid) else like.grid
    nearest = (order or ("nearest" if volume.modality == "labels" else "linear")) == "nearest"
    transform = Affine.identity() if transform is None else transform
    affine = as_affine(transform)
    valid = np.zeros(grid.shape, bool)
    planes = []
    for source in volume.array:
        voxels = _native(source, nearest)
        out = np.zeros(grid.shape, voxels.dtype)
        if affine is None:
            _through_points(voxels, volume, grid, transform, nearest, out, valid)
        else:
            _through_matrix(voxels, volume, _index_map(volume.grid, affine, grid), nearest, out, valid)
        planes.append(out.view(source.dtype.newbyteorder("=")) if nearest else out)
    return Volume(np.stack(planes), grid, volume.channels, volume.time_s, valid)


def sample(volume: Volume, points_um: Points, channel: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Trilinear values at world points (n, 3) in µm, and which of them lie in the field; 0 where outside."""
    finite = np.isfinite(points_um).all(1)
    index = np.ascontiguousarray(volume.grid.to_index(np.where(finite[:, None], points_um, 0))).reshape(-1, 1, 1, 3)
    out = np.zeros(index.shape[:3], np.float64)
    valid = np.zeros(index.shape[:3], bool)
    source = _for_kernel(volume.channel(channel), np.dtype(np.float64))
    _linear_points_kernel(source, _inside(volume), index, out, valid)
    inside: NDArray[np.bool_] = valid.ravel() & finite
    return np.where(inside, out.ravel(), 0.0), inside


def _native(voxels: AnyArray, nearest: bool) -> AnyArray:
    """What the kernels work on: floats for linear, the bare bits of any type for nearest."""
    kind = voxels.dtype.newbyteorder("=")
    if nearest:
        return _for_kernel(voxels, kind).view(f"u{kind.itemsize}")
    return _for_kernel(voxels, np.dtype(np.float64 if kind == np.float64 else np.float32))


def _for_kernel(array: AnyArray, kind: np.dtype[Any]) -> AnyArray:
    """Contiguous and read-only, always: a kernel is compiled anew for each layout it meets."""
    view = np.ascontiguousarray(array, dtype=kind).view()
    view.flags.writeable = False
    return view


def _inside(volume: Volume) -> AnyArray:
    return _for_kernel(volume.mask(), np.dtype(np.uint8))


def _index_map(moving: Grid, affine: Affine, fixed: Grid) -> Matrix4:
    """Fixed index → moving index, 4×4; numbers within rounding of a whole one are made whole."""
    matrix: Matrix4 = np.linalg.inv(moving.matrix) @ affine.matrix @ fixed.matrix
    slack = np.append(np.full(3, SNAP / max(fixed.shape)), SNAP)
    return np.where(np.abs(matrix - np.rint(matrix)) < slack, np.rint(matrix), matrix)


def _through_matrix(
    voxels: AnyArray, volume: Volume, to_source: Matrix4, nearest: bool, out: AnyArray, valid: Mask
) -> None:
    shift = to_source[:3, 3]
    if np.array_equal(to_source[:3, :3], np.eye(3)) and np.array_equal(shift, np.rint(shift)):
        _copy_shifted(voxels, volume.mask(), shift.astype(int), out, valid)
    elif nearest:
        _nearest_kernel(voxels, _inside(volume), to_source[:3], out, valid)
    else:
        _linear_kernel(voxels, _inside(volume), to_source[:3], volume.valid is not None, out, valid)


def _copy_shifted(voxels: AnyArray, inside: Mask, shift: AnyArray, out: AnyArray, valid: Mask) -> None:
    """``out[i] = voxels[i + shift]`` where there is such a voxel and it is valid."""
    low = np.maximum(0, -shift)
    high = np.maximum(low, np.minimum(out.shape, np.asarray(voxels.shape) - shift))
    to = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    source = tuple(slice(a, b) for a, b in zip(low + shift, high + shift, strict=True))
    valid[to] = inside[source]
    np.copyto(out[to], voxels[source], where=inside[source])


def _through_points(
    voxels: AnyArray, volume: Volume, fixed: Grid, transform: Transform, nearest: bool, out: AnyArray, valid: Mask
) -> None:
    """One fixed plane at a time, so that the points of a large grid never stand in memory together."""
    rows = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in fixed.shape[1:]), indexing="ij"), -1)
    inside = _inside(volume)
    pick = _nearest_points_kernel if nearest else _linear_points_kernel
    for z in range(fixed.shape[0]):
        index = np.concatenate([np.full((*rows.shape[:2], 1), float(z)), rows], -1).reshape(-1, 3)
        moved = transform(fixed.to_world(index))
        if not np.isfinite(moved).all():
            raise TransformError("gives points that are not finite", field="transform", value=f"plane z = {z}")
        target = np.ascontiguousarray(volume.grid.to_index(moved)).reshape(1, *rows.shape[:2], 3)
        pick(voxels, inside, target, out[z : z + 1], valid[z : z + 1])


@inlined
def _clamped(c: float, n: int) -> float:
    """A coordinate inside the field, brought to the outermost centres and to the whole index beside it."""
    c = min(max(c, 0.0), n - 1.0)
    whole = np.floor(c + 0.5)
    return whole if abs(c - whole) < SNAP else c


@inlined
def _trilinear(voxels: AnyArray, inside: AnyArray, z: float, y: float, x: float) -> tuple[float, bool]:
    """Value and validity at a fractional index inside the field; neighbours of no weight are not asked."""
    z, y, x = _clamped(z, voxels.shape[0]), _clamped(y, voxels.shape[1]), _clamped(x, voxels.shape[2])
    i, j, k = int(z), int(y), int(x)
    fz, fy, fx = z - i, y - j, x - k
    di, dj, dk = (1 if fz > 0 else 0), (1 if fy > 0 else 0), (1 if fx > 0 else 0)
    a = voxels[i, j, k] * (1 - fx) + voxels[i, j, k + dk] * fx
    b = voxels[i, j + dj, k] * (1 - fx) + voxels[i, j + dj, k + dk] * fx
    c = voxels[i + di, j, k] * (1 - fx) + voxels[i + di, j, k + dk] * fx
    d = voxels[i + di, j + dj, k] * (1 - fx) + voxels[i + di, j + dj, k + dk] * fx
    ok = inside[i, j, k] & inside[i, j, k + dk] & inside[i, j + dj, k] & inside[i, j + dj, k + dk]
    ok &= inside[i + di, j, k] & inside[i + di, j, k + dk] & inside[i + di, j + dj, k] & inside[i + di, j + dj, k + dk]
    return (a * (1 - fy) + b * fy) * (1 - fz) + (c * (1 - fy) + d * fy) * fz, ok != 0


@inlined
def _whole(c: float, n: int) -> int:
    return int(min(max(c, 0.0), n - 1.0) + 0.5)


@kernel
def _linear_kernel(
    voxels: AnyArray, inside: AnyArray, matrix: AnyArray, masked: bool, out: AnyArray, valid: AnyArray
) -> None:
    """Row by row: where all eight neighbours surely exist the plain interpolation, elsewhere the careful one."""
    nz, ny, nx = voxels.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            z0 = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 3]
            y0 = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 3]
            x0 = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 3]
            first, last = 0, 0
            if not masked:
                first, last = _clip(z0, matrix[0, 2], nz - 1.0, 0, out.shape[2])
                first, last = _clip(y0, matrix[1, 2], ny - 1.0, first, last)
                first, last = _clip(x0, matrix[2, 2], nx - 1.0, first, last)
            for k in range(first, last):
                out[i, j, k] = _inner(voxels, z0 + matrix[0, 2] * k, y0 + matrix[1, 2] * k, x0 + matrix[2, 2] * k)
                valid[i, j, k] = True
            for part in range(2):
                for k in range(0 if part == 0 else last, first if part == 0 else out.shape[2]):
                    z, y, x = z0 + matrix[0, 2] * k, y0 + matrix[1, 2] * k, x0 + matrix[2, 2] * k
                    if _outside(z, nz) or _outside(y, ny) or _outside(x, nx):
                        continue
                    value, ok = _trilinear(voxels, inside, z, y, x)
                    if ok:
                        out[i, j, k] = value
                        valid[i, j, k] = True


@kernel
def _nearest_kernel(voxels: AnyArray, inside: AnyArray, matrix: AnyArray, out: AnyArray, valid: AnyArray) -> None:
    nz, ny, nx = voxels.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                z = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + matrix[0, 3]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + matrix[1, 3]
                x = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + matrix[2, 3]
                if _outside(z, nz) or _outside(y, ny) or _outside(x, nx):
                    continue
                if inside[_whole(z, nz), _whole(y, ny), _whole(x, nx)]:
                    out[i, j, k] = voxels[_whole(z, nz), _whole(y, ny), _whole(x, nx)]
                    valid[i, j, k] = True


@inlined
def _outside(c: float, n: int) -> bool:
    return not (-HALF <= c <= n - 1 + HALF)  # so that NaN is outside


@kernel
def _clip(start: float, step: float, end: float, first: int, last: int) -> tuple[int, int]:
    """The steps k of [first, last) with 0 ≤ start + step·k < end, drawn in by a hair against rounding."""
    low, high = 1e-6, end - 1e-6
    if abs(step) < 1e-12:
        return (first, last) if low <= start < high else (first, first)
    a, b = (low - start) / step, (high - start) / step
    if a > b:
        a, b = b, a
    begin = max(first, int(np.ceil(min(max(a, -1.0), 2e9))))
    stop = min(last, int(np.floor(min(max(b, -1.0), 2e9))) + 1)
    return (begin, stop) if begin < stop else (first, first)


@inlined
def _inner(voxels: AnyArray, z: float, y: float, x: float) -> float:
    # Unsigned indices spare the check for negative ones, which costs more than the interpolation.
    one = np.uintp(1)
    i, j, k = np.uintp(z), np.uintp(y), np.uintp(x)
    i1, j1, k1 = i + one, j + one, k + one
    kind = voxels.dtype.type
    fz, fy, fx = kind(z - i), kind(y - j), kind(x - k)
    a = voxels[i, j, k] + (voxels[i, j, k1] - voxels[i, j, k]) * fx
    b = voxels[i, j1, k] + (voxels[i, j1, k1] - voxels[i, j1, k]) * fx
    c = voxels[i1, j, k] + (voxels[i1, j, k1] - voxels[i1, j, k]) * fx
    d = voxels[i1, j1, k] + (voxels[i1, j1, k1] - voxels[i1, j1, k]) * fx
    a += (b - a) * fy
    c += (d - c) * fy
    return float(a + (c - a) * fz)


@kernel
def _linear_points_kernel(voxels: AnyArray, inside: AnyArray, index: AnyArray, out: AnyArray, valid: AnyArray) -> None:
    nz, ny, nx = voxels.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                z, y, x = index[i, j, k, 0], index[i, j, k, 1], index[i, j, k, 2]
                if _outside(z, nz) or _outside(y, ny) or _outside(x, nx):
                    continue
                value, ok = _trilinear(voxels, inside, z, y, x)
                if ok:
                    out[i, j, k] = value
                    valid[i, j, k] = True


@kernel
def _nearest_points_kernel(voxels: AnyArray, inside: AnyArray, index: AnyArray, out: AnyArray, valid: AnyArray) -> None:
    nz, ny, nx = voxels.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                z, y, x = index[i, j, k, 0], index[i, j, k, 1], index[i, j, k, 2]
                if _outside(z, nz) or _outside(y, ny) or _outside(x, nx):
                    continue
                if inside[_whole(z, nz), _whole(y, ny), _whole(x, nx)]:
                    out[i, j, k] = voxels[_whole(z, nz), _whole(y, ny), _whole(x, nx)]
                    valid[i, j, k] = True
