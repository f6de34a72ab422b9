"""Detections divided into parts: where each stands in the labels, and the table with rows for the further parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import label_voxels
from volumes.errors import TableError
from volumes.shapes import Mask, Points
from volumes.timelapse import TimeLapse
from volumes.volume import Volume


def masks(detections: Detections, rows: NDArray[np.int64], labels: TimeLapse) -> Iterator[tuple[int, Volume, Mask]]:
    """Row by row, in the order of frames: the labels' volume, and the row's mask in it; each frame is read once.

    Parameters
    ----------
    detections : as :func:`tracking3d.detect` makes them of the labels: with the feature ``label``.
    rows : of the detections that are asked for.
    labels : the movie that they were measured in.

    Raises
    ------
    TableError : detections without labels, a frame that the movie lacks, or a label that its frame does not hold.
    """
    number = detections.features.get("label")
    if number is None and len(rows):
        raise TableError("is missing", field="label", remedy="Take the detections from tracking3d.detect(labels)")
    for frame in np.unique(detections.t[rows]).tolist():
        if frame >= len(labels):
            raise TableError(f"the labels have {len(labels)} frames", field="t", value=frame)
        volume = labels[frame]
        voxels = label_voxels(volume)
        for row in rows[detections.t[rows] == frame].tolist():
            mask = voxels == number[row] if number is not None else np.zeros(voxels.shape, bool)
            if not mask.any():
                raise TableError(
                    f"row {row}: no voxel of frame {frame} has this label", field="label", value=detections.id[row]
                )
            yield row, volume, mask


def with_parts(
    detections: Detections, source: NDArray[np.int64], zyx_um: Points, volume_um3: NDArray[np.float64]
) -> Detections:
    """The same rows, and one for each further part: its own place (k, 3) and volume (k,), the rest from a source (k,).

    The feature ``split_of`` is the id of the detection that a part was split from, −1 at all others.
    """
    n = len(detections)
    every = np.concatenate([np.arange(n), source])
    features: dict[str, NDArray[Any]] = {name: column[every] for name, column in detections.features.items()}
    features["split_of"] = np.concatenate([np.full(n, -1), detections.id[source]])
    ids = np.concatenate([detections.id, detections.id.max(initial=-1) + 1 + np.arange(len(source))])
    zyx = np.concatenate([detections.zyx_um, zyx_um])
    volume = np.concatenate([detections.volume_um3, volume_um3])
    return Detections(ids, detections.t[every], zyx, volume, features, detections.dt_s)
