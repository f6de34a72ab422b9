"""ΔE: how far apart two colours look."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from volumes.errors import ContentError, GridError
from volumes.shapes import AnyArray


def colour_difference(rgb: AnyArray, expected: AnyArray) -> Float64[np.ndarray, ...]:
    """CIE ΔE 2000 of every pixel; about 1 is just seen side by side, 2.3 the usual limit of "the same".

    Sharma, Wu & Dalal 2005, "The CIEDE2000 color-difference formula", through scikit-image.

    Parameters
    ----------
    rgb, expected : (..., 3), sRGB on 0–255, of one shape.

    Raises
    ------
    ContentError : not three colours on 0–255 in the last axis.
    GridError : two shapes.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    if np.shape(rgb) != np.shape(expected):
        raise GridError(f"has shape {np.shape(rgb)}, expected {np.shape(expected)}", field="rgb")
    return np.asarray(deltaE_ciede2000(rgb2lab(_share(rgb, "rgb")), rgb2lab(_share(expected, "expected"))))


def _share(rgb: AnyArray, what: str) -> Float64[np.ndarray, "... 3"]:
    values = np.asarray(rgb)
    if values.ndim < 1 or values.shape[-1] != 3 or values.dtype.kind not in "uif":
        raise ContentError("is not three colours a pixel", field=what, value=values.shape)
    if not (values.min() >= 0 and values.max() <= 255):
        raise ContentError("leaves 0–255", field=what, value=(float(values.min()), float(values.max())))
    return values / 255.0
