"""Flicker: how restless a fused volume is from slice to slice, or a fused movie from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from volumes.errors import ContentError, GridError
from volumes.shapes import AnyArray


def flicker(fused: AnyArray, sources: Sequence[AnyArray], axis: int = 0) -> float:
    """mean |ΔF| / mean maxₘ |ΔSₘ|, Δ the difference of neighbours along ``axis``: z of a volume, t of a movie.

    Up to 1 the fused one changes no more than its sources do at the same place, as every mean with fixed weights does,
    and the pixelwise maximum and minimum. What a fuser adds by choosing now this source and now that, or by another
    scale for each frame, counts above.

    Parameters
    ----------
    fused : of any number of axes, on one scale with the sources.
    sources : one or more of its shape.
    axis : along which neighbours are compared.

    Raises
    ------
    ContentError : fewer than two slices; sources that never change along the axis.
    GridError : a source of another shape.
    """
    shape = np.shape(fused)
    for i, source in enumerate(sources):
        if np.shape(source) != shape:
            raise GridError(f"has shape {np.shape(source)}, fused {shape}", field=f"sources[{i}]")
    if not -len(shape) <= axis < len(shape) or shape[axis] < 2:
        raise ContentError("needs an axis of two slices or more", field="axis", value=axis)
    changes = np.max([_change(source, axis) for source in sources], axis=0)
    most = float(changes.mean())
    if most == 0:
        raise ContentError("never change along the axis, so nothing can be compared", field="sources")
    return float(_change(fused, axis).mean()) / most


def _change(values: AnyArray, axis: int) -> AnyArray:
    return np.abs(np.diff(np.asarray(values, np.float64), axis=axis))
