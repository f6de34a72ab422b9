"""Nuclei drawn into voxels: whose each voxel is, and how it shines. As fast as a trainer asks for them.

A voxel at x lies at ``v = F⁻¹(x − c)`` in a nucleus' own frame, which is ``ρ(v) ≤ 1``: of a bumpy ellipsoid ``ρ = |v| /
r(v̂)`` (:mod:`phantom.cells.shape`), of a given shape what its table says (:mod:`phantom.nuclei.shapes`). Where several
nuclei claim a voxel it is that of the least ρ, so that nuclei in contact flatten against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy.typing import NDArray

from phantom.cells.shape import radius
from phantom.cells.texture import noise_cube, shine
from phantom.nuclei.shapes import REACH, SIDE
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Shape3, Voxels

LEAST_SHARE = 0.25
"""A nucleus of which less is left by its neighbours than this share of its own volume is not there."""
FAR = 3.0
"""ρ of a voxel that no nucleus is near."""
EDGE = 0.5
"""Half the width of a nucleus' soft edge, in voxels."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei on a grid of voxels of edge 1.

    Parameters
    ----------
    centre : (n, 3).
    frame : (n, 3, 3), from a nucleus' own frame, in which it is about a unit ball, to the grid; columns are its axes.
    bumps : (n, 16) of :mod:`phantom.cells.shape`.
    shape : (n,) which given shape each has, −1 for an ellipsoid with bumps.
    brightness : (n,).
    dress : (n, 30) of :func:`phantom.cells.texture.dressed`.
    split : (n, 5) a dark plane: its normal in the own frame, its depth (0: none) and half width.
    fade : (n,) share of the light that is missing at the border; it is lost as ρ² grows.
    """

    centre: Float64[np.ndarray, "n 3"]
    frame: Float64[np.ndarray, "n 3 3"]
    bumps: Float64[np.ndarray, "n k"]
    shape: NDArray[np.int64]
    brightness: Float64[np.ndarray, " n"]
    dress: Float64[np.ndarray, "n d"]
    split: Float64[np.ndarray, "n 5"]
    fade: Float64[np.ndarray, " n"]

    def kept(self, which: AnyArray) -> Nuclei:
        """Some of them."""
        arrays = (
            self.centre, self.frame, self.bumps, self.shape, self.brightness, self.dress, self.split, self.fade,
        )  # fmt: skip
        return Nuclei(*(np.ascontiguousarray(array[which]) for array in arrays))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn, all (z, y, x).

    Parameters
    ----------
    labels : 1 … n, growing with the row; 0 for none. Each label is one connected piece.
    light : a nucleus' voxels have its brightness times its texture; soft at its edge.
    rho : the least ρ, at most :data:`FAR`.
    """

    labels: Int32[np.ndarray, "z y x"]
    light: Float32[np.ndarray, "z y x"]
    rho: Float32[np.ndarray, "z y x"]


def drawn(nuclei: Nuclei, shape: Shape3, tables: AnyArray, gap: float) -> Drawn:
    """Draw nuclei on a grid.

    Parameters
    ----------
    nuclei : those to draw; they may lie partly or wholly outside.
    shape : (z, y, x) of the grid.
    tables : (k, s, s, s) of given shapes.
    gap : voxels are nobody's where the second least ρ is nearer than this to the least.
    """
    inverse = np.linalg.inv(nuclei.frame) if len(nuclei.centre) else nuclei.frame
    half = _half_extents(nuclei)
    rho, second = np.full(shape, FAR, np.float32), np.full(shape, FAR, np.float32)
    owner = np.full(shape, -1, np.int32)
    _claim(nuclei.centre, inverse, nuclei.bumps, nuclei.shape, half, tables, rho, second, owner)
    labels = np.where((rho < 1) & (second - rho >= gap), owner + 1, 0).astype(np.int32)
    labels = _whole(labels, nuclei, shape)
    light = np.zeros(shape, np.float32)
    steep = 1 / np.cbrt(np.abs(np.linalg.det(nuclei.frame))) if len(nuclei.centre) else np.zeros(0)
    present = np.zeros(len(nuclei.centre) + 1, np.bool_)
    present[np.unique(labels)] = True
    _shine(
        nuclei.centre, inverse, nuclei.dress, nuclei.split, nuclei.fade, nuclei.brightness, steep, present, gap,
        noise_cube(), rho, second, owner, light,
    )  # fmt: skip
    return Drawn(labels, light, rho)


def _half_extents(nuclei: Nuclei) -> AnyArray:
    """(n, 3) how far the box of what a nucleus claims reaches from its centre."""
    longest = np.where(nuclei.shape >= 0, REACH, 1.15 * (1 + np.abs(nuclei.bumps).sum(1)))
    return np.asarray(np.sqrt((nuclei.frame**2).sum(2)) * np.minimum(longest, REACH)[:, None] + 1)


