"""One cell and what lies around it, as a contour sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.image import Image
from volumes.shapes import Mask, Triple

MARGIN = 0.6
"""What a patch shows around a cell, as a share of its radius."""
LEAST_MARGIN = 3
"""The same in voxels, at least."""
SMOOTHING = 0.15
"""Gaussian σ before a contour looks at the image, as a share of the median radius."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Patch:
    """A box around one cell.

    Parameters
    ----------
    values : (Z, Y, X), smoothed, from 0, the mean of the background in the box, to 1, that inside the cell; what is
        beyond counts as these, since the flank of a bright nucleolus is no outline.
    start : (Z, Y, X), the cell as it is given.
    others : (Z, Y, X), the other cells, and voxels without data.
    spacing_um : (z, y, x).
    radius_um : of the ball, in one slice the disc, with the cell's volume.
    """

    values: NDArray[np.float32]
    start: Mask
    others: Mask
    spacing_um: Triple
    radius_um: float


def patches(image: Image, labels: NDArray[np.int32]) -> Iterator[tuple[int, Box, Patch]]:
    """Each label in turn with its box and what lies there; a cell without a contrast of its own is left out."""
    from scipy import ndimage

    counts = np.bincount(labels.ravel())[1:]
    if not counts.any():
        return
    radii = radius_um(counts, image)
    smooth = image.smooth(SMOOTHING * float(np.median(radii[counts > 0])))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            grown = _grown((box[0], box[1], box[2]), radii[label - 1], image)
            patch = _patch(image, smooth, labels, label, grown, float(radii[label - 1]))
            if patch is not None:
                yield label, grown, patch


def radius_um(counts: NDArray[np.int64], image: Image) -> NDArray[np.float64]:
    """Of balls, in one slice of discs, with so many voxels."""
    if image.inside.shape[0] == 1:
        radii: NDArray[np.float64] = np.sqrt(counts * (image.spacing_um[1] * image.spacing_um[2] / np.pi))
    else:
        radii = np.cbrt(counts * (image.voxel_um3 * 3 / (4 * np.pi)))
    return radii


def _grown(box: Box, radius: float, image: Image) -> Box:
    z, y, x = (
        slice(max(0, at.start - margin), min(n, at.stop + margin))
        for at, n, margin in (
            (at, n, max(LEAST_MARGIN, int(np.ceil(MARGIN * radius / s))))
            for at, n, s in zip(box, image.inside.shape, image.spacing_um, strict=True)
        )
    )
    return z, y, x


def _patch(
    image: Image, smooth: NDArray[np.float32], labels: NDArray[np.int32], label: int, box: Box, radius: float
) -> Patch | None:
    around, values, inside = labels[box], smooth[box], image.inside[box]
    start = around == label
    background = inside & (around == 0)
    if not background.any():
        return None
    bright, dark = float(values[start].mean()), float(values[background].mean())
    if not bright > dark:
        return None
    normal = np.clip((values - dark) / (bright - dark), 0, 1).astype(np.float32)
    return Patch(normal, start, ~inside | ((around > 0) & ~start), image.spacing_um, radius)
