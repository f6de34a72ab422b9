"""What a voxel's neighbourhood looks like, whatever the modality: the MIND-SSC descriptor, in torch."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from registration.deformable.gaussian import blur
from registration.deformable.total import average
from volumes.errors import GridError

CHANNELS = 12
"""Pairs among the six neighbours that touch: all but the three that lie opposite each other."""
LEAST, MOST = 1e-3, 1e3
"""Bounds of the local variance, by its mean over the volume."""


def mind_ssc(volume: Tensor, dilation: int, sigma: float) -> Tensor:
    """Self-similarities of the neighbourhood of each voxel, 0–1, one channel for each pair of neighbours.

    ``exp(−D / V)``: D is the squared difference of two patches, around two of the six neighbours of a voxel that are
    √2·d apart; V is its mean over the 12 pairs, the local variance; the least D at the voxel is taken off all of them.
    A patch is weighted by a Gaussian. Since D compares a volume with itself, the descriptors of two modalities compare
    with each other (Heinrich et al. 2012, "MIND: modality independent neighbourhood descriptor for multi-modal
    deformable registration", Medical Image Analysis 16:1423; the pairs are those of Heinrich et al. 2013, "Towards
    realtime multimodal fusion for image-guided interventions using self-similarities", MICCAI, LNCS 8149:187).

    Parameters
    ----------
    volume : (1, 1, Z, Y, X), held constant past its border.
    dilation : d, how far the neighbours lie from the voxel, voxels.
    sigma : of the patch's Gaussian, voxels; 0: the patch is one voxel.

    Returns
    -------
    (1, 12, Z, Y, X), of the volume's kind; all 1 where the volume is constant.

    Raises
    ------
    GridError : a volume of another shape, a dilation below 1, a negative width.
    """
    if volume.ndim != 5 or volume.shape[:2] != (1, 1) or not volume.is_floating_point():
        raise GridError("must be (1, 1, Z, Y, X) in floats", field="volume", value=tuple(volume.shape))
    if dilation < 1:
        raise GridError("must be at least 1", field="dilation", value=dilation)
    around = [_shifted(volume[0, 0], axis, way * dilation) for axis in range(3) for way in (-1, 1)]
    out = volume.new_empty((1, CHANNELS, *volume.shape[2:]))
    touching = [pair for pair in combinations(range(6), 2) if pair[0] // 2 != pair[1] // 2]
    for channel, (i, j) in enumerate(touching):
        out[0, channel] = blur((around[i] - around[j]).square()[None], (sigma, sigma, sigma))[0]
    out -= out.amin(dim=1, keepdim=True)
    variance = out.mean(dim=1, keepdim=True)
    level = float(average(variance))
    tiny = torch.finfo(volume.dtype).tiny
    out /= variance.clamp(max(LEAST * level, tiny), max(MOST * level, tiny))
    return out.neg_().exp_()


def reach(dilation: int, sigma: float) -> int:
    """Voxels from which a descriptor draws nearly all it says: the neighbour's distance and two widths of a patch."""
    return dilation + math.ceil(2 * sigma)


def _shifted(volume: Tensor, axis: int, by: int) -> Tensor:
    """``out[i] = volume[i + by]`` along an axis, the outermost voxels repeated."""
    n = volume.shape[axis]
    index = (torch.arange(n, device=volume.device) + by).clamp(0, n - 1)
    return volume.index_select(axis, index)
