"""Two pictures in one, and cells' outlines: arithmetic on small arrays."""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray

from experiments.report.window import Unit
from volumes.shapes import AnyArray

Colour = Float32[np.ndarray, "h w 3"]
"""RGB between 0 and 1."""

FIXED_RGB = (1.0, 0.56, 0.08)
"""Orange. With :data:`MOVING_RGB` it adds up to white, and the pair is told apart by the colour-blind."""
MOVING_RGB = (0.0, 0.44, 0.92)
_TINT = 0.22
_GOLDEN = 0.6180339887498949


def two_colours(fixed: Unit, moving: Unit) -> Colour:
    """Fixed in orange plus moving in blue: white where both are bright."""
    colours = np.asarray([FIXED_RGB, MOVING_RGB], np.float32)
    return np.asarray(np.clip(np.stack([fixed, moving], -1) @ colours, 0, 1), np.float32)


def squares(shape: tuple[int, int], size: int) -> Bool[np.ndarray, "h w"]:
    """The pattern of a checkerboard: True on the first square, squares of ``size`` pixels."""
    rows, columns = np.indices(shape)
    return np.asarray((rows // size + columns // size) % 2 == 0)


def checkerboard(fixed: Unit, moving: Unit, size: int) -> Unit:
    """Fixed on the squares where the pattern is True, moving on the others."""
    return np.asarray(np.where(squares((fixed.shape[0], fixed.shape[1]), size), fixed, moving), np.float32)


def tinted_checkerboard(fixed: Unit, moving: Unit, size: int) -> Colour:
    """The checkerboard with a breath of colour, so that it can be told which square is whose."""
    grey = checkerboard(fixed, moving, size)
    pattern = squares((grey.shape[0], grey.shape[1]), size)
    white = np.ones(3)
    tints = [(1 - _TINT) * white + _TINT * np.asarray(rgb) for rgb in (MOVING_RGB, FIXED_RGB)]
    return np.asarray(grey[..., None] * np.asarray(tints)[pattern.astype(int)], np.float32)


def grey(picture: Unit) -> Colour:
    """The same value in all three colours."""
    return np.repeat(picture[..., None], 3, axis=-1)


def outlines(labels: AnyArray, width: int = 1) -> NDArray[np.bool_]:
    """Pixels of a label (not 0) that touch another value above, below, left or right; the rim does not count.

    A ``width`` above 1 takes as many rings, one within the other.
    """
    if width > 1:
        ring = outlines(labels)
        return ring | outlines(np.where(ring, 0, labels), width - 1)
    out = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    out[1:] |= down
    out[:-1] |= down
    out[:, 1:] |= across
    out[:, :-1] |= across
    return np.asarray(out & (labels != 0), bool)


def label_rgb(labels: AnyArray) -> Colour:
    """A colour for each label, always the same for the same number; black for 0.

    Hues go round by the golden ratio, so that neighbouring numbers lie far apart.
    """
    numbers, where = np.unique(labels, return_inverse=True)
    table = [(0.0, 0.0, 0.0) if n == 0 else _rgb_of(int(n)) for n in numbers]
    return np.asarray(table, np.float32).reshape(-1, 3)[where.reshape(labels.shape)]


def outlined(picture: Unit, labels: AnyArray, width: int = 1) -> Colour:
    """A grey picture with the outline of each label drawn in the label's colour."""
    line = outlines(labels, width)[..., None]
    return np.asarray(np.where(line, label_rgb(labels), grey(picture)), np.float32)


def _rgb_of(number: int) -> tuple[float, float, float]:
    return colorsys.hls_to_rgb((number * _GOLDEN) % 1.0, 0.64, 0.9)
