"""Normalised mutual information of a fixed and a moving volume as a function of a linear transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from registration.linear.histogram import (
    COLUMNS,
    accumulate,
    descend,
    interpolate_many,
    normalised_information,
    rank_many,
)
from registration.prepared import Scale
from volumes.shapes import AnyArray, Matrix4, Points


@dataclass(frozen=True)
class Samples:
    """Where the fixed volume is looked at: world points (n, 3) in µm and the bin of the intensity at each."""

    points_um: Points
    bins: UInt8[np.ndarray, " n"]


def draw(scale: Scale, count: int, seed: int, within: Scale | None = None) -> Samples:
    """About ``count`` samples of the inside of a volume: a regular grid, each point moved at random within its cell.

    The mask is that of ``within``, the finest resolution; left out, the scale's own. A coarse mask is smoothed, and
    what it holds wholly lies well inside the true one: the samples would miss the rim, and with it the outline.

    The random part keeps the samples from falling into step with the voxels, which would pull the similarity towards
    whole-voxel shifts (Pluim, Maintz & Viergever 2000, "Interpolation artefacts in mutual information-based image
    registration"). The same seed gives the same samples.
    """
    grid = scale.grid
    true = scale if within is None else within
    share = 1.0 if true.inside is None else max(float((true.inside > 0.5).mean()), 1e-6)
    cell = (np.prod(grid.extent_um) * share / count) ** (1 / 3)
    cells = [max(1, min(int(np.ceil(e / cell)), 2 * n)) for e, n in zip(grid.extent_um, grid.shape, strict=True)]
    last = np.asarray(grid.shape) - 1.0
    base = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in cells), indexing="ij"), -1).reshape(-1, 3)
    index = (base + np.random.default_rng(seed).random(base.shape)) * (last / np.asarray(cells))
    if true.inside is not None:
        index = index[_values(true.inside, true.grid.to_index(grid.to_world(index))) > 0.99]
    return Samples(grid.to_world(index), np.rint(_values(scale.bins, index)).astype(np.uint8))


@dataclass(frozen=True)
class Similarity:
    """NMI of fixed samples and a moving volume.

    Parameters
    ----------
    samples : of the fixed volume.
    moving : the moving volume at one resolution.
    bins : on either side of the joint histogram.
    """

    samples: Samples
    moving: Scale
    bins: int

    def value(self, transform: Matrix4) -> tuple[float, float]:
        """NMI and overlap (share of the samples that fall inside the moving field) of a 4×4 transform in µm."""
        nmi, overlap, _ = self._evaluate(transform)
        return nmi, overlap

    def chance(self, transform: Matrix4, seed: int) -> float:
        """NMI of the same intensities drawn together at random: what samples show where there is no likeness."""
        shuffled = np.random.default_rng(seed).permutation(self.samples.bins)
        return Similarity(Samples(self.samples.points_um, shuffled), self.moving, self.bins).value(transform)[0]

    def only(self, kept: Bool[np.ndarray, " n"]) -> Similarity:
        """The same of some of the samples."""
        return Similarity(Samples(self.samples.points_um[kept], self.samples.bins[kept]), self.moving, self.bins)

    def slope(self, transform: Matrix4) -> tuple[float, float, Float64[np.ndarray, "3 4"]]:
        """NMI, overlap, and the derivative of NMI by the upper three rows of the 4×4 transform in µm.

        NMI is 0 where no sample falls inside.
        """
        nmi, overlap, table = self._evaluate(transform)
        out = np.zeros((3, 4))
        if overlap > 0:
            descend(self.samples.points_um, self.samples.bins, self._kept, table, out)
        return nmi, overlap, self._to_index[:3, :3].T @ out

    def rank(self, transforms: Float64[np.ndarray, "m 4 4"]) -> tuple[AnyArray, AnyArray]:
        """NMI (m,) and overlap (m,) of many transforms, from nearest voxels and half as many bins: to rank them by."""
        matrices = np.ascontiguousarray((self._to_index @ transforms)[:, :3])
        scores, overlaps = np.empty(len(matrices)), np.empty(len(matrices))
        levels = (self.moving.bins / 2).astype(np.int16)
        if self.moving.inside is not None:
            levels[self.moving.inside <= 0.5] = -1
        rank_many(levels, self.samples.points_um, self.samples.bins // 2, matrices, self.bins // 2, scores, overlaps)
        return scores, overlaps

    def _evaluate(self, transform: Matrix4) -> tuple[float, float, AnyArray]:
        points, fixed_bin = self.samples.points_um, self.samples.bins
        matrix = np.ascontiguousarray((self._to_index @ transform)[:3])
        histogram, table = np.zeros((self.bins, self.bins)), np.empty((self.bins, self.bins))
        masked = self.moving.inside is not None
        total = accumulate(self.moving.bins, self._inside, masked, points, fixed_bin, matrix, histogram, self._kept)
        if total <= 0:
            return 0.0, 0.0, table
        return normalised_information(histogram, total, table), total / len(points), table

    @cached_property
    def _to_index(self) -> Matrix4:
        inverse: Matrix4 = np.linalg.inv(self.moving.grid.matrix)
        return inverse

    @cached_property
    def _inside(self) -> Float32[np.ndarray, "z y x"]:
        return np.zeros((1, 1, 1), np.float32) if self.moving.inside is None else self.moving.inside

    @cached_property
    def _kept(self) -> Float32[np.ndarray, "n 8"]:
        return np.empty((len(self.samples.points_um), COLUMNS), np.float32)


def _values(volume: AnyArray, index: Points) -> AnyArray:
    out = np.empty(len(index), np.float64)
    interpolate_many(volume, np.ascontiguousarray(index), out)
    return out
