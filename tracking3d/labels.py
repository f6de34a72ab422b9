"""What a label volume is: one channel of whole numbers, 0 the background, each cell its own number."""

from __future__ import annotations

import numpy as np

from volumes.errors import ContentError
from volumes.shapes import AnyArray, Voxels
from volumes.volume import Channel, Volume

CHANNEL = Channel("labels", "labels")


def label_voxels(volume: Volume, what: str = "labels") -> Voxels:
    """The labels (Z, Y, X) of a volume; ``what`` names it in errors.

    Raises
    ------
    ContentError : floats, negative numbers, or more than one channel.
    """
    if volume.data.shape[0] != 1:
        raise ContentError("labels need exactly one channel", field=what, value=volume.data.shape[0])
    if not np.issubdtype(volume.data.dtype, np.integer):
        raise ContentError(
            "labels must be whole numbers",
            field=what,
            value=str(volume.data.dtype),
            remedy="Round them and convert to uint16 or uint32; interpolated labels cannot be mended",
        )
    voxels = volume.channel(0)
    if np.issubdtype(voxels.dtype, np.signedinteger) and voxels.size and voxels.min() < 0:
        raise ContentError("labels must not be negative", field=what, value=int(voxels.min()), remedy="0 is background")
    return voxels


def label_volume(labels: AnyArray, like: Volume) -> Volume:
    """Labels (Z, Y, X) as a volume on the grid, at the time and under the mask of ``like``; uint16 where they fit."""
    highest = int(labels.max()) if labels.size else 0
    kind = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
    return like.with_data(labels.astype(kind, copy=False), (CHANNEL,))
