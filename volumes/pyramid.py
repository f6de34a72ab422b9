"""Gaussian and Laplacian pyramids of 3-D arrays of any shape, with anisotropic voxels.

G₀ = V; Gₗ₊₁ = down(Gₗ ∗ k) with k = [1 4 6 4 1]/16 along each axis that takes part; Lₗ = Gₗ − up(Gₗ₊₁); the top is the
last G (Burt & Adelson 1983, "The Laplacian pyramid as a compact image code"). An axis is left alone while its voxels
are still coarser than the others', so that a level's voxels become more nearly cubic, and once it is a single voxel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Triple, Voxels

Axes = tuple[int, ...]

COARSER = 1.5
"""An axis takes part while its spacing is below this multiple of the finest axis that can still be halved."""


@dataclass(frozen=True)
class Level:
    """One level: its voxels (z, y, x) and their spacing in µm. Voxel (0, 0, 0) keeps its centre on every level."""

    data: Voxels
    spacing_um: Triple


def gaussian_pyramid(data: Voxels, spacing_um: Sequence[float], levels: int | None = None) -> list[Level]:
    """Level 0 is the data; each next one is smoothed and halved along the axes that take part.

    Parameters
    ----------
    data : (z, y, x); float32 and float64 keep their type, all else becomes float32.
    spacing_um : (z, y, x) in µm.
    levels : how many times to halve at most; left out, until no axis has more than 8 voxels to give.
    """
    native = data.dtype.newbyteorder("=")
    first = np.ascontiguousarray(data, dtype=native if native in (np.float32, np.float64) else np.float32)
    z, y, x = (float(s) for s in spacing_um)
    out = [Level(first, (z, y, x))]
    while levels is None or len(out) <= levels:
        axes = halving_axes(out[-1].data.shape, out[-1].spacing_um, smallest=8 if levels is None else 2)
        if not axes:
            break
        spacing = tuple(s * (2 if i in axes else 1) for i, s in enumerate(out[-1].spacing_um))
        out.append(Level(reduce(out[-1].data, axes), (spacing[0], spacing[1], spacing[2])))
    return out


def laplacian_pyramid(data: Voxels, spacing_um: Sequence[float], levels: int | None = None) -> list[Level]:
    """Detail bands, finest first, then the top of the Gaussian pyramid; :func:`collapse` undoes it exactly."""
    gauss = gaussian_pyramid(data, spacing_um, levels)
    bands = [Level(detail(fine, coarse), fine.spacing_um) for fine, coarse in pairwise(gauss)]
    return [*bands, gauss[-1]]


def detail(fine: Level, coarse: Level, out: Voxels | None = None) -> Voxels:
    """Lₗ = Gₗ − up(Gₗ₊₁), written into ``out`` where that is given: contiguous, of the fine level's shape and type."""
    band = np.empty_like(fine.data) if out is None else out
    _add_expanded(coarse.data, fine.data, _axes_between(fine, coarse), -1.0, band)
    return band


def collapse(bands: Sequence[Level]) -> Voxels:
    """The array whose Laplacian pyramid this is: Gₗ = Lₗ + up(Gₗ₊₁), from the top down."""
    out = bands[-1]
    for band in reversed(bands[:-1]):
        total = np.empty_like(band.data)
        _add_expanded(out.data, band.data, _axes_between(band, out), 1.0, total)
        out = Level(total, band.spacing_um)
    return out.data


def halving_axes(shape: Sequence[int], spacing_um: Sequence[float], smallest: int = 2) -> Axes:
    """The axes to halve next: those with ``smallest`` voxels or more that are not coarser than the finest of them."""
    long_enough = [i for i in range(3) if shape[i] >= smallest]
    if not long_enough:
        return ()
    finest = min(spacing_um[i] for i in long_enough)
    return tuple(i for i in long_enough if spacing_um[i] < COARSER * finest)


