"""Which tissue is where: drawn at random, or read from a picture that exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from volumes.shapes import AnyArray, Mask, Shape3, Voxels

TISSUES = 12
"""Labels run from 0, outside, to below this."""
SHELL = 1
"""The label of a hard outer shell, such as a skull."""


@dataclass(frozen=True, eq=False)
class Structure:
    """A patchwork.

    Parameters
    ----------
    labels : (z, y, x) uint8, 0 outside the body, :data:`SHELL` in its shell, more for the tissues inside.
    depth : distance from the body's surface in voxels, 0 outside; float32.
    """

    labels: Voxels
    depth: Voxels


def random_structure(shape: Shape3, rng: np.random.Generator) -> Structure:
    """A head-like body with a shell, folds and patches; or cells in a medium.

    Parameters
    ----------
    shape : (z, y, x); a slice has z = 1.
    rng : all randomness.
    """
    return _head(shape, rng) if rng.random() < 0.65 else _cells(shape, rng)


def structure_of(picture: Voxels, rng: np.random.Generator) -> Structure:
    """Tissues cut from a picture by its own grey levels, with or without a shell around its body.

    Parameters
    ----------
    picture : (z, y, x), bright on dark.
    rng : all randomness.
    """
    smooth = ndimage.gaussian_filter(picture, [rng.uniform(0.3, 1.5) if n > 1 else 0 for n in picture.shape])
    low, high = np.quantile(smooth, (0.02, 0.99))
    body = filled(smooth > low + 0.12 * (high - low))
    depth = depth_in(body)
    inside = smooth[body] if body.any() else smooth.ravel()
    cuts = np.quantile(inside, np.sort(rng.uniform(0.05, 0.95, int(rng.integers(3, 7)))))
    labels = np.where(body, SHELL + 1 + np.digitize(smooth, cuts), 0).astype(np.uint8)
    if rng.random() < 0.6:
        begin, thick = rng.uniform(0, 5), rng.uniform(2, 8)
        labels[(depth > begin) & (depth <= begin + thick)] = SHELL
    return Structure(labels, depth)


def smooth_noise(shape: Shape3, sigma: float, rng: np.random.Generator) -> Voxels:
    """Gaussian noise of correlation length ``sigma`` voxels, mean 0, deviation 1; an axis of one voxel has no part."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    out = ndimage.gaussian_filter(noise, [sigma if n > 1 else 0 for n in shape], mode="wrap", truncate=3.0)
    return np.asarray((out - out.mean()) / max(float(out.std()), 1e-6), np.float32)


def _head(shape: Shape3, rng: np.random.Generator) -> Structure:
    size = max(shape[1:])
    radius = np.zeros(shape, np.float32)
    for axis, n in enumerate(shape):
        half = rng.uniform(0.30, 0.62) * max(n, size if axis == 0 else n)
        centre = n / 2 + rng.uniform(-0.12, 0.12) * n
        along = ((np.arange(n) - centre) / half) ** 2 if n > 1 else np.zeros(1)
        radius += along.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    outline = 1 + rng.uniform(0.02, 0.12) * smooth_noise(shape, 0.15 * size, rng)
    body = np.sqrt(radius) * outline < 1
    depth = depth_in(body)
    labels = np.where(body, 2, 0).astype(np.uint8)
    halves = smooth_noise(shape, rng.uniform(0.06, 0.2) * size, rng)
    labels = np.where(body & (halves > rng.uniform(-0.5, 0.8)), 3, labels)
    folds = smooth_noise(shape, rng.uniform(2.0, 6.0), rng)
    labels = np.where(body & (np.abs(folds) < rng.uniform(0.1, 0.7)), 4, labels)
    for label in range(5, int(rng.integers(6, TISSUES))):
        patch = smooth_noise(shape, rng.uniform(1.5, 0.12 * size), rng)
        labels = np.where(body & (patch > rng.uniform(1.3, 2.4)), label, labels)
    skin, shell = rng.uniform(0, 6), rng.uniform(2, 9)
    if rng.random() < 0.8:
        labels[(depth > skin) & (depth <= skin + shell)] = SHELL
    return Structure(labels.astype(np.uint8), depth)


def _cells(shape: Shape3, rng: np.random.Generator) -> Structure:
    """Bodies with rough outlines around random centres, some with a bright rim."""
    voxels = int(np.prod(shape))
    size = rng.uniform(3.0, 14.0)
    axes = sum(n > 1 for n in shape)
    count = int(np.clip(rng.uniform(0.1, 0.8) * voxels / (2 * size) ** axes, 3, 4000))
    centres = rng.uniform(0, 1, (count, 3)) * shape
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    distance, which = cKDTree(centres).query(points)
    own = size * rng.uniform(0.6, 1.3, count)
    reach = (distance / own[which]).reshape(shape) * (1 + 0.12 * smooth_noise(shape, size / 2, rng))
    kinds = rng.integers(3, TISSUES, count).astype(np.uint8)[which].reshape(shape)
    labels = np.where(reach < 1, kinds, np.where(smooth_noise(shape, 4 * size, rng) > 0, 2, 0))
    if rng.random() < 0.5:
        labels = np.where(np.abs(reach - 0.9) < 0.1, SHELL, labels)
    return Structure(labels.astype(np.uint8), depth_in(labels > 0))


def filled(body: Mask) -> Mask:
    """Holes closed plane by plane, as a body's air spaces are inside it."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def depth_in(body: Mask) -> Voxels:
    """Distance from the body's surface in voxels, 0 outside."""
    out: AnyArray = ndimage.distance_transform_edt(body if body.shape[0] > 1 else body[0])
    return np.asarray(out, np.float32).reshape(body.shape)
