"""A mask shared out among seeds: each voxel to the nearest in µm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.spots.seeds import Seeds
from volumes.shapes import Mask, Triple


def voronoi(mask: Mask, seeds: Seeds, spacing_um: Triple) -> NDArray[np.int32]:
    """(Z, Y, X) labels from 1 in the seeds' order; a voxel goes to the nearest seed of its own connected part.

    A part without a seed stays 0; of equally near seeds the earlier one wins.
    """
    import cc3d
    from scipy import ndimage
    from scipy.spatial import cKDTree

    parts = cc3d.connected_components(mask, connectivity=26)
    part_of_seed = parts[tuple(seeds.T)]
    labels = np.zeros(mask.shape, np.int32)
    boxes = ndimage.find_objects(parts)
    for part in np.unique(part_of_seed[part_of_seed > 0]):
        mine = np.flatnonzero(part_of_seed == part)
        box = boxes[part - 1]
        voxels = np.argwhere(parts[box] == part)
        if len(mine) == 1:
            nearest = np.zeros(len(voxels), np.intp)
        else:
            corner = np.array([b.start for b in box])
            tree = cKDTree(seeds[mine] * spacing_um)
            nearest = np.asarray(tree.query((voxels + corner) * spacing_um)[1])
        labels[box][tuple(voxels.T)] = mine[nearest] + 1
    return labels