def reduce(data: Voxels, axes: Axes) -> Voxels:
    """Smooth with [1 4 6 4 1]/16 and keep every second voxel along ``axes``; (n + 1) // 2 voxels remain."""
    for axis in axes:
        flat = _around(data, axis)
        out = np.empty((flat.shape[0], (flat.shape[1] + 1) // 2, flat.shape[2]), data.dtype)
        if flat.shape[2] == 1:
            _reduce_rows(flat[:, :, 0], out[:, :, 0])
        else:
            _reduce_kernel(flat, out)
        data = out.reshape(*data.shape[:axis], out.shape[1], *data.shape[axis + 1 :])
    return data


def expand(data: Voxels, shape: Sequence[int], axes: Axes) -> Voxels:
    """Double along ``axes`` back to ``shape``: twice [1 4 6 4 1]/16 over the voxels spread out with zeros between."""
    # Backwards, so that the axis whose neighbours lie apart in memory comes while there is little of it.
    for axis in reversed(axes):
        flat = _around(data, axis)
        out = np.empty((flat.shape[0], shape[axis], flat.shape[2]), data.dtype)
        if flat.shape[2] == 1:
            _expand_rows(flat[:, :, 0], out[:, :, 0])
        else:
            _expand_kernel(flat, out)
        data = out.reshape(*data.shape[:axis], shape[axis], *data.shape[axis + 1 :])
    return data


def _add_expanded(coarse: Voxels, base: Voxels, axes: Axes, sign: float, out: Voxels) -> None:
    """``out = base + sign · up(coarse)``; the last axis to be doubled is added on the way."""
    data = _around(expand(coarse, base.shape, axes[1:]), axes[0])
    onto = _around(base, axes[0])
    _expand_onto_kernel(data, onto, out.dtype.type(sign), out.reshape(onto.shape))


def _axes_between(fine: Level, coarse: Level) -> Axes:
    return tuple(i for i in range(3) if coarse.spacing_um[i] > fine.spacing_um[i])


def _around(data: AnyArray, axis: int) -> AnyArray:
    """(before, along, after) of one axis, without a copy where the data is contiguous."""
    return np.ascontiguousarray(data).reshape(
        math.prod(data.shape[:axis]), data.shape[axis], math.prod(data.shape[axis + 1 :])
    )


@kernel
def _reduce_kernel(data: AnyArray, out: AnyArray) -> None:
    """Edges mirror about the outermost voxel."""
    n = data.shape[1]
    kind = data.dtype.type
    w0, w1, w2 = kind(6 / 16), kind(4 / 16), kind(1 / 16)
    for b in range(data.shape[0]):
        for i in range(out.shape[1]):
            c = 2 * i
            l1, l2 = _mirror(c - 1, n), _mirror(c - 2, n)
            r1, r2 = _mirror(c + 1, n), _mirror(c + 2, n)
            for k in range(data.shape[2]):
                near = data[b, l1, k] + data[b, r1, k]
                far = data[b, l2, k] + data[b, r2, k]
                out[b, i, k] = w0 * data[b, c, k] + w1 * near + w2 * far


@kernel
def _reduce_rows(data: AnyArray, out: AnyArray) -> None:
    """The same along the last axis, where a whole row is at hand: only its ends need a mirror."""
    n, m = data.shape[1], out.shape[1]
    kind = data.dtype.type
    w0, w1, w2 = kind(6 / 16), kind(4 / 16), kind(1 / 16)
    inner = max((n - 1) // 2, 1)
    for b in range(data.shape[0]):
        row, to = data[b], out[b]
        for i in range(1, inner):
            c = 2 * i
            to[i] = w0 * row[c] + w1 * (row[c - 1] + row[c + 1]) + w2 * (row[c - 2] + row[c + 2])
        for e in range(m - inner + 1):
            i = e if e == 0 else inner + e - 1
            c = 2 * i
            near = row[_mirror(c - 1, n)] + row[_mirror(c + 1, n)]
            far = row[_mirror(c - 2, n)] + row[_mirror(c + 2, n)]
            to[i] = w0 * row[c] + w1 * near + w2 * far


@kernel
def _expand_kernel(data: AnyArray, out: AnyArray) -> None:
    """Even voxels take (1 6 1)/8 of the coarse ones, odd ones the mean of two; edges repeat the outermost."""
    n = data.shape[1]
    kind = data.dtype.type
    w0, w1, half = kind(6 / 8), kind(1 / 8), kind(0.5)
    for b in range(data.shape[0]):
        for i in range(out.shape[1]):
            c = i // 2
            left, right = max(c - 1, 0), min(c + 1, n - 1)
            if i % 2 == 0:
                for k in range(data.shape[2]):
                    out[b, i, k] = w0 * data[b, c, k] + w1 * (data[b, left, k] + data[b, right, k])
            else:
                for k in range(data.shape[2]):
                    out[b, i, k] = half * (data[b, c, k] + data[b, right, k])


@kernel
def _expand_onto_kernel(data: AnyArray, base: AnyArray, sign: float, out: AnyArray) -> None:
    """The same, times ``sign``, added to ``base``."""
    n = data.shape[1]
    kind = data.dtype.type
    w0, w1, half = sign * kind(6 / 8), sign * kind(1 / 8), sign * kind(0.5)
    for b in range(data.shape[0]):
        for i in range(out.shape[1]):
            c = i // 2
            left, right = max(c - 1, 0), min(c + 1, n - 1)
            if i % 2 == 0:
                for k in range(data.shape[2]):
                    up = w0 * data[b, c, k] + w1 * (data[b, left, k] + data[b, right, k])
                    out[b, i, k] = base[b, i, k] + up
            else:
                for k in range(data.shape[2]):
                    out[b, i, k] = base[b, i, k] + half * (data[b, c, k] + data[b, right, k])


@kernel
def _expand_rows(data: AnyArray, out: AnyArray) -> None:
    """The same along the last axis, where a whole row is at hand."""
    n, m = data.shape[1], out.shape[1]
    kind = data.dtype.type
    w0, w1, half = kind(6 / 8), kind(1 / 8), kind(0.5)
    for b in range(data.shape[0]):
        row, to = data[b], out[b]
        to[0] = w0 * row[0] + w1 * (row[0] + row[min(1, n - 1)])
        for c in range(1, n - 1):
            to[2 * c] = w0 * row[c] + w1 * (row[c - 1] + row[c + 1])
        for c in range(n - 1):
            to[2 * c + 1] = half * (row[c] + row[c + 1])
        if n > 1:
            to[2 * n - 2] = w0 * row[n - 1] + w1 * (row[n - 2] + row[n - 1])
        if m == 2 * n:
            to[m - 1] = half * (row[n - 1] + row[n - 1])


@inlined
def _mirror(i: int, n: int) -> int:
    if n == 1:
        return 0
    if i < 0:
        i = -i
    if i > n - 1:
        i = 2 * (n - 1) - i
    return max(i, 0)
