"""The true transforms of a phantom as ITK files, for programs that do not know how a specimen was bent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phantom.phantom import Phantom
from volumes import Affine, Composite, DisplacementField, Grid, Transform, write_transform
from volumes.shapes import Points, Shape3
from volumes.transform import as_affine

STEPS = (24, 48, 72)
"""A bend is sampled at about so many points along the longest side: at the fewest that are exact enough."""
EXACT_VOXELS = 0.05
"""It is exact enough where no probe is further off than this share of the smallest voxel edge."""
PROBES = 2000


def write_transforms(phantom: Phantom, folder: Path) -> None:
    """``FIXED_to_MOVING.tfm``, or ``.h5`` where the specimen was bent on the way: sampled, for other programs."""
    for fixed, seen in phantom.acquisitions.items():
        for moving in phantom.acquisitions:
            if moving != fixed:
                known = portable(phantom.transform(fixed, moving), seen.pose.grid)
                suffix = ".tfm" if isinstance(known, Affine) else ".h5"
                write_transform(known, folder / f"{fixed}_to_{moving}{suffix}")


def portable(transform: Transform, grid: Grid) -> Transform:
    """A true transform as ITK can hold it: linear ones as they are, others as ``L ∘ (x ↦ x + u(x))`` with u sampled.

    ``L`` is the product of all linear parts and is exact, so that the field holds the bend alone: smooth and small, it
    stays right up to the border of the grid, and beyond the field, which reaches a step further, only the bend is lost.

    Parameters
    ----------
    transform : made of Affines and other parts.
    grid : in whose world it starts, and over whose field of view it is sampled.
    """
    linear = as_affine(transform)
    if linear is not None:
        return linear
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    linear = as_affine(Composite((Affine.identity(), *(part for part in parts if isinstance(part, Affine)))))
    assert linear is not None  # noqa: S101 - a product of Affines is one
    bend, probes = Composite((linear.inverse(), transform)), _probes(grid)
    wanted = bend(probes)
    for steps in STEPS:
        field = DisplacementField.of(bend, _around(grid, max(grid.extent_um) / steps))
        if np.abs(field(probes) - wanted).max() <= EXACT_VOXELS * min(grid.spacing_um):
            break
    return Composite((linear, field))


def _around(grid: Grid, step_um: float) -> Grid:
    """Cubic voxels over the field of view of a grid, the outermost centres a step outside of it or further."""
    z, y, x = (int(np.ceil(side / step_um - 1e-9)) + 3 for side in grid.extent_um)
    shape: Shape3 = (z, y, x)
    first = grid.centre_um[0] - grid.axes @ (step_um * (np.asarray(shape) - 1) / 2)
    origin = (float(first[0]), float(first[1]), float(first[2]))
    return Grid(shape, (step_um, step_um, step_um), origin, grid.direction)


def _probes(grid: Grid) -> Points:
    """Random points of the field of view, half a voxel past the outermost centres included, (n, 3)."""
    index = np.random.default_rng(0).random((PROBES, 3)) * grid.shape - 0.5
    return grid.to_world(index)
