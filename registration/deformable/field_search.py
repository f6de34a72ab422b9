"""The smooth field between two volumes on one grid: searched coarsely, refined, made consistent, free of folds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from registration.deformable.convex import consistent, search
from registration.deformable.refinement import Refinement
from registration.deformable.smooth_basis import SmoothBasis
from registration.deformable.soft_information import scaled
from registration.deformable.unlikeness import Likeness, Pictures
from registration.deformable.warp import compose, jacobian, smooth
from registration.deformable.working import Working, block_factors
from volumes.displacement import DisplacementField
from volumes.errors import ConfigError
from volumes.grid import Grid
from volumes.shapes import AnyArray, Points, Shape3

COARSE, FINE = 0.54, 0.27
"""Resolutions of the refinement, by the smoothness."""
CELL = 0.8
"""Cells of the search, by the smoothness."""
LEAST_JACOBIAN = 0.05
"""Where the change of volume falls below it, the field is smoothed."""
MENDINGS = 6
"""Smoothings at most, each twice as wide as the one before."""
MARGIN = 4.0
"""How wide the field falls off to 0 outside, by its largest displacement."""


@dataclass(frozen=True)
class Settings:
    """How the field is found; as in :class:`~registration.deformable.deformable.DeformableConfig`."""

    smoothness_um: float
    likeness: Likeness
    stiffness: float
    diffeomorphic: bool
    search_cells: int
    iterations: tuple[int, int]
    device: torch.device


@dataclass(frozen=True)
class FoundField:
    """A field over the fixed volume's box.

    Parameters
    ----------
    field : in µm, tapered.
    cycle_um : (Z, Y, X), how far each voxel of ``grid`` comes back from where it began, by the field found the other
        way round, before both were made consistent.
    grid : where ``cycle_um`` is known.
    voxel_um : of the grid that the volumes were compared on.
    evaluations : of the objective.
    """

    field: DisplacementField
    cycle_um: AnyArray
    grid: Grid
    voxel_um: float
    evaluations: int

    def cycle_over(self, points_um: Points) -> float:
        """The mean of ``cycle_um`` at the voxels nearest to points (n, 3)."""
        last = np.asarray(self.grid.shape) - 1
        z, y, x = np.clip(np.rint(self.grid.to_index(points_um)), 0, last).astype(int).T
        return float(self.cycle_um[z, y, x].mean())

    def moved_over(self, points_um: Points) -> float:
        """How far the field moves points (n, 3), the mean, µm."""
        return float(np.linalg.norm(self.field(points_um) - points_um, axis=1).mean())


@dataclass(frozen=True)
class FieldSearch:
    """The search between two volumes."""

    working: Working
    settings: Settings

    def run(self) -> FoundField:
        """The field that brings fixed points to where the moving volume, as it lies on the grid, looks alike."""
        forward, backward = self._starts()
        refinement, sampled = self._refinement, self._basis.at(self._fine)
        ahead, first = refinement.refine(self._levels, forward)
        back, second = refinement.refine({at: p.swapped() for at, p in self._levels.items()}, backward)
        u, v = (mended(refinement.displacement(sampled, c)) for c in (ahead, back))
        if self.settings.diffeomorphic:
            agreed = refinement.displacement(sampled, (ahead - back) / 2)
        else:
            agreed, _ = consistent(u, v)
        cycle = np.linalg.norm(to_um(compose(v, u), self.fine_grid), axis=-1)
        voxel = max(self.working.grid.spacing_um)
        return FoundField(tapered(mended(agreed), self.fine_grid), cycle, self.fine_grid, voxel, first + second)

    def _starts(self) -> tuple[Tensor, Tensor]:
        """The coefficients that the coarse search comes to, in both directions; 0 without one."""
        nothing = self._basis.nothing()
        if self.settings.search_cells == 0:
            return nothing, nothing
        coarse = self._cells
        seen = coarse.fixed_weights * coarse.moving_weights
        ahead = search(coarse.fixed, coarse.moving, seen, self.settings.search_cells)
        back = search(coarse.moving, coarse.fixed, seen, self.settings.search_cells)
        sampled = self._basis.at(self._cell)
        forward, backward = (sampled.coefficients(field) for field in consistent(ahead, back))
        return forward, backward

    @cached_property
    def fine_grid(self) -> Grid:
        """Where the field is known."""
        grid, factors = self.working.grid, np.asarray(self._fine)
        z, y, x = (int(n) for n in np.asarray(grid.shape) // factors)
        dz, dy, dx = (float(s) for s in np.asarray(grid.spacing_um) * factors)
        oz, oy, ox = grid.to_world((factors[None] - 1) / 2)[0].tolist()
        return Grid((z, y, x), (dz, dy, dx), (oz, oy, ox), grid.direction)

    @cached_property
    def _fine(self) -> Shape3:
        return block_factors(self.working.grid, FINE * self.settings.smoothness_um)

    @cached_property
    def _cell(self) -> Shape3:
        return block_factors(self.working.grid, CELL * self.settings.smoothness_um)

    @cached_property
    def _basis(self) -> SmoothBasis:
        z, y, x = (self.settings.smoothness_um / s for s in self.working.grid.spacing_um)
        return SmoothBasis(self.working.grid.shape, (z, y, x), self.settings.device)

    @cached_property
    def _refinement(self) -> Refinement:
        coarse = block_factors(self.working.grid, COARSE * self.settings.smoothness_um)
        steps = self.settings.iterations
        levels = ((coarse, steps[0]), (self._fine, steps[1]))
        return Refinement(self._basis, levels, self.settings.stiffness, self.settings.diffeomorphic)

    @cached_property
    def _levels(self) -> dict[Shape3, Pictures]:
        """What the refinement compares, at its resolutions."""
        return self._averages[0]

    @cached_property
    def _cells(self) -> Pictures:
        """The descriptors of the cells that the coarse search moves."""
        return self._averages[1]

    @cached_property
    def _averages(self) -> tuple[dict[Shape3, Pictures], Pictures]:
        """Both at once: descriptors of the working grid are large, and gone when they are averaged."""
        whole = self._intensities()
        described = whole.described()
        compared = described if self.settings.likeness == "mind" else whole
        return {at: compared.averaged(at) for at, _ in self._refinement.levels}, described.averaged(self._cell)

    def _intensities(self) -> Pictures:
        w, device = self.working, self.settings.device
        volumes = [torch.from_numpy(np.array(a, np.float32))[None, None].to(device) for a in (w.fixed, w.moving)]
        seen = [
            torch.from_numpy(a.astype(np.float32))[None, None].to(device) for a in (w.fixed_inside, w.moving_inside)
        ]
        f, m = (scaled(volume, weights) for volume, weights in zip(volumes, seen, strict=True))
        return Pictures(f, m, seen[0], seen[1], self.settings.likeness)


def mended(field: Tensor) -> Tensor:
    """A field smoothed until no volume shrinks to nothing; 0 everywhere if that does not help."""
    width = 1.0
    for _ in range(MENDINGS):
        if float(jacobian(field).min()) > LEAST_JACOBIAN:
            return field
        field, width = smooth(field, width), 2 * width
    return field if float(jacobian(field).min()) > LEAST_JACOBIAN else torch.zeros_like(field)


def to_um(field: Tensor, grid: Grid) -> AnyArray:
    """Displacements (Z, Y, X, 3) in µm along the world's axes, of (1, 3, Z, Y, X) in voxels of a grid."""
    voxels = field[0].permute(1, 2, 3, 0).cpu().double().numpy()
    out: AnyArray = (voxels * np.asarray(grid.spacing_um)) @ grid.axes.T
    return out


def tapered(field: Tensor, grid: Grid) -> DisplacementField:
    """In µm, with a margin so wide that it does not fold where it falls off."""
    um = to_um(field, grid).astype(np.float32)
    largest = float(np.abs(um).max()) / min(grid.spacing_um)
    return DisplacementField(um, grid).tapered(max(2, int(np.ceil(MARGIN * largest))))


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises
    ------
    ConfigError : there is none.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "is not there", field="device", value=name, remedy="Use cpu, or install torch for your GPU"
        ) from error
    return device
