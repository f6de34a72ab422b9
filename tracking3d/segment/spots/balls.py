"""Balls of one radius around seeds, each voxel to the nearest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.spots.seeds import Seeds
from volumes.shapes import Shape3, Triple


def balls(seeds: Seeds, radius_um: float, shape: Shape3, spacing_um: Triple) -> NDArray[np.int32]:
    """(Z, Y, X) labels from 1 in the seeds' order: voxels within the radius of a seed, in µm; of equals the earlier."""
    labels, nearest = np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)
    for label, seed in enumerate(seeds, start=1):
        box = tuple(
            slice(max(0, int(at - radius_um // s)), min(n, int(at + radius_um // s) + 1))
            for at, s, n in zip(seed, spacing_um, shape, strict=True)
        )
        axes = [(np.arange(b.start, b.stop) - at) * s for b, at, s in zip(box, seed, spacing_um, strict=True)]
        squared = (axes[0] ** 2)[:, None, None] + (axes[1] ** 2)[:, None] + axes[2] ** 2
        mine = (squared <= radius_um**2) & (squared < nearest[box])
        labels[box][mine], nearest[box][mine] = label, squared[mine]
    return labels
