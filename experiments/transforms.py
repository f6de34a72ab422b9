"""Transforms as the files of a run: each with its inverse, in the format that can hold it."""

from __future__ import annotations

from pathlib import Path

from volumes.displacement import DisplacementField
from volumes.grid import Grid
from volumes.io import write_transform
from volumes.sampled import Sampled, sampled, sampled_inverse
from volumes.transform import Affine, Composite, Transform, as_affine

SUFFIXES = (".tfm", ".h5")
"""Of linear transforms, and of all others."""


def write_both_ways(
    transform: Transform, fixed: Grid, moving: Grid, folder: Path, name: str, inverse: str
) -> tuple[Path, Path]:
    """Write a transform and its inverse as ITK files, .tfm where it is linear and else .h5.

    A file of the other suffix, left by an earlier registration, is removed: two answers would lie side by side.

    Parameters
    ----------
    transform : fixed points → moving points.
    fixed, moving : the grids that a transform that is not linear, and its inverse, are sampled on.
    folder, name, inverse : where, and the two files' names without suffix.

    Raises
    ------
    TransformError : it has no inverse, or folds.
    OutputError : a file that cannot be written.
    """
    linear = as_affine(transform)
    suffix, other = SUFFIXES if linear else SUFFIXES[::-1]
    paths = folder / f"{name}{suffix}", folder / f"{inverse}{suffix}"
    write_transform(linear or _fileable(transform, fixed), paths[0])
    back = linear.inverse() if linear else sampled_inverse(transform, fixed, moving, limit_um=_limit_um(moving))
    write_transform(back.transform if isinstance(back, Sampled) else back, paths[1])
    for path in paths:
        path.with_suffix(other).unlink(missing_ok=True)
    return paths


def _fileable(transform: Transform, grid: Grid) -> Transform:
    """As it is where ITK files hold every part of it, else sampled."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    if all(isinstance(part, Affine | DisplacementField) for part in parts):
        return transform
    return sampled(transform, grid, limit_um=_limit_um(grid)).transform


def _limit_um(grid: Grid) -> float:
    """What a sampled transform may be off by: a voxel."""
    return max(grid.spacing_um)
