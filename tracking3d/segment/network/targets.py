"""What the network is to say of a labelled volume."""

from __future__ import annotations

import edt
import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND, HEADS, OFFSET, WEIGHT
from volumes.jit import kernel
from volumes.shapes import AnyArray, Mask, Voxels


def targets(labels: Voxels, known: Mask | None = None) -> NDArray[np.float32]:
    """Labels (z, y, x) on the network's grid → (7, z, y, x): the heads, foreground as 0 or 1, and the weight.

    The faces of the volume are not a border. Take targets before cropping: a cell that a crop cuts then keeps its
    distance, centre and size.

    Parameters
    ----------
    labels : whole numbers, 0 the background; a number is one cell, wherever its voxels lie.
    known : where the labels can be trusted; None for everywhere.
    """
    compact, numbers = _compact(labels)
    out = np.zeros((HEADS + 1, *labels.shape), np.float32)
    out[FOREGROUND] = compact > 0
    out[WEIGHT] = 1 if known is None else known
    if not len(numbers):
        return out
    border = edt.edt(compact, black_border=False, parallel=1)
    # A label that fills the volume has no border: one plateau.
    out[DISTANCE] = np.where(np.isfinite(border), border, 1) * out[FOREGROUND]
    peak, sums = _measured(compact, out[DISTANCE], len(numbers))
    peak[0] = 1
    count = np.maximum(sums[:, 0], 1)
    _fill(compact, peak, sums[:, 1:] / count[:, None], np.log(np.cbrt(6 / np.pi * count) / DIAMETER), out)
    out[OFFSET] /= DIAMETER
    return out


def _compact(labels: Voxels) -> tuple[NDArray[np.int32], AnyArray]:
    """Labels renumbered 1..n, and their old numbers."""
    numbers, inverse = np.unique(labels, return_inverse=True)
    shift = 0 if numbers.size and numbers[0] == 0 else 1
    return (inverse.reshape(labels.shape) + shift).astype(np.int32), numbers[numbers != 0]


@kernel
def _measured(labels: AnyArray, distance: AnyArray, n: int) -> tuple[AnyArray, AnyArray]:
    """Each label's largest distance (n + 1,), and its count and sums of z, y, x (n + 1, 4)."""
    peak, sums = np.zeros(n + 1, np.float32), np.zeros((n + 1, 4))
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if label > 0:
                    peak[label] = max(peak[label], distance[i, j, k])
                    sums[label, 0] += 1
                    sums[label, 1] += i
                    sums[label, 2] += j
                    sums[label, 3] += k
    return peak, sums


@kernel
def _fill(labels: AnyArray, peak: AnyArray, centre: AnyArray, size: AnyArray, out: AnyArray) -> None:
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if label > 0:
                    out[1, i, j, k] /= peak[label]
                    out[2, i, j, k] = centre[label, 0] - i
                    out[3, i, j, k] = centre[label, 1] - j
                    out[4, i, j, k] = centre[label, 2] - k
                    out[5, i, j, k] = size[label]
