"""What a segmenter is shown: a picture on the network's grid, with what it is to say of every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage

from tracking3d.segment.network.heads import DISTANCE, OFFSET
from tracking3d.segment.network.normalise import normalised
from volumes.shapes import AnyArray, Shape3, Voxels

LONGEST_THIN, SHORTEST_THIN = 20, 4
"""Planes of a thin stack."""
GAIN, SHIFT = 0.5, 0.12
"""How far the levels of a piece are off those of its whole: σ of the logarithm of the gain; largest shift."""
SHALLOWEST = 0.15
"""Where less is left of a cell than this depth (one layer of voxels), its remains are no cell of their own."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A picture and its targets.

    Parameters
    ----------
    image : (z, y, x), not yet normalised.
    targets : (7, z, y, x) of :func:`tracking3d.segment.network.targets.targets`.
    levels : the intensities that become 0 and 1.
    labels : (z, y, x), each cell's number.
    """

    image: Voxels
    targets: Float[np.ndarray, "c z y x"]
    levels: tuple[float, float]
    labels: Voxels


def shown(piece: Piece, shape: Shape3, thin: bool, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """A random part of a piece, mirrored and turned, normalised by levels that are a little off.

    A cell that the part cuts has its peak where it is deepest of what is left, as it will at the faces of a volume, of
    which nobody knows what lies behind. Its centre and its size stay those of the whole.

    Parameters
    ----------
    piece : at least as large as ``shape``.
    shape : of the part.
    thin : only a few planes of it, and nothing behind them: what a network meets in a thin stack.
    rng : all randomness.

    Returns
    -------
    Image (z, y, x) and targets (7, z, y, x), float32.
    """
    begin = [int(rng.integers(have - n + 1)) for have, n in zip(piece.image.shape, shape, strict=True)]
    box = tuple(slice(b, b + n) for b, n in zip(begin, shape, strict=True))
    image = normalised(piece.image[box].astype(np.float32), _off(piece.levels, rng))
    wanted = np.concatenate([piece.targets[(slice(None), *box)], piece.labels[box][None]], dtype=np.float32)
    for axis in range(3):
        if rng.random() < 0.5:
            image, wanted = mirrored(image, wanted, axis)
    if shape[1] == shape[2] and rng.random() < 0.5:
        image, wanted = swapped(image, wanted)
    if thin:
        most = min(LONGEST_THIN, shape[0])
        planes = SHORTEST_THIN + int(rng.random() ** 2 * (most + 1 - SHORTEST_THIN))
        image, wanted = image.copy(), wanted.copy()
        image[planes:], wanted[:, planes:] = 0, 0
    deepened(wanted[DISTANCE], wanted[-1].astype(np.int32))
    return np.ascontiguousarray(image), np.ascontiguousarray(wanted[:-1])


def deepened(distance: AnyArray, labels: AnyArray) -> None:
    """Distances (z, y, x) over the largest that is left of each cell, in place."""
    peaks = ndimage.maximum(distance, labels, np.arange(int(labels.max(initial=0)) + 1))
    peaks = np.asarray(peaks, np.float32)
    peaks[peaks < SHALLOWEST] = 1
    distance /= peaks[labels]


def mirrored(image: AnyArray, wanted: AnyArray, axis: int) -> tuple[AnyArray, AnyArray]:
    """Both mirrored along an axis; offsets along it point the other way."""
    wanted = np.flip(wanted, 1 + axis).copy()
    wanted[OFFSET.start + axis] *= -1
    return np.flip(image, axis), wanted


def swapped(image: AnyArray, wanted: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Both with y and x exchanged, the offsets too."""
    order = list(range(len(wanted)))
    y, x = OFFSET.start + 1, OFFSET.start + 2
    order[y], order[x] = x, y
    return np.swapaxes(image, 1, 2), np.swapaxes(wanted, 2, 3)[order]


def filled(piece: Piece, shape: Shape3) -> Piece:
    """A piece at least as large as ``shape``: where there is nothing, its low level, of weight 0."""
    spare = [max(0, n - have) for n, have in zip(shape, piece.image.shape, strict=True)]
    if not any(spare):
        return piece
    behind = [(0, n) for n in spare]
    image = np.pad(piece.image.astype(np.float32), behind, constant_values=piece.levels[0])
    wanted: NDArray[np.float32] = np.pad(piece.targets, [(0, 0), *behind])
    return Piece(image, wanted, piece.levels, np.pad(piece.labels, behind))


def _off(levels: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    low, high = levels
    span = (high - low) * float(np.exp(GAIN * np.clip(rng.standard_normal(), -2.5, 2.5)))
    low += span * rng.uniform(-SHIFT, SHIFT)
    return low, low + span
