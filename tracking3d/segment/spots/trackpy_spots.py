"""Blobs as ``trackpy.locate`` finds them: a band-pass, and the brightness-weighted centre of each local maximum."""

from __future__ import annotations

import warnings

import numpy as np

from tracking3d.segment.image import Image
from tracking3d.segment.spots.seeds import Seeds


def trackpy_seeds(image: Image, radius_um: float) -> Seeds:
    """(n, 3) voxels nearest to the features of that radius, brightest first (Crocker and Grier 1996).

    trackpy wants an odd number of voxels along each axis, sees nothing within a radius of the faces, and cuts what is
    dimmer than 1 on whatever scale it is given: so the diameter is rounded for each axis, the volume continued beyond
    its faces, and its brightness brought to 0 … 1.
    """
    import trackpy

    axes = [axis for axis in range(3) if image.voxels.shape[axis] > 1]
    half = [max(1, round(radius_um / image.spacing_um[axis])) for axis in axes]
    low, high = float(image.voxels.min()), float(image.voxels.max())
    voxels = np.squeeze((image.voxels - low) / (high - low))
    margin = [2 * h for h in half]
    padded = np.pad(voxels, [(m, m) for m in margin], mode="edge")
    with warnings.catch_warnings(action="ignore"):  # It warns where nothing is found; here that is an answer.
        found = trackpy.locate(padded, [2 * h + 1 for h in half], characterize=False, engine="python")
    found = found.sort_values(["mass"], ascending=False, kind="stable")
    seeds = np.zeros((len(found), 3), np.int64)
    for column, axis, m in zip(("z", "y", "x")[-len(axes) :], axes, margin, strict=True):
        seeds[:, axis] = np.rint(found[column].to_numpy() - m)
    # Beyond a face the volume is continued, and what was found there lies at the face.
    return np.clip(seeds, 0, np.array(image.voxels.shape) - 1)
