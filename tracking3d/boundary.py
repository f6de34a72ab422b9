"""How far the surfaces of matched cells lie apart, in µm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from volumes.shapes import AnyArray, Mask

Box: TypeAlias = tuple[slice, ...]
LONGEST = 1 << 22
"""Labels up to which boxes are listed by label."""


def boundary_errors(
    truth: AnyArray,
    found: AnyArray,
    pairs: NDArray[np.int64],
    spacing_um: Sequence[float],
) -> NDArray[np.float64]:
    """Distances between the surfaces of each pair of cells.

    A surface is the voxels of a cell of which one of the six neighbours is not the cell's; beyond the volume nothing
    is, but along an axis of a single voxel there are no neighbours. d(A → B) are the distances from each voxel of
    surface A to the nearest of surface B, voxel centre to voxel centre.

    Parameters
    ----------
    truth, found : labels (Z, Y, X).
    pairs : (k, 2) true label and found label, both there.
    spacing_um : (z, y, x) µm.

    Returns
    -------
    (k, 2) µm: the mean over d(A → B) and d(B → A) together, and the larger of their two 95th percentiles.
    """
    out = np.zeros((len(pairs), 2))
    if not len(pairs):
        return out
    boxes = [_boxes(labels, pairs[:, i]) for i, labels in enumerate((truth, found))]
    flat = np.array(truth.shape) == 1
    for k, (a, b) in enumerate(pairs.tolist()):
        box = tuple(
            slice(min(one.start, two.start), max(one.stop, two.stop))
            for one, two in zip(boxes[0][k], boxes[1][k], strict=True)
        )
        surfaces = [_surface(labels[box] == label, flat) for labels, label in ((truth, a), (found, b))]
        one, two = (_to_nearest(surfaces[i], surfaces[1 - i], spacing_um) for i in range(2))
        out[k] = np.concatenate([one, two]).mean(), max(np.percentile(one, 95), np.percentile(two, 95))
    return out


def _boxes(labels: AnyArray, wanted: NDArray[np.int64]) -> list[Box]:
    """The bounding box of each label that is wanted."""
    from scipy.ndimage import find_objects

    if labels.max() <= LONGEST:
        boxes = find_objects(labels)
        return [boxes[label - 1] for label in wanted.tolist()]
    # Their places in a short list instead of the labels.
    numbers = np.unique(wanted)
    place = np.minimum(np.searchsorted(numbers, labels), len(numbers) - 1)
    boxes = find_objects(np.where(numbers[place] == labels, place + 1, 0), len(numbers))
    return [boxes[row] for row in np.searchsorted(numbers, wanted).tolist()]


def _surface(cell: Mask, flat: NDArray[np.bool_]) -> Mask:
    padded = np.pad(cell, 1)
    inner: Mask = cell.copy()
    for axis in np.flatnonzero(~flat).tolist():
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    surface: Mask = cell & ~inner
    return surface


def _to_nearest(surface: Mask, other: Mask, spacing_um: Sequence[float]) -> NDArray[np.float64]:
    """Distance from each voxel of a surface to the nearest of the other, µm."""
    import edt

    away = edt.edt(np.ascontiguousarray(~other), anisotropy=tuple(float(s) for s in spacing_um), black_border=False)
    return np.asarray(away[surface], dtype=np.float64)
