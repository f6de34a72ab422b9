"""Sources on one scale of intensity, as volumes: what a fuser does inside, to be looked at or kept."""

from __future__ import annotations

from collections.abc import Sequence

from fusion.matched import source_masks
from fusion.scales import Match, Scale, matching_scales, on_common_scale
from fusion.sources import check_sources
from volumes import Volume
from volumes.errors import ContentError


def matched_scale(volumes: Sequence[Volume], match: Match = "percentile") -> tuple[list[Volume], tuple[Scale, ...]]:
    """The sources on their common scale, float32, and the scale of each; see :mod:`fusion.scales`.

    Parameters
    ----------
    volumes : of one channel each, on one grid.
    match : as for a fuser.

    Raises
    ------
    ContentError : several channels; a constant source; voxels that are NaN or infinite.
    GridError : another grid.
    """
    check_sources(volumes)
    for i, volume in enumerate(volumes):
        if len(volume.channels) != 1:
            raise ContentError("needs one channel", field=f"volumes[{i}]", value=[c.name for c in volume.channels])
    sources, masks = [volume.channel() for volume in volumes], source_masks(volumes)
    scales = matching_scales(sources, masks, match)
    matched = on_common_scale(sources, masks, scales)
    return [volume.with_data(values) for volume, values in zip(volumes, matched, strict=True)], scales
