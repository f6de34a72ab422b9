"""What every segmenter looks at: one channel of finite voxels, where it holds data, and how large a voxel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumes.errors import ContentError
from volumes.shapes import Mask, Triple
from volumes.volume import Volume, require_finite


@dataclass(frozen=True, eq=False)
class Image:
    """One channel, ready to be segmented.

    Parameters
    ----------
    voxels : (Z, Y, X); the darkest value where there is no data.
    inside : (Z, Y, X), where there is data.
    spacing_um : (z, y, x).
    """

    voxels: NDArray[np.float32]
    inside: Mask
    spacing_um: Triple

    @property
    def voxel_um3(self) -> float:
        """The volume of one voxel, µm³."""
        return float(np.prod(self.spacing_um))

    @property
    def values(self) -> NDArray[np.float32]:
        """(n,) the voxels that hold data."""
        out: NDArray[np.float32] = self.voxels[self.inside]
        return out

    def smooth(self, sigma_um: float) -> NDArray[np.float32]:
        """(Z, Y, X) after a Gaussian of that σ in µm, which gives no weight to voxels without data."""
        from tracking3d.segment.pieces import smooth_um

        if self.inside.all():
            return smooth_um(self.voxels, sigma_um, self.spacing_um)
        weight = smooth_um(self.inside.astype(np.float32), sigma_um, self.spacing_um)
        smooth = smooth_um(np.where(self.inside, self.voxels, np.float32(0)), sigma_um, self.spacing_um)
        out: NDArray[np.float32] = np.where(
            self.inside, smooth / np.maximum(weight, np.finfo(np.float32).tiny), self.voxels
        )
        return out


def checked(volume: Volume) -> Image:
    """The one channel of a volume, as float32.

    Raises
    ------
    ContentError : NaN or infinite voxels, a constant volume, no valid voxel, or more than one channel.
    """
    if volume.data.shape[0] != 1:
        raise ContentError(
            "a segmenter takes one channel", field="volume", value=len(volume.channels), remedy="Choose a channel"
        )
    require_finite(volume, "image")
    raw, inside = volume.channel(0), volume.mask()
    if not inside.any():
        raise ContentError("the volume has no valid voxel", field="image", remedy="Check the mask and the overlap")
    low = raw[inside].min()
    if low == raw[inside].max():
        raise ContentError(
            "the volume is constant", field="image", value=low.item(), remedy="Check the file and channel"
        )
    return Image(np.where(inside, raw, low).astype(np.float32), inside, volume.grid.spacing_um)
