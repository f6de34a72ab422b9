"""Sources that lack data in places: the others carry the result there, without a seam."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from volumes.pyramid import expand, gaussian_pyramid, halving_axes, reduce
from volumes.shapes import Mask, Triple, Voxels

TOUCHED = 0.01
"""Share of a coefficient's kernel that may rest on filled voxels before the coefficient is left out."""


def filled(sources: Sequence[Voxels], masks: Sequence[Mask], spacing_um: Triple) -> list[Voxels]:
    """The sources with their invalid voxels replaced by the mean of those that are valid there.

    The mean of what this returns is then, voxel by voxel, the mean of the valid sources, so that a base made of all of
    them is weighted by the masks. Where no source is valid, all take one smooth continuation of that mean.

    Parameters
    ----------
    sources : float32 (z, y, x) on one scale.
    masks : where each has data.
    spacing_um : (z, y, x) in µm.
    """
    number = np.zeros(sources[0].shape, np.uint8)
    total = np.zeros(sources[0].shape, np.float64)
    for source, mask in zip(sources, masks, strict=True):
        number += mask
        np.add(total, source, out=total, where=mask)
    mean = (total / np.maximum(number, 1)).astype(np.float32)
    if not number.all():
        mean = _continued(mean, number > 0, spacing_um)
    return [np.where(mask, source, mean) for source, mask in zip(sources, masks, strict=True)]


def barred(masks: Sequence[Mask], spacing_um: Triple, levels: int | None) -> list[Mask]:
    """For each detail level (sources, z, y, x): which coefficients rest on filled voxels and may not be chosen.

    A detail is Gₗ − up(Gₗ₊₁): the pyramid of the missing voxels tells which share of either kernel is filled. Where
    every source is touched, those that are touched least remain.

    Parameters
    ----------
    masks : where each source has data; at least one lacks some.
    spacing_um, levels : as for the pyramid of the sources.
    """
    lacking = [i for i, mask in enumerate(masks) if not mask.all()]
    shares = [gaussian_pyramid((~masks[i]).astype(np.float32), spacing_um, levels) for i in lacking]
    out = []
    for pairs in zip(*(pairwise(share) for share in shares), strict=True):
        touched = np.zeros((len(masks), *pairs[0][0].data.shape), np.float32)
        for i, (fine, coarse) in zip(lacking, pairs, strict=True):
            axes = tuple(a for a in range(3) if coarse.spacing_um[a] > fine.spacing_um[a])
            np.maximum(fine.data, expand(coarse.data, fine.data.shape, axes), out=touched[i])
        out.append(touched > np.maximum(TOUCHED, touched.min(axis=0)))
    return out


def _continued(values: Voxels, known: Mask, spacing_um: Triple) -> Voxels:
    """Known values stay; the others come from coarser levels that see one (Gortler et al. 1996, pull–push)."""
    if known.all():
        return values
    axes = halving_axes(values.shape, spacing_um)
    weights = reduce(known.astype(np.float32), axes)
    sums = reduce(np.where(known, values, np.float32(0)), axes)
    seen = weights > 0
    coarse = np.where(seen, sums / np.where(seen, weights, np.float32(1)), np.float32(0))
    z, y, x = (s * (2 if i in axes else 1) for i, s in enumerate(spacing_um))
    return np.where(known, values, expand(_continued(coarse, seen, (z, y, x)), values.shape, axes))
