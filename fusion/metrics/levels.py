"""What is compared: pictures or volumes of one shape as float64 on 0–255, and how long a step is along each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from volumes.errors import ConfigError, ContentError, GridError
from volumes.pyramid import COARSER
from volumes.shapes import AnyArray

Grey = Float64[np.ndarray, "..."]
"""Grey levels on 0–255, (y, x) or (z, y, x)."""
Byte = UInt8[np.ndarray, "..."]

TOP = 255.0
"""White."""


@dataclass(frozen=True)
class Levels:
    """A fused picture and its sources, ready to be compared.

    Parameters
    ----------
    fused, sources : grey levels of one shape; axes of a single voxel are gone.
    steps : spacing along each axis as a multiple of the finest one.
    """

    fused: Grey
    sources: tuple[Grey, ...]
    steps: tuple[float, ...]


def levels(fused: AnyArray, sources: Sequence[AnyArray], spacing: Sequence[float] | None = None) -> Levels:
    """The same as float64, checked; a stack of one slice is a picture.

    Parameters
    ----------
    fused : (y, x) or (z, y, x) on 0–255.
    sources : one or more of its shape.
    spacing : of the voxels along each axis, in any one unit; left out: cubic.

    Raises
    ------
    ContentError : not grey levels: NaN, outside 0–255, floats that never pass 1, a constant source, colours.
    GridError : another shape than the fused one's.
    ConfigError : no source, or a spacing that is not one length above zero for each axis.
    """
    if not sources:
        raise ConfigError("needs at least one source", field="sources")
    shape = np.shape(fused)
    if len(shape) not in (2, 3) or _looks_coloured(shape):
        remedy = "Give (y, x) or (z, y, x); of colours their grey: fusion.metrics.grey"
        raise ContentError("is neither a picture nor a volume", field="fused", value=shape, remedy=remedy)
    for i, source in enumerate(sources):
        if np.shape(source) != shape:
            raise GridError(f"has shape {np.shape(source)}, fused {shape}", field=f"sources[{i}]")
    keep = tuple(i for i in range(len(shape)) if shape[i] > 1)
    if len(keep) < 2:
        raise ContentError("has fewer than two axes of more than one voxel", field="fused", value=shape)
    inner = tuple(shape[i] for i in keep)
    grey = [_grey(fused, "fused"), *(_grey(source, f"sources[{i}]") for i, source in enumerate(sources))]
    _require_scale([fused, *sources])
    for i, source in enumerate(grey[1:]):
        if source.min() == source.max():
            remedy = "Leave it out: nothing of it can be kept"
            raise ContentError("is constant", field=f"sources[{i}]", value=float(source.min()), remedy=remedy)
    lengths = _lengths(spacing, len(shape))
    finest = min(lengths[i] for i in keep)
    steps = tuple(lengths[i] / finest for i in keep)
    return Levels(grey[0].reshape(inner), tuple(g.reshape(inner) for g in grey[1:]), steps)


def rounded(values: Grey) -> Byte:
    """To the nearest of the 256 levels, half to even, as a file of 8 bits would hold it."""
    return np.asarray(np.rint(values), np.uint8)


def window_axes(shape: Sequence[int], steps: Sequence[float], needed: int) -> tuple[int, ...]:
    """The axes along which a window of several voxels makes sense.

    Those of ``needed`` voxels or more that are less than 1.5 times as coarse as the finest, as in
    :mod:`volumes.pyramid`. Along the others every slice stands for itself, and slices are pooled.
    """
    return tuple(i for i in range(len(shape)) if shape[i] >= needed and steps[i] < COARSER * min(steps))


def _looks_coloured(shape: Sequence[int]) -> bool:
    """A picture with its colours last would else be scored as a volume of three columns."""
    return len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 16


def _grey(values: AnyArray, what: str) -> Grey:
    array = np.asarray(values)
    if array.dtype.kind not in "uif":
        raise ContentError("needs real numbers", field=what, value=array.dtype.name)
    grey = array.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ContentError("holds NaN or infinite values", field=what, remedy="Replace them, for instance by 0")
    low, high = float(grey.min()), float(grey.max())
    if low < 0 or high > TOP:
        remedy = "Bring all to 0–255 by one rule; what overshoots a little: numpy.clip(values, 0, 255)"
        raise ContentError("leaves 0–255", field=what, value=(low, high), remedy=remedy)
    return grey


def _require_scale(arrays: Sequence[AnyArray]) -> None:
    if all(np.asarray(a).dtype.kind == "f" for a in arrays) and max(float(np.max(a)) for a in arrays) <= 1:
        remedy = "Grey levels of 0–1 times 255 are meant here"
        raise ContentError("never passes 1 anywhere", field="fused", remedy=remedy)


def _lengths(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    if spacing is None:
        return (1.0,) * axes
    lengths = tuple(float(s) for s in spacing)
    if len(lengths) != axes or not all(math.isfinite(s) and s > 0 for s in lengths):
        raise ConfigError("needs one length above zero for each axis", field="spacing", value=lengths)
    return lengths
