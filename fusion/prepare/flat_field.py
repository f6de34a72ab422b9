"""Uneven light and sensitivity across the field of view divided out: by a measured flat, or one found in the stacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy.polynomial import legendre

from volumes import Volume
from volumes.errors import ConfigError, ContentError, GridError
from volumes.shapes import AnyArray, Voxels
from volumes.volume import require_finite


def flat_fielded(volume: Volume, flat: AnyArray, dark: AnyArray | float = 0.0) -> Volume:
    """(v − dark) · mean(flat − dark) / (flat − dark), float32: what an even field would have shown, above the dark.

    Parameters
    ----------
    volume : counts; every channel is treated alike.
    flat : picture of an even field, (y, x) or (z, y, x).
    dark : picture without light, (y, x) or (z, y, x), or one number.

    Raises
    ------
    GridError : a picture of another shape.
    ContentError : a flat that is not finite or not above the dark everywhere; voxels that are NaN or infinite.
    """
    require_finite(volume, "volume")
    black = _fitting(dark, volume, "dark")
    light = _fitting(flat, volume, "flat") - black
    if not np.isfinite(light).all() or light.min() <= 0:
        remedy = "Mask or mend dead pixels, or give the dark that belongs to it"
        problem = "must be finite and above the dark everywhere"
        raise ContentError(problem, field="flat", value=float(light.min()), remedy=remedy)
    out = (volume.array - black) * (light.mean() / light)
    return volume.with_data(out.astype(np.float32))


def smooth_flat(
    volumes: Sequence[Volume], dark: AnyArray | float = 0.0, degree: int = 4, channel: int | str = 0
) -> Voxels:
    """The field's shading found in stacks themselves, (1, y, x) float32 of mean 1: divide by it, or use it as a flat.

    The mean over all valid planes, less the dark, is fitted with products of Legendre polynomials in y and x of a total
    degree. The more planes show the specimen in other places, the less of it remains in the mean; of a single specimen
    that sits in the middle of every plane this would make a vignette, and its brightness would be flattened away.

    Parameters
    ----------
    volumes : of one (y, x) shape, as many as there are.
    dark : picture without light, or one number.
    degree : of the polynomials.
    channel : which.

    Raises
    ------
    ConfigError : a degree below 0.
    GridError : volumes of other shapes.
    ContentError : no volume, no light, or a fit that is not above 0 everywhere.
    """
    if degree < 0:
        raise ConfigError("must not be below 0", field="degree", value=degree)
    mean, weight = _mean_plane(volumes, dark, channel)
    columns = _polynomials(mean.shape, degree)
    root = np.sqrt(weight).ravel()
    found, *_ = np.linalg.lstsq(columns * root[:, None], mean.ravel() * root, rcond=None)
    fit = (columns @ found).reshape(mean.shape)
    if fit.min() <= 0:
        remedy = "Give the camera's dark, more planes, or a lower degree"
        raise ContentError("the shading found is not above 0", field="volumes", value=fit.min(), remedy=remedy)
    return np.asarray((fit / fit.mean())[None], np.float32)


def _mean_plane(
    volumes: Sequence[Volume], dark: AnyArray | float, channel: int | str
) -> tuple[Float64[np.ndarray, "y x"], Float64[np.ndarray, "y x"]]:
    """Mean over all valid voxels of each (y, x), and how many there are."""
    if not volumes:
        raise ContentError("needs at least one volume", field="volumes")
    shape = volumes[0].grid.shape[1:]
    total, number = np.zeros(shape), np.zeros(shape)
    for i, volume in enumerate(volumes):
        if volume.grid.shape[1:] != shape:
            raise GridError(f"is not of {shape} as volumes[0]", field=f"volumes[{i}]", value=volume.grid.shape)
        require_finite(volume, f"volumes[{i}]")
        black = _fitting(dark, volume, "dark")
        mask = volume.mask()
        total += np.where(mask, volume.channel(channel) - black, 0).sum(axis=0)
        number += mask.sum(axis=0)
    if not total.any():
        raise ContentError("show no light above the dark", field="volumes")
    return total / np.maximum(number, 1), number


def _polynomials(shape: tuple[int, ...], degree: int) -> Float64[np.ndarray, "yx n"]:
    along = [legendre.legvander((2 * np.arange(n) + 1) / n - 1, degree) for n in shape]
    pairs = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([np.outer(along[0][:, i], along[1][:, j]).ravel() for i, j in pairs], axis=1)


def _fitting(picture: AnyArray | float, volume: Volume, what: str) -> AnyArray:
    values = np.asarray(picture, np.float64)
    if what == "dark" and values.ndim == 0:
        return values
    legal = (volume.grid.shape, volume.grid.shape[1:], (1, *volume.grid.shape[1:]))
    if values.shape not in legal:
        raise GridError(f"needs the shape {legal[0]} or {legal[1]}", field=what, value=values.shape)
    return values
