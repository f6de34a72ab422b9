"""Shapes that anatomies are drawn with, on voxel indices: balls, tubes, skins, noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from phantom.anatomy.tissues import TISSUES
from volumes.shapes import AnyArray, Mask, Shape3, Voxels


def ball(shape: Shape3, centre: Sequence[float], radii: Sequence[float]) -> Mask:
    """Voxels whose centres lie in an ellipsoid along the axes; centre and radii in voxels."""
    z, y, x = (((np.arange(n) - c) / r) ** 2 for n, c, r in zip(shape, centre, np.maximum(radii, 1e-6), strict=True))
    inside: Mask = z[:, None, None] + y[None, :, None] + x[None, None, :] <= 1
    return inside


def tube(shape: Shape3, line: ArrayLike, radius: float) -> Mask:
    """Voxels within ``radius`` of a line of points (n, 3), all in voxels; a thin one still marks the nearest voxel."""
    points = _dense(np.asarray(line, dtype=np.float64), 0.5)
    reach = int(np.ceil(radius)) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    whole = np.rint(points).astype(int)
    voxels = whole[:, None] + offsets
    near = np.linalg.norm(voxels - points[:, None], axis=-1) <= radius
    marked = np.concatenate([voxels[near], whole])
    marked = marked[((marked >= 0) & (marked < shape)).all(1)]
    mask = np.zeros(shape, bool)
    mask[tuple(marked.T)] = True
    return mask


def depth(mask: Mask) -> Voxels:
    """Distance of each voxel inside to the nearest one outside, in voxels, float32; the array's border is outside."""
    from edt import edt

    distance: Voxels = edt(np.ascontiguousarray(mask), black_border=True)
    return distance


def rounded(mask: Mask, sigma: float) -> Mask:
    """The mask with its corners rounded by a Gaussian of σ voxels."""
    smooth: Mask = ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5
    return smooth


def band_passed(shape: Shape3, fine: float, coarse: float, rng: np.random.Generator) -> Voxels:
    """Gaussian noise between two scales (σ in voxels), float32: mean about 0, deviation 1."""
    white = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, fine, mode="wrap") - ndimage.gaussian_filter(white, coarse, mode="wrap")
    scaled: Voxels = noise / noise.std()
    return scaled


def unit_mean(strength: Voxels, labels: Voxels) -> Voxels:
    """Divided by its mean in each tissue, float32; 1 in the medium, and in a tissue where it is 0 throughout."""
    count = np.bincount(labels.ravel(), minlength=len(TISSUES))
    mean = np.bincount(labels.ravel(), strength.ravel(), minlength=len(TISSUES)) / np.maximum(count, 1)
    scaled = strength / np.where(mean > 0, mean, 1)[labels]
    flat: AnyArray = (labels == 0) | (mean <= 0)[labels]
    return np.where(flat, 1, scaled).astype(np.float32)


def _dense(points: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """The line through the points, sampled about every ``step`` voxels."""
    if len(points) < 2:
        return points
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1)))
    at = np.linspace(0, along[-1], int(np.ceil(along[-1] / step)) + 2)
    return np.stack([np.interp(at, along, points[:, i]) for i in range(3)], -1)
