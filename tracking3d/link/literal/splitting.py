"""The second half of rule 5: merged cells are split where their distance map, or their image, has several maxima."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.literal.config import Extrema
from tracking3d.link.parts import masks, with_parts
from volumes.errors import ConfigError
from volumes.shapes import Mask, Points
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

DEPTH = 0.15
"""Two maxima are two cells where the saddle between them is lower than the lower one by more than this share of it."""
LEAST = 0.15
"""Smallest share of the volume that is a cell of its own; less is left to the largest part."""
SMOOTHING = 0.15
"""Smoothing of what the maxima are taken of, as a share of the largest distance to the outside."""


@dataclass(frozen=True)
class Parts:
    """What a cell is split into, the largest first.

    Parameters
    ----------
    zyx_um : (k, 3) centres, µm.
    share : (k,) of the volume.
    """

    zyx_um: Points
    share: NDArray[np.float64]


def split(
    detections: Detections,
    rows: NDArray[np.int64],
    labels: TimeLapse,
    image: TimeLapse | None = None,
    extrema: Extrema = "distance",
) -> Detections:
    """The detections with some of them split.

    Parameters
    ----------
    detections : as :func:`tracking3d.detect` makes them of the labels: with the feature ``label``.
    rows : those to split, where they can be.
    labels, image : the movie.
    extrema : what has the maxima.

    Returns
    -------
    The same rows, then one more for each further part, with the feature ``split_of``: the id of the detection it was
    split from, −1 at all others. The row that is split has the largest part's place, and its share of the volume.

    Raises
    ------
    TableError : a detection whose label the movie does not hold.
    ConfigError : intensities are asked for and there is no image.
    """
    if extrema == "intensity" and image is None:
        raise ConfigError("the image is missing", field="extrema", value=extrema, remedy="Give image=, or distance")
    zyx, volume = detections.zyx_um.copy(), detections.volume_um3.copy()
    source: list[int] = []
    places: list[Points] = [np.zeros((0, 3))]
    sizes: list[NDArray[np.float64]] = [np.zeros(0)]
    brightness = lru_cache(maxsize=1)(
        lambda frame: image[frame].channel(0).astype(np.float32) if image is not None else None
    )
    for row, cell, mask in masks(detections, rows, labels):
        seen = brightness(int(detections.t[row])) if extrema == "intensity" else None
        parts = parts_of(cell, mask, seen)
        if len(parts.share) < 2:
            continue
        source += [row] * (len(parts.share) - 1)
        places.append(parts.zyx_um[1:])
        sizes.append(parts.share[1:] * volume[row])
        zyx[row], volume[row] = parts.zyx_um[0], parts.share[0] * volume[row]
    whole = replace(detections, zyx_um=zyx, volume_um3=volume)
    return with_parts(whole, np.array(source, np.int64), np.concatenate(places), np.concatenate(sizes))


def parts_of(cell: Volume, mask: Mask, brightness: NDArray[np.float32] | None) -> Parts:
    """The parts of a label's mask (Z, Y, X) in a volume, by the basins of its distance map or its brightness."""
    import edt
    from scipy import ndimage

    from tracking3d.segment.basins import basins

    spacing = cell.grid.spacing_um
    # A rim of one voxel, so that a cell at the face of the volume has an outside there too.
    inside = np.pad(mask, 1)
    distance = edt.edt(inside, anisotropy=spacing, black_border=False, parallel=1)
    height = distance if brightness is None else np.where(inside, np.pad(brightness - brightness[mask].min(), 1), 0)
    sigma = [SMOOTHING * float(distance.max()) / step for step in spacing]
    height = ndimage.gaussian_filter(height.astype(np.float32), sigma)
    part = basins(height, inside, DEPTH)[1:-1, 1:-1, 1:-1]
    voxels = np.bincount(part.ravel())[1:]
    order = [int(i) for i in np.argsort(-voxels, kind="stable") if voxels[i] >= LEAST * voxels.sum()]
    share = voxels[order].astype(np.float64)
    share[0] += voxels.sum() - share.sum()
    index = np.array([np.argwhere(part == i + 1).mean(axis=0) for i in order])
    return Parts(cell.grid.to_world(index), share / share.sum())
