"""One voxel for each blob: the maxima of a Laplacian of Gaussian."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.image import Image
from volumes.shapes import Mask, Triple

APART = 0.7
"""Two seeds lie further apart than this share of the radius, along some axis."""

Seeds = NDArray[np.int64]


def blob_seeds(image: Image, radius_um: float, mask: Mask) -> Seeds:
    """(n, 3) voxels inside a mask where −σ² ∇²(G_σ ∗ I) is largest around, the strongest first.

    σ = radius / √d answers strongest to a ball of that radius in d dimensions (Lindeberg 1998, "Feature detection with
    automatic scale selection"); both the Gaussian and the Laplacian are in µm.
    """
    flat = sum(n > 1 for n in mask.shape)
    sigma = radius_um / np.sqrt(max(flat, 1))
    return maxima(blobness(image, sigma), mask, APART * radius_um, image.spacing_um)


def blobness(image: Image, sigma_um: float) -> NDArray[np.float32]:
    """(Z, Y, X) −σ² ∇²(G_σ ∗ I), positive where a blob is brighter than what is around it."""
    from scipy import ndimage

    smooth = image.smooth(sigma_um)
    out = np.zeros_like(smooth)
    for axis, spacing in enumerate(image.spacing_um):
        second = ndimage.correlate1d(smooth, [1.0, -2.0, 1.0], axis=axis, mode="nearest")
        out -= np.float32((sigma_um / spacing) ** 2) * second
    return out


def maxima(values: NDArray[np.float32], mask: Mask, reach_um: float, spacing_um: Triple) -> Seeds:
    """(n, 3) voxels of a mask that no other within reach along the axes exceeds, the highest first; of equals one."""
    import cc3d
    from scipy import ndimage

    size = [2 * max(1, int(reach_um / spacing)) + 1 for spacing in spacing_um]
    highest = ndimage.maximum_filter(values, size, mode="nearest")
    labels = cc3d.connected_components((values == highest) & mask, connectivity=26)
    at = np.flatnonzero(labels)
    first = at[np.unique(labels.ravel()[at], return_index=True)[1]]
    first = first[np.argsort(-values.ravel()[first], kind="stable")]
    return np.stack(np.unravel_index(first, values.shape), axis=1).astype(np.int64)
