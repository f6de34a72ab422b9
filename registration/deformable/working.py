"""Two volumes brought onto one isotropic grid, to be deformed there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from volumes.errors import ContentError
from volumes.grid import Grid
from volumes.pyramid import gaussian_pyramid
from volumes.resample import resample
from volumes.shapes import Mask, Shape3, Voxels
from volumes.transform import Affine, Transform
from volumes.volume import Channel, Volume

FINER = 1.25
"""A volume is smoothed and halved while its voxels stay below this share of the working grid's."""


@dataclass(frozen=True)
class Working:
    """What is deformed.

    Parameters
    ----------
    grid : isotropic, over the fixed volume's field.
    fixed, moving : intensities (z, y, x), float32.
    fixed_inside, moving_inside : where they may be looked at.
    """

    grid: Grid
    fixed: Voxels
    moving: Voxels
    fixed_inside: Mask
    moving_inside: Mask


def working_grid(fixed: Grid, moving: Grid, most_voxels: int, finest_um: float | None = None) -> Grid:
    """The fixed field in voxels as fine as both volumes' finest axes, or as coarse as ``most_voxels`` asks."""
    fits = (float(np.prod(fixed.extent_um)) / most_voxels) ** (1 / 3)
    spacing = max(min(fixed.spacing_um), min(moving.spacing_um), fits, finest_um or 0.0)
    return fixed.with_spacing((spacing, spacing, spacing))


def brought(
    volume: Volume, channel: int | str, mask: Mask | None, grid: Grid, transform: Transform, what: str
) -> tuple[Voxels, Mask]:
    """One channel on a grid as seen through a transform, smoothed first where the grid is coarser; and its inside.

    Raises
    ------
    ContentError : nothing that may be looked at lies on the grid.
    """
    seen = volume.mask() if mask is None else volume.mask() & mask
    source = _thinned(volume, channel, max(grid.spacing_um))
    voxels = resample(source, grid, transform, "linear")
    inside = voxels.mask()
    if not seen.all():
        flags = Volume(seen[None].astype(np.uint8), volume.grid, (Channel("inside", "labels"),))
        inside = inside & (resample(flags, grid, transform, "nearest").array[0] > 0)
    if not inside.any():
        raise ContentError(
            "nothing of it lies where the fixed volume may be looked at",
            field=what,
            remedy="Give another start, or a larger mask",
        )
    return voxels.array[0], inside


def _thinned(volume: Volume, channel: int | str, spacing_um: float) -> Volume:
    """One channel, float32, at the coarsest resolution that the working grid does not exceed; filled where invalid."""
    voxels = np.asarray(volume.channel(channel), np.float32)
    if volume.valid is not None and not volume.valid.all():
        nearest = ndimage.distance_transform_edt(~volume.valid, return_distances=False, return_indices=True)
        voxels = voxels[tuple(nearest)]
    levels = gaussian_pyramid(voxels, volume.grid.spacing_um, _halvings(volume.grid, spacing_um))
    last = levels[-1]
    z, y, x = last.data.shape
    grid = replace(volume.grid, shape=(z, y, x), spacing_um=last.spacing_um)
    return Volume(last.data[None], grid, (Channel("working", volume.modality),))


def _halvings(grid: Grid, spacing_um: float) -> int:
    """How often the finest axis can be halved before it is coarser than asked."""
    return max(0, int(np.floor(np.log2(FINER * spacing_um / min(grid.spacing_um)))))


def together(
    fixed: Volume,
    moving: Volume,
    channels: tuple[int | str, int | str],
    masks: tuple[Mask | None, Mask | None],
    grid: Grid,
    transform: Transform,
) -> Working:
    """Both volumes on the grid, the moving one through ``transform``."""
    f, seen_f = brought(fixed, channels[0], masks[0], grid, Affine.identity(), "fixed")
    m, seen_m = brought(moving, channels[1], masks[1], grid, transform, "moving")
    return Working(grid, f, m, seen_f, seen_m)


def block_factors(grid: Grid, spacing_um: float, fewest: int = 4) -> Shape3:
    """Voxels to average along (z, y, x) to come near to a spacing, leaving ``fewest`` along an axis at least."""
    z, y, x = (
        max(1, min(int(spacing_um / s + 1e-6), n // fewest)) for n, s in zip(grid.shape, grid.spacing_um, strict=True)
    )
    return z, y, x