def _whole(labels: Int32[np.ndarray, "z y x"], nuclei: Nuclei, shape: Shape3) -> Int32[np.ndarray, "z y x"]:
    """Only the largest piece of each label, and no label whose neighbours left too little of it inside the grid."""
    pieces, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    of = np.zeros(count + 1, np.int64)
    of[pieces.ravel()] = labels.ravel()
    order = np.argsort(sizes[1:], kind="stable") + 1
    largest = np.zeros(len(nuclei.centre) + 1, np.int64)
    largest[of[order]] = order
    volume = 4 / 3 * np.pi * np.abs(np.linalg.det(nuclei.frame)) if len(nuclei.centre) else np.zeros(0)
    half = 0.8 * _half_extents(nuclei)
    inside = ((nuclei.centre - half >= 0) & (nuclei.centre + half <= np.array(shape) - 1)).all(1)
    enough = np.concatenate([[False], sizes[largest[1:]] >= np.where(inside, LEAST_SHARE * volume, 8)])
    keep = np.zeros(count + 1, np.int32)
    good = np.flatnonzero(enough & (largest > 0))
    keep[largest[good]] = good
    return np.asarray(keep[pieces])


@inlined
def _own(inverse: AnyArray, n: int, dz: float, dy: float, dx: float) -> tuple[float, float, float]:
    """v of an offset from the centre of nucleus n."""
    z = inverse[n, 0, 0] * dz + inverse[n, 0, 1] * dy + inverse[n, 0, 2] * dx
    y = inverse[n, 1, 0] * dz + inverse[n, 1, 1] * dy + inverse[n, 1, 2] * dx
    x = inverse[n, 2, 0] * dz + inverse[n, 2, 1] * dy + inverse[n, 2, 2] * dx
    return z, y, x


@kernel
def _claim(
    centre: AnyArray,
    inverse: AnyArray,
    bumps: AnyArray,
    given: AnyArray,
    half: AnyArray,
    tables: AnyArray,
    rho: Voxels,
    second: Voxels,
    owner: Voxels,
) -> None:
    for n in range(len(centre)):
        low, high = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for axis in range(3):
            low[axis] = max(0, int(np.ceil(centre[n, axis] - half[n, axis])))
            high[axis] = min(rho.shape[axis], int(np.floor(centre[n, axis] + half[n, axis])) + 1)
        for i in range(low[0], high[0]):
            for j in range(low[1], high[1]):
                for k in range(low[2], high[2]):
                    z, y, x = _own(inverse, n, i - centre[n, 0], j - centre[n, 1], k - centre[n, 2])
                    far = np.sqrt(z * z + y * y + x * x)
                    if far > REACH:
                        continue
                    if given[n] >= 0:
                        here = _table(tables[given[n]], z, y, x)
                    else:
                        here = far / radius(bumps[n], z / far, y / far, x / far) if far > 1e-9 else 0.0
                    if here < rho[i, j, k]:
                        second[i, j, k] = rho[i, j, k]
                        rho[i, j, k] = here
                        owner[i, j, k] = n
                    elif here < second[i, j, k]:
                        second[i, j, k] = here


@inlined
def _table(table: AnyArray, z: float, y: float, x: float) -> float:
    """A given shape's ρ between its points, trilinear; nothing beyond them."""
    scale = (SIDE - 1) / (2 * REACH)
    z, y, x = (z + REACH) * scale, (y + REACH) * scale, (x + REACH) * scale
    i, j, k = int(z), int(y), int(x)
    if z < 0 or y < 0 or x < 0 or i > SIDE - 2 or j > SIDE - 2 or k > SIDE - 2:
        return FAR
    fz, fy, fx = z - i, y - j, x - k
    a = table[i, j, k] * (1 - fx) + table[i, j, k + 1] * fx
    b = table[i, j + 1, k] * (1 - fx) + table[i, j + 1, k + 1] * fx
    c = table[i + 1, j, k] * (1 - fx) + table[i + 1, j, k + 1] * fx
    d = table[i + 1, j + 1, k] * (1 - fx) + table[i + 1, j + 1, k + 1] * fx
    return float((a * (1 - fy) + b * fy) * (1 - fz) + (c * (1 - fy) + d * fy) * fz)


@kernel
def _shine(
    centre: AnyArray,
    inverse: AnyArray,
    dress: AnyArray,
    split: AnyArray,
    fade: AnyArray,
    brightness: AnyArray,
    steep: AnyArray,
    present: AnyArray,
    gap: float,
    cube: Voxels,
    rho: Voxels,
    second: Voxels,
    owner: Voxels,
    light: Voxels,
) -> None:
    for i in range(rho.shape[0]):
        for j in range(rho.shape[1]):
            for k in range(rho.shape[2]):
                n = owner[i, j, k]
                if n < 0 or not present[n + 1]:
                    continue
                room = min(1 - rho[i, j, k], second[i, j, k] - rho[i, j, k] - gap + EDGE * steep[n])
                fill = 0.5 + 0.5 * room / (EDGE * steep[n])
                if fill <= 0:
                    continue
                z, y, x = _own(inverse, n, i - centre[n, 0], j - centre[n, 1], k - centre[n, 2])
                lit = brightness[n] * min(fill, 1.0) * shine(cube, dress[n], z, y, x, rho[i, j, k])
                lit *= 1 - fade[n] * min(rho[i, j, k], 1.0) ** 2
                if split[n, 3] > 0:
                    away = (split[n, 0] * z + split[n, 1] * y + split[n, 2] * x) / split[n, 4]
                    lit *= 1 - split[n, 3] * np.exp(-away * away)
                light[i, j, k] = lit
