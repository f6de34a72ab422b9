"""Which of its sources' strong edges fusion kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fusion.gaps import filled
from fusion.scales import Match, matching_scales, on_common_scale
from fusion.sources import check_sources
from volumes import Volume
from volumes.errors import ContentError, GridError
from volumes.shapes import AnyArray, Mask, Voxels

STRONG = 0.9
"""Quantile of a source's gradient magnitudes from which on its edges count as strong."""

KEPT = 0.3
"""Share of its own gradient magnitude that an edge must have in the fused volume to count as kept."""

Pixelwise = Literal["mean", "max"]


def edges_kept(
    fused: Volume | Pixelwise,
    sources: Sequence[Volume],
    match: Match = "percentile",
    channel: int | str = 0,
) -> list[float]:
    """For each source the share, 0 to 1, of its strong edges that the fused volume keeps.

    Strong: |∇S| > 0 in the top tenth of the voxels where S, and all that its gradient is taken from, is valid. Kept:
    |∇fused| ≥ 0.3 |∇S| there, both in units of the common scale per µm, by central differences.

    Parameters
    ----------
    fused : made of these sources; or ``mean`` or ``max``, the pixelwise ones of the matched sources, to compare with.
    sources : on one grid.
    match : the ``match`` of the fuser, which says what the common scale is.
    channel : of the sources and the fused volume alike.

    Raises
    ------
    ContentError : the sources cannot be fused, or one of them has no edge.
    GridError : a source or the fused volume is on another grid.
    """
    check_sources(sources if isinstance(fused, str) else [*sources, fused])
    masks, spacing = [source.mask() for source in sources], sources[0].grid.spacing_um
    values = [source.channel(channel) for source in sources]
    own = filled(on_common_scale(values, masks, matching_scales(values, masks, match)), masks, spacing)
    result = _pixelwise(own, fused) if isinstance(fused, str) else fused.channel(channel)
    seen = np.logical_or.reduce(masks) if isinstance(fused, str) else fused.mask()
    after = np.where(_inner(seen), _gradient(result, spacing), np.float32(0))
    shares = []
    for i, (source, mask) in enumerate(zip(own, masks, strict=True)):
        before = _gradient(source, spacing)
        strong = _strong(before, _inner(mask), f"volumes[{i}]")
        shares.append(float(np.mean(after[strong] >= KEPT * before[strong])))
    return shares


def lost_edges(fused: AnyArray, sources: Sequence[AnyArray], spacing: Sequence[float] | None = None) -> list[float]:
    """For each source the share, 0 to 1, of its strong edges that the fused array lost: 1 − kept of :func:`edges_kept`.

    Parameters
    ----------
    fused : of any number of axes, on one scale with the sources.
    sources : of its shape, all valid.
    spacing : along each axis, in any one unit; left out: 1.

    Raises
    ------
    ContentError : a source has no edge.
    GridError : a source of another shape.
    """
    result, steps = np.asarray(fused), tuple(spacing) if spacing is not None else (1.0,) * np.ndim(fused)
    after, lost = _gradient(result, steps), []
    for i, source in enumerate(sources):
        if np.shape(source) != result.shape:
            raise GridError(f"has shape {np.shape(source)}, fused {result.shape}", field=f"sources[{i}]")
        before = _gradient(np.asarray(source), steps)
        strong = _strong(before, np.ones(before.shape, bool), f"sources[{i}]")
        lost.append(float(np.mean(after[strong] < KEPT * before[strong])))
    return lost


def _pixelwise(own: Sequence[Voxels], how: Pixelwise) -> Voxels:
    """Filled voxels hold the mean of the valid ones, so they leave the mean as it is and never are the only maximum."""
    return np.asarray(np.mean(own, axis=0) if how == "mean" else np.max(own, axis=0))


def _gradient(values: AnyArray, spacing: Sequence[float]) -> AnyArray:
    """|∇| per unit of length; an axis of a single voxel has no part in it."""
    squares = np.zeros(values.shape, np.float64)
    for axis in (i for i in range(values.ndim) if values.shape[i] > 1):
        squares += np.gradient(values.astype(np.float64, copy=False), spacing[axis], axis=axis) ** 2
    return np.sqrt(squares)


def _inner(mask: Mask) -> Mask:
    """Valid voxels whose six neighbours are valid too, as far as they lie in the grid."""
    from scipy.ndimage import binary_erosion

    return np.asarray(binary_erosion(mask, border_value=1))


def _strong(gradient: AnyArray, inner: AnyArray, what: str) -> AnyArray:
    inside = gradient[inner]
    threshold = np.quantile(inside, STRONG) if inside.size else 0.0
    strong = inner & (gradient >= threshold) & (gradient > 0)
    if not strong.any():
        raise ContentError("has no edge", field=what, remedy="A constant source, or one in specks, cannot be judged")
    return np.asarray(strong)
