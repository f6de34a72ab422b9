"""A real volume, moved by a transform that is known exactly: what a registration has to find again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from volumes import Affine, Volume
from volumes.errors import ConfigError
from volumes.shapes import Mask, Matrix4, Voxels
from volumes.volume import require_finite

BACKGROUND_PERCENTILE = 1.0
"""A volume's background is this percentile of its valid voxels."""
BRIGHT_PERCENTILE = 99.8
"""Noise is a share of the span from the background to this percentile."""
FIELD = 0.5 + 1e-6
"""The field reaches half a voxel past the outermost centres; rounding forgiven."""


def displaced(
    volume: Volume,
    *,
    rotation_deg: Sequence[float] = (0.0, 0.0, 0.0),
    shift_um: Sequence[float] = (0.0, 0.0, 0.0),
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[Volume, Affine]:
    """The volume turned about its centre and shifted, on its own grid, and the transform that says so.

    With ``truth(x) = R (x − c) + c + shift``, ``moved(truth(x)) = volume(x)``: truth takes points of the unmoved volume
    (or of any volume aligned to it) to points of the moved one, which is what ``register(fixed=volume, moving=moved)``
    ought to return. The voxels come from a cubic spline, so that a trilinear resampling back is no exact inverse.

    Parameters
    ----------
    volume : what is moved; labels are refused, since a spline would mix them.
    rotation_deg : rotation vector (axis × angle) over the world's (z, y, x), in degrees.
    shift_um : shift after the turn, (z, y, x) in µm.
    noise : standard deviation of the Gaussian noise, as a share of each channel's span from its background to its
        99.8 % percentile.
    seed : of the noise.

    Returns
    -------
    The moved volume (float32, or float64 for float64) and the truth. Where the old field held no data, ``valid`` is
    False and the voxel is the channel's background, without noise.

    Raises
    ------
    ConfigError : a noise below 0 or not finite, or a volume of labels.
    ContentError : voxels that are NaN or infinite.
    """
    if not 0 <= noise < np.inf:
        raise ConfigError("must be finite and not below 0", field="noise", value=noise)
    if volume.modality == "labels":
        raise ConfigError("labels cannot be moved by a spline", field="volume", remedy="Use volumes.resample")
    require_finite(volume, "volume")
    truth = Affine.rigid([math.radians(r) for r in rotation_deg], shift_um, volume.grid.centre_um[0].tolist())
    to_source = np.linalg.inv(volume.grid.matrix) @ truth.inverse().matrix @ volume.grid.matrix
    valid = _covered(volume, to_source)
    rng = np.random.default_rng(seed)
    planes = [_moved(channel, volume.mask(), to_source, valid, noise, rng) for channel in volume.array]
    return replace(volume, data=np.stack(planes), valid=valid), truth


def _moved(
    voxels: Voxels, known: Mask, to_source: Matrix4, valid: Mask, noise: float, rng: np.random.Generator
) -> Voxels:
    """One channel through the spline, with noise where there is data and background elsewhere."""
    background, bright = np.percentile(voxels[known], [BACKGROUND_PERCENTILE, BRIGHT_PERCENTILE])
    kind = np.float64 if voxels.dtype == np.float64 else np.float32
    filled = np.where(known, voxels, background).astype(np.float64)
    out = ndimage.affine_transform(filled, to_source[:3, :3], to_source[:3, 3], order=3, mode="nearest")
    out += noise * (bright - background) * rng.standard_normal(out.shape)
    return np.where(valid, out, background).astype(kind)


def _covered(volume: Volume, to_source: Matrix4) -> Mask:
    """Where the moved grid's voxels fall inside the old field, and on valid voxels of it alone."""
    shape = np.asarray(volume.grid.shape)
    index = np.indices(volume.grid.shape).reshape(3, -1).T
    source = index @ to_source[:3, :3].T + to_source[:3, 3]
    within = (source >= -FIELD) & (source <= shape - 1 + FIELD)
    inside: Mask = within.all(1).reshape(volume.grid.shape)
    if volume.valid is None:
        return inside
    known = volume.valid.astype(np.float64)
    share = ndimage.affine_transform(known, to_source[:3, :3], to_source[:3, 3], order=1, mode="nearest")
    covered: Mask = inside & (share > 1 - 1e-6)
    return covered
