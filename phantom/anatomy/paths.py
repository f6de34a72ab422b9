"""Integrals through the tissue along an instrument's axes: how much light or signal is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phantom.anatomy.anatomy import Anatomy
from volumes.errors import ConfigError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Points, Shape3, Triple, Voxels

ACROSS = 48
"""About so many rays lie side by side along each axis of the field of view."""
ALONG = 400
"""No ray has more steps than about this."""
PROBE = 7
"""So many rays a side find out where the specimen begins and ends."""

Nodes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Paths:
    """Line integrals from an instrument's side up to its voxels.

    A ray starts at the specimen's side, even where the field of view starts inside of the tissue: before plane 0 or
    column 0, it goes back until it has left the anatomy's box. Lengths are the instrument's own: the specimen is taken
    as it lies there, deformed or not.

    Parameters
    ----------
    anatomy : the tissue.
    shape : voxels of the instrument's whole grid.
    spacing_um : their size.
    to_specimen : fractional indices (n, 3) of the instrument's grid → points (n, 3) of the specimen, µm; it need not
        be linear.
    """

    anatomy: Anatomy
    shape: Shape3
    spacing_um: Triple
    to_specimen: Callable[[Points], Points]
    _rasters: dict[int, tuple[Nodes, Voxels]] = field(default_factory=dict, init=False, repr=False)
    _integrals: dict[tuple[bytes, int], Voxels] = field(default_factory=dict, init=False, repr=False)

    def sampled(self, values_per_mm: ArrayLike, axis: int, first: int, shape: Shape3) -> Voxels:
        """``∫ value ds`` up to each voxel's centre, without unit, float32 (z, y, x).

        Summed by the trapezoidal rule on a coarse raster of the whole grid, once for each property and axis, and
        interpolated linearly between its nodes: the result does not depend on the slab. Beyond the raster, which ends
        where neither grid nor specimen is, the value of its border is taken.

        Parameters
        ----------
        values_per_mm : one for each tissue, 1/mm.
        axis : 0 from before plane 0, 2 from before column 0.
        first : index of the slab's first plane in the whole grid; may be negative.
        shape : voxels of the slab.

        Raises
        ------
        ConfigError : another axis, or a property that :meth:`Anatomy.sampled` refuses.
        """
        if axis not in (0, 2):
            raise ConfigError("must be 0 (from before plane 0) or 2 (from before column 0)", field="axis", value=axis)
        table = np.asarray(values_per_mm, dtype=np.float64)
        if (table.tobytes(), axis) not in self._integrals:
            self._integrals[table.tobytes(), axis] = self._integral(table, axis)
        nodes = self._raster(axis)[0]
        at = [np.arange(n, dtype=np.float64) + (first if i == 0 else 0) for i, n in enumerate(shape)]
        lower, share = zip(*(_bracketed(a, n) for a, n in zip(at, nodes, strict=True)), strict=True)
        (kz, ky, kx), (fz, fy, fx) = lower, share
        out = np.empty(shape, np.float32)
        _interpolate_kernel(self._integrals[table.tobytes(), axis], kz, ky, kx, fz, fy, fx, out)
        return out

    def _integral(self, table: NDArray[np.float64], axis: int) -> Voxels:
        """The cumulative integral at the raster's nodes, float32."""
        nodes, points = self._raster(axis)
        steps = tuple(self._step_um(n, i) for i, n in enumerate(nodes))
        at = np.moveaxis(self.anatomy.sampled(table, points, steps), axis, -1)
        total = np.zeros(at.shape)
        np.cumsum((at[..., 1:].astype(np.float64) + at[..., :-1]) / 2, axis=-1, out=total[..., 1:])
        total *= steps[axis] / 1000
        return np.ascontiguousarray(np.moveaxis(total, -1, axis), dtype=np.float32)

    def _step_um(self, nodes: NDArray[np.float64], axis: int) -> float:
        return float(nodes[1] - nodes[0]) * self.spacing_um[axis]

    def _raster(self, axis: int) -> tuple[Nodes, Voxels]:
        """Fractional indices of the nodes along each axis, and where they lie in the specimen, float32."""
        if axis not in self._rasters:
            z, y, x = (self._nodes(i, along=i == axis) for i in range(3))
            index = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1)
            points = self.to_specimen(index.reshape(-1, 3)).astype(np.float32).reshape(index.shape)
            self._rasters[axis] = (z, y, x), points
        return self._rasters[axis]

    def _nodes(self, axis: int, along: bool) -> NDArray[np.float64]:
        """Where the raster's nodes lie along one axis, in voxels, at equal distances."""
        start, stop = 0.0, self.shape[axis] - 1.0
        if along or axis == 0:
            low, high = self._reach(axis)
            # Light from outside of the field matters for half its depth at most: the raster ends there across the rays.
            beyond = np.inf if along else max(16.0, self.shape[0] / 2)
            start, stop = max(min(start, low), start - beyond), min(max(stop, high), stop + beyond)
        length_um = (stop - start) * self.spacing_um[axis]
        limit = ALONG if along else ACROSS
        count = int(np.ceil(length_um / max(min(self.anatomy.grid.spacing_um), length_um / limit))) if length_um else 1
        return np.linspace(start, max(stop, start + 1e-3), count + 1)

    def _reach(self, axis: int) -> tuple[float, float]:
        """First and last index along an axis at which a few rays of the field find the anatomy's box, with margin."""
        sides = [np.linspace(0.0, n - 1.0, PROBE) for n in self.shape]
        corners = self.to_specimen(np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3))
        farthest = np.linalg.norm(corners[:, None] - self.anatomy.grid.corners_um, axis=-1).max()
        step = 2 * min(self.anatomy.grid.spacing_um) / self.spacing_um[axis]
        out = 1.25 * farthest / self.spacing_um[axis]
        sides[axis] = np.arange(-out, self.shape[axis] + out + step, step)
        index = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
        met = index[self.anatomy.holds(self.to_specimen(index)), axis]
        return (float(met.min() - 2 * step), float(met.max() + 2 * step)) if len(met) else (0.0, self.shape[axis] - 1.0)


def _bracketed(at: NDArray[np.float64], nodes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The node before each place, and the share of the way to the next; places beyond the ends stay at the ends."""
    position = np.clip((at - nodes[0]) / (nodes[1] - nodes[0]), 0, len(nodes) - 1)
    lower = np.minimum(position.astype(np.int64), len(nodes) - 2)
    return lower, (position - lower).astype(np.float32)


@kernel
def _interpolate_kernel(
    source: AnyArray, kz: AnyArray, ky: AnyArray, kx: AnyArray, fz: AnyArray, fy: AnyArray, fx: AnyArray, out: AnyArray
) -> None:
    row = np.empty(source.shape[2], source.dtype)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for n in range(source.shape[2]):
                a = source[kz[i], ky[j], n] + (source[kz[i], ky[j] + 1, n] - source[kz[i], ky[j], n]) * fy[j]
                b = source[kz[i] + 1, ky[j], n]
                b += (source[kz[i] + 1, ky[j] + 1, n] - b) * fy[j]
                row[n] = a + (b - a) * fz[i]
            for k in range(out.shape[2]):
                out[i, j, k] = row[kx[k]] + (row[kx[k] + 1] - row[kx[k]]) * fx[k]
