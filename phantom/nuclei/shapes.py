"""Shapes of real nuclei, cut from labels: tables of ρ, which is 0 deep inside and 1 on the surface."""

from __future__ import annotations

from pathlib import Path

import edt
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy import ndimage

from volumes.errors import ContentError
from volumes.shapes import Mask, Triple, Voxels

SIDE = 25
"""Points of a table along each axis."""
REACH = 1.9
"""A table spans [−REACH, REACH] radii of the ball of the same volume."""
LEAST_VOXELS = 300
"""A smaller label is too coarse to be a shape."""
STEPS = 100


def shapes_of(labels: Voxels, spacing_um: Triple) -> Float32[np.ndarray, "k s s s"]:
    """One table for each label that is large enough, whole (it touches no face), and in one piece as far as it goes.

    In units of the radius R of the ball of the same volume, from its centroid: ``ρ = 1 − d / d_max`` inside and
    ``1 + d`` outside, d being the distance to the surface and d_max the largest inside.

    Parameters
    ----------
    labels : (z, y, x), 0 the background.
    spacing_um : of its voxels.

    Raises
    ------
    ContentError : no label is fit to be a shape.
    """
    found = [
        _table(labels[box] == number + 1, spacing_um)
        for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)))
        if box is not None and _inside(box, labels.shape)
    ]
    tables = [table for table in found if table is not None]
    if not tables:
        raise ContentError(
            f"no label has {LEAST_VOXELS} voxels and lies clear of the faces",
            field="labels",
            remedy="Give a volume of larger cells, or leave it out",
        )
    return np.stack(tables)


def no_shapes() -> Float32[np.ndarray, "k s s s"]:
    """No table at all."""
    return np.zeros((0, SIDE, SIDE, SIDE), np.float32)


def _inside(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    return all(part.start > 0 and part.stop < n for part, n in zip(box, shape, strict=True))


def _table(mask: Mask, spacing_um: Triple) -> NDArray[np.float32] | None:
    """The table of one shape; None of one that is too small, or longer than the table."""
    voxels = int(mask.sum())
    if voxels < LEAST_VOXELS:
        return None
    radius = (3 * voxels * float(np.prod(spacing_um)) / (4 * np.pi)) ** (1 / 3)
    spacing = np.array(spacing_um) / radius
    margin = np.ceil(1.0 / spacing).astype(int)
    padded = np.pad(mask, [(n, n) for n in margin])
    outside = edt.edt(np.ascontiguousarray(~padded), anisotropy=tuple(spacing))
    depth = edt.edt(np.ascontiguousarray(padded), anisotropy=tuple(spacing))
    rho = np.where(padded, 1 - depth / depth.max(), 1 + outside)
    centre = np.array(ndimage.center_of_mass(padded))
    if (np.abs(np.argwhere(padded) - centre) * spacing).max() > REACH:
        return None
    axis = np.linspace(-REACH, REACH, SIDE)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    at = points / spacing[:, None, None, None] + centre[:, None, None, None]
    return np.asarray(ndimage.map_coordinates(rho, at, order=1, mode="nearest"), np.float32)


def real_shapes() -> Float32[np.ndarray, "k s s s"]:
    """Shapes of nuclei of Arabidopsis ovules: labels of GoNuclear's volumes 1137, 1139 and 1170 (MIT), none of 1135."""
    with np.load(Path(__file__).with_name("gonuclear.npz"), allow_pickle=False) as file:
        return np.asarray(file["rho"], np.float32) / np.float32(STEPS)


def packed(tables: Float32[np.ndarray, "k s s s"]) -> NDArray[np.uint8]:
    """Tables as they are kept in a file: ρ in steps of 1/:data:`STEPS`."""
    return np.asarray(np.clip(np.rint(tables * STEPS), 0, 255), np.uint8)
