"""One scale for sources whose units have nothing to do with each other.

Energies of detail can only be compared on one scale, else the source with the larger numbers wins everywhere. With
[lo, hi] the robust range of source m, s = hi − lo, S the mean of all s and L the mean of all lo:
gₘ = S / sₘ and oₘ = L − loₘ gₘ, so that every source spans [L, L + S]. One source, or equal ones, keep their scale;
factors and shifts common to all sources pass through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fusion.ranges import require_span, robust_range
from volumes.errors import ConfigError, ContentError
from volumes.shapes import AnyArray, Mask, Voxels


@dataclass(frozen=True)
class Scale:
    """How a source's own unit becomes the common one of a fused volume: ``common = gain · own + offset``.

    Parameters
    ----------
    gain : above zero; common units for one of the source's own.
    offset : common value where the source is 0.

    Raises
    ------
    ConfigError : a gain that is not above zero, or a number that is not finite.
    """

    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and math.isfinite(self.offset) and self.gain > 0):
            raise ConfigError("needs a finite gain above zero and a finite offset", field="scale", value=self)

    def to_own(self, common: ArrayLike) -> AnyArray:
        """Fused values in this source's own unit."""
        return (np.asarray(common) - self.offset) / self.gain

    def to_common(self, own: AnyArray) -> AnyArray:
        """The source's values on the common scale, float32."""
        values = _as_float(own)
        if self.gain == 1 and self.offset == 0:
            return values.astype(np.float32, copy=False)
        common = values * self.gain
        common += self.offset
        return common.astype(np.float32, copy=False)


Match: TypeAlias = Literal["percentile", "none"] | tuple[Scale, ...]
"""``percentile`` measures the scales, ``none`` takes the voxels as they are; or the scales themselves, one a source."""


def matching_scales(sources: Sequence[Voxels], masks: Sequence[Mask] | None, match: Match) -> tuple[Scale, ...]:
    """The scale of each source.

    Parameters
    ----------
    sources : (z, y, x) each, finite where valid.
    masks : where each source has data; None for everywhere.
    match : how.

    Raises
    ------
    ContentError : a constant source has no scale; only where all are the same constant is there nothing to match.
    ConfigError : another number of scales than of sources.
    """
    scales = given_scales(match, len(sources))
    if scales is not None:
        return scales
    ranges = [
        robust_range(_as_float(source if masks is None else source[masks[i]]), f"volumes[{i}]")
        for i, source in enumerate(sources)
    ]
    return spanning(ranges)


def given_scales(match: Match, number: int) -> tuple[Scale, ...] | None:
    """The scales of so many sources where nothing needs to be measured, else None.

    Raises
    ------
    ConfigError : another number of scales than of sources.
    """
    if match == "percentile":
        return None
    if match == "none":
        return (Scale(),) * number
    if len(match) != number:
        raise ConfigError(f"{len(match)} scales for {number} sources", field="match")
    return match


def spanning(ranges: Sequence[tuple[float, float]]) -> tuple[Scale, ...]:
    """The scales on which these ranges are one: [L, L + S], as above.

    Raises
    ------
    ContentError : a range of a single value; only where all are the same value is there nothing to match.
    """
    # fsum rounds once, so that the order of the sources leaves no trace.
    span = math.fsum(high - low for low, high in ranges) / len(ranges)
    level = math.fsum(low for low, _ in ranges) / len(ranges)
    if span == 0 and len(set(ranges)) == 1:
        return (Scale(),) * len(ranges)
    for i, (low, high) in enumerate(ranges):
        if high == low:
            raise ContentError(
                "is constant, so it has no scale",
                field=f"volumes[{i}]",
                value=low,
                remedy="Leave it out, or fuse with match='none'",
            )
    return tuple(Scale(span / (high - low), level - low * (span / (high - low))) for low, high in ranges)


def on_common_scale(sources: Sequence[Voxels], masks: Sequence[Mask] | None, scales: Sequence[Scale]) -> list[Voxels]:
    """The sources on one scale, float32; invalid voxels hold the offset, whatever stood there.

    Raises
    ------
    ContentError : values too large or too close to each other for float32.
    """
    if masks is not None:
        sources = [np.where(mask, source, 0) for source, mask in zip(sources, masks, strict=True)]
    with np.errstate(over="ignore"):
        matched = [scale.to_common(source) for scale, source in zip(scales, sources, strict=True)]
    for i, values in enumerate(matched):
        require_span(float(values.min()), float(values.max()), f"volumes[{i}]")
    return matched


def _as_float(values: AnyArray) -> AnyArray:
    """Float32 where that holds every value of the type, else float64."""
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)
