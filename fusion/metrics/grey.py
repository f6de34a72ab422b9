"""Colours as grey, the way in which the published figures were computed."""

from __future__ import annotations

import numpy as np

from volumes.errors import ContentError
from volumes.shapes import AnyArray

WEIGHTS = (299, 587, 114)
"""Thousandths of red, green and blue in luma (ITU-R BT.601)."""


def grey(rgb: AnyArray) -> AnyArray:
    """⌊0.299 R + 0.587 G + 0.114 B⌋, exactly: integers are weighed as integers, so that a grey stays what it is.

    Parameters
    ----------
    rgb : (..., 3), colours on 0–255 in the last axis.

    Returns
    -------
    (...), of the same type.

    Raises
    ------
    ContentError : the last axis is not three colours.
    """
    colours = np.asarray(rgb)
    if colours.ndim < 2 or colours.shape[-1] != 3 or colours.dtype.kind not in "uif":
        remedy = "Give red, green and blue in the last axis; leave out transparency"
        raise ContentError("are not three colours a pixel", field="rgb", value=colours.shape, remedy=remedy)
    if colours.dtype.kind == "f":
        # A hair above: of weights like 0.299 the sum for (c, c, c) may fall just below c.
        return np.asarray(np.floor(colours @ (np.array(WEIGHTS) / 1000) + 1e-6), colours.dtype)
    return np.asarray(colours.astype(np.int64) @ np.array(WEIGHTS) // 1000, colours.dtype)
