"""What volumes must be to be fused, and what the fused volume's channels are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from volumes import Channel, Grid, Volume
from volumes.errors import ContentError, GridError
from volumes.volume import require_finite

FUSED = "fused"
"""Modality of what was made of several modalities."""


def check_sources(volumes: Sequence[Volume]) -> None:
    """Raise unless the volumes can be fused.

    Raises
    ------
    ContentError : no volume; labels; voxels that are NaN or infinite; no valid voxel; channels that do not correspond.
    GridError : a volume on another grid than the first.
    """
    if not volumes:
        raise ContentError("needs at least one volume", field="volumes")
    require_one_grid([volume.grid for volume in volumes])
    shared_channels([volume.channels for volume in volumes])
    for i, volume in enumerate(volumes):
        _require_intensities(volume, f"volumes[{i}] ({volume.channels[0].name})")


def require_one_grid(grids: Sequence[Grid]) -> None:
    """Raise GridError, saying which and by how much, unless all grids are the first one."""
    first = grids[0]
    for i, grid in enumerate(grids):
        if first.is_close(grid):
            continue
        if grid.shape != first.shape:
            problem = f"has shape {grid.shape}, volumes[0] {first.shape}"
        else:
            off = float(np.abs(grid.corners_um - first.corners_um).max())
            voxels = off / min(first.spacing_um)
            problem = f"its corners lie up to {off:.4g} µm ({voxels:.3g} voxels) off those of volumes[0]"
        bring = f"volumes.resample(volumes[{i}], like=volumes[0], transform=...)"
        remedy = f"Bring it there first: {bring}, with the transform of registration.register(volumes[0], volumes[{i}])"
        raise GridError(problem, field=f"volumes[{i}]", remedy=remedy)


def shared_channels(channels: Sequence[Sequence[Channel]]) -> list[int | str]:
    """What to fuse with what: the only channel of each source, or the channels of one name, in the first's order.

    Raises
    ------
    ContentError : several channels whose names are not the same in every source.
    """
    if all(len(own) == 1 for own in channels):
        return [0]
    names = [channel.name for channel in channels[0]]
    for i, own in enumerate(channels):
        if sorted(c.name for c in own) != sorted(names) or len(set(names)) != len(names):
            raise ContentError(
                f"its channels do not correspond to {names} of volumes[0]",
                field=f"volumes[{i}]",
                value=[c.name for c in own],
                remedy="Give one volume for each channel, or the same channel names in every source",
            )
    return list(names)


def fused_channels(channels: Sequence[Sequence[Channel]]) -> tuple[Channel, ...]:
    """A channel that is the same in all sources stays; others become ``A+B``, the names sorted."""
    groups = [[own[_position(own, key)] for own in channels] for key in shared_channels(channels)]
    return tuple(_joined(group) for group in groups)


def _position(own: Sequence[Channel], key: int | str) -> int:
    return key if isinstance(key, int) else [channel.name for channel in own].index(key)


def _joined(group: Sequence[Channel]) -> Channel:
    if len(set(group)) == 1:
        return group[0]
    modalities = {channel.modality for channel in group}
    modality = modalities.pop() if len(modalities) == 1 else FUSED
    return Channel("+".join(sorted({channel.name for channel in group})), modality)


def _require_intensities(volume: Volume, what: str) -> None:
    if any(channel.modality == "labels" for channel in volume.channels):
        remedy = "Fuse intensities; labels have no scale"
        raise ContentError("holds labels, not intensities", field=what, remedy=remedy)
    if volume.valid is not None and not volume.valid.any():
        raise ContentError("has no valid voxel", field=what, remedy="Leave it out, or check its transform")
    require_finite(volume, what)
