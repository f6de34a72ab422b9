"""What every fuser here does around its own rule: check, one scale for all sources, gaps, one volume of the result.

A fuser of this package is a frozen dataclass with a ``config`` that has a field ``match``; its ``fuse`` and ``scales``
are the two functions below with a rule of its own, so that fused values mean the same whichever kind made them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from fusion.gaps import filled
from fusion.scales import Match, Scale, matching_scales, on_common_scale
from fusion.sources import check_sources, fused_channels, shared_channels
from volumes import Volume
from volumes.shapes import Mask, Triple, Voxels

Combine: TypeAlias = Callable[[list[Voxels], list[Mask] | None, Triple, int | str], Voxels]
"""``combine(sources, masks, spacing_um, channel)`` gives the fused voxels (z, y, x) of one channel.

The sources are float32 (z, y, x) on the common scale, filled where they have no data; the masks say where they have
some, None where all have it everywhere; the spacing is in µm; the channel is the position or the name that they share.
"""


def fused_on_common_scale(volumes: Sequence[Volume], match: Match, combine: Combine) -> Volume:
    """The sources fused channel by channel, float32, on the scale that :func:`matched_scales` tells.

    Parameters
    ----------
    volumes : on one grid; a single one gives itself.
    match : how the sources come onto one scale.
    combine : the rule.

    Returns
    -------
    A volume on the grid, and at the time, of the first source; valid wherever one source is, and 0 elsewhere.

    Raises
    ------
    ContentError, GridError, ConfigError : the volumes cannot be fused; see :func:`fusion.fuse`.
    """
    check_sources(volumes)
    if len(volumes) == 1:
        return volumes[0]
    channels = [volume.channels for volume in volumes]
    masks = source_masks(volumes)
    planes = [_combined(volumes, key, masks, match, combine) for key in shared_channels(channels)]
    valid = None if all(volume.valid is None for volume in volumes) else _union(volumes)
    data = planes[0][None] if len(planes) == 1 else np.stack(planes)
    return Volume(data, volumes[0].grid, fused_channels(channels), volumes[0].time_s, valid)


def matched_scales(volumes: Sequence[Volume], match: Match, channel: int | str = 0) -> tuple[Scale, ...]:
    """How each source's own unit becomes that of the fused volume, in the order of the sources.

    Parameters
    ----------
    volumes : the sources.
    match : how they come onto one scale.
    channel : which of their channels.

    Raises
    ------
    ContentError, GridError, ConfigError : the volumes cannot be fused; see :func:`fusion.fuse`.
    """
    check_sources(volumes)
    return matching_scales([volume.channel(channel) for volume in volumes], source_masks(volumes), match)


def source_masks(volumes: Sequence[Volume]) -> list[Mask] | None:
    """None where every source has data everywhere: most volumes, and by far the faster way."""
    if all(volume.valid is None or volume.valid.all() for volume in volumes):
        return None
    return [volume.mask() for volume in volumes]


def _combined(
    volumes: Sequence[Volume], key: int | str, masks: list[Mask] | None, match: Match, combine: Combine
) -> Voxels:
    sources, spacing = [volume.channel(key) for volume in volumes], volumes[0].grid.spacing_um
    matched = on_common_scale(sources, masks, matching_scales(sources, masks, match))
    if masks is None:
        return combine(matched, None, spacing, key)
    fused = combine(filled(matched, masks, spacing), masks, spacing, key)
    return np.where(np.logical_or.reduce(masks), fused, np.float32(0))


def _union(volumes: Sequence[Volume]) -> Mask:
    return np.asarray(np.logical_or.reduce([volume.mask() for volume in volumes]))
