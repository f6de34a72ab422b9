"""Cells refined one by one, and the voxels that two of them claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracking3d.labels import label_volume, label_voxels
from tracking3d.segment.contours.patch import Patch, patches
from tracking3d.segment.image import Image, checked
from tracking3d.segment.labelled import labelled
from volumes.errors import GridError
from volumes.shapes import Mask
from volumes.volume import Volume

Evolve = Callable[[Patch], Mask]
"""Where a cell lies once its contour has come to rest."""


class Starts(Protocol):
    """Whatever gives the cells to refine: any segmenter."""

    def segment(self, volume: Volume) -> Volume:
        """Integer labels on the volume's grid."""
        ...


def segmented(volume: Volume, start: Starts, evolve: Evolve) -> Volume:
    """The cells that a segmenter finds, refined, numbered from 1 without gaps."""
    checked(volume)
    labels = label_voxels(start.segment(volume), "the start").astype(np.int32)
    return labelled(volume, lambda image: settled(image, labels, evolve), min_volume_um3=0.0)


def refined(volume: Volume, labels: Volume, evolve: Evolve) -> Volume:
    """Given cells, refined under their own numbers.

    Raises
    ------
    GridError : labels on another grid than the image.
    ContentError : labels that are no whole numbers, or voxels that cannot be segmented.
    """
    if not labels.grid.is_close(volume.grid):
        raise GridError("the labels lie on another grid than the image", field="labels", value=labels.grid.shape)
    given = label_voxels(labels)
    numbers, compact = np.unique(given, return_inverse=True)
    if numbers[0] != 0:
        numbers, compact = np.concatenate([[0], numbers]), compact + 1
    out = settled(checked(volume), compact.reshape(given.shape).astype(np.int32), evolve)
    return label_volume(numbers[out], volume)


def settled(image: Image, labels: NDArray[np.int32], evolve: Evolve) -> NDArray[np.int32]:
    """Every cell refined, each from the given labels; a voxel of several goes to the one that it lies deepest in.

    A cell keeps its shape where it is not brighter than the background around it, and vanishes if its contour does.
    """
    from tracking3d.segment.pieces import distance_um

    out, depth = np.zeros_like(labels), np.zeros(labels.shape, np.float32)
    untouched = labels.copy()
    for label, box, patch in patches(image, labels):
        untouched[box][patch.start] = 0
        mask = evolve(patch) & image.inside[box]
        if not mask.any():
            continue
        # A face of the volume is no outside; one of the box is, since the cell ends before it.
        inner = distance_um(np.pad(mask, 1, mode="edge"), image.spacing_um)[1:-1, 1:-1, 1:-1]
        mine = mask & (inner > depth[box])
        out[box][mine], depth[box][mine] = label, inner[mine]
    return np.where(out > 0, out, untouched)
