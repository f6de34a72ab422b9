"""A volume made ready for correlation: its contrast, on a lattice coarse enough to be kept for many frames at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from volumes.errors import ContentError
from volumes.grid import Grid
from volumes.pyramid import Axes, halving_axes, reduce
from volumes.resample import resample
from volumes.shapes import Mask, Triple, Voxels
from volumes.volume import Channel, Volume, require_finite

FINE, BROAD = 1.2, 8.0
"""Deviations of the two Gaussians whose difference is the contrast, in voxels of the lattice's finest axis."""
FLAT = 1e-6
"""A range below this share of the largest voxel is rounding: there is nothing to align."""
MOST_PERCENT, MOST_TIMES = 0.1, 3.0
"""Voxels further from the median than so many times the outermost percentile are clipped: hot pixels, cosmic rays."""
SOME_VOXELS = 200_000
"""From which the percentiles are taken."""
SEEN = 0.5
"""A voxel of the lattice is inside where at least this share of it is."""
SHORTEST_AXIS = 8
"""Voxels along an axis below which it is not halved."""
THIN = 1e-3
"""Least share of a Gaussian that counts as inside, so that nothing is divided by rounding."""
ALIKE = 1e-6
"""Spacings and directions that differ by less are one."""


class BlankError(ContentError):
    """A volume without contrast: constant, empty, or masked throughout."""


Floats = Float32[np.ndarray, "z y x"]


@dataclass(frozen=True, eq=False)
class View:
    """Contrast on a lattice.

    Parameters
    ----------
    contrast : (z, y, x), 0 outside.
    inside : 1 where there is data, 0 elsewhere; None: everywhere.
    grid : where the lattice lies.
    """

    contrast: Floats
    inside: Floats | None
    grid: Grid


@dataclass(frozen=True)
class Lattice:
    """The spacing and axes that views share.

    Parameters
    ----------
    source : the grid that it was made from.
    steps : the axes halved, step by step; voxel (0, 0, 0) keeps its centre.
    spacing_um : after them, (z, y, x).
    """

    source: Grid
    steps: tuple[Axes, ...]
    spacing_um: Triple


def lattice(grid: Grid, most_voxels: int, finest_um: float | None = None) -> Lattice:
    """A grid's axes halved until it has at most ``most_voxels``, and further while no voxel passes ``finest_um``."""
    shape, spacing = grid.shape, grid.spacing_um
    steps: list[Axes] = []
    while axes := halving_axes(shape, spacing, SHORTEST_AXIS):
        z, y, x = (s * 2 if i in axes else s for i, s in enumerate(spacing))
        if shape[0] * shape[1] * shape[2] <= most_voxels and max((z, y, x)[i] for i in axes) > (finest_um or 0.0):
            break
        a, b, c = ((n + 1) // 2 if i in axes else n for i, n in enumerate(shape))
        shape, spacing = (a, b, c), (z, y, x)
        steps.append(axes)
    return Lattice(grid, tuple(steps), spacing)


def view(volume: Volume, onto: Lattice, channel: int | str = 0, mask: Mask | None = None, what: str = "volume") -> View:
    """One channel on the lattice's spacing and axes, as the difference of a narrow and a broad Gaussian of it.

    Neither the level of the light nor slow shading remain. Beside a mask each Gaussian is divided by the share of it
    that falls inside (Knutsson & Westin 1993, normalised convolution).

    Raises
    ------
    BlankError : nothing to see inside.
    ContentError : NaN or infinite voxels inside, no such channel, a mask of another shape.
    """
    require_finite(volume, what)
    inside = _inside(volume, mask, what)
    own = _alike(volume.grid, onto.source)
    steps = onto.steps if own else lattice(volume.grid, sys.maxsize, max(onto.spacing_um)).steps
    voxels, share = _thinned(_centred(volume.channel(channel), inside, what), inside, steps)
    grid = _thinned_grid(volume.grid, voxels.shape, steps)
    if not own:
        voxels, share, grid = _turned(voxels, share, grid, onto)
    return View(_contrast(voxels, share, grid.spacing_um), share, grid)


def _inside(volume: Volume, mask: Mask | None, what: str) -> Mask | None:
    if mask is not None and mask.shape != volume.grid.shape:
        raise ContentError(f"mask of shape {mask.shape} on a grid of {volume.grid.shape}", field=f"{what}_mask")
    if mask is None and volume.valid is None:
        return None
    inside = volume.mask() if mask is None else volume.mask() & mask.astype(bool)
    if not inside.any():
        raise BlankError("the mask is empty", field=f"{what}_mask", remedy="Give a mask that holds the specimen")
    return None if inside.all() else inside


def _centred(given: Voxels, inside: Mask | None, what: str) -> Floats:
    """Voxels about their median, −1 to 1 so that no unit of theirs overflows; 0 where nothing is inside."""
    seen = (given.ravel() if inside is None else given[inside]).astype(np.float64)
    low, level, high = np.percentile(
        seen[:: max(1, seen.size // SOME_VOXELS)], (MOST_PERCENT, 50.0, 100.0 - MOST_PERCENT)
    )
    span = float(np.abs(seen - level).max())
    if not FLAT * float(np.abs(seen).max()) < span < np.inf:
        remedy = "Choose another channel or mask"
        raise BlankError("is constant or empty: there is nothing to align", field=what, remedy=remedy)
    if high > low:
        span = min(span, MOST_TIMES * float(max(high - level, level - low)))
    centred = np.clip((given.astype(np.float64) - level) / span, -1, 1).astype(np.float32)
    return centred if inside is None else np.where(inside, centred, np.float32(0))


def _thinned(voxels: Floats, inside: Mask | None, steps: Sequence[Axes]) -> tuple[Floats, Floats | None]:
    """Smoothed and halved; 0 where nothing is inside."""
    share = None if inside is None else inside.astype(np.float32)
    for axes in steps:
        voxels = reduce(voxels, axes)
        share = None if share is None else reduce(share, axes)
    if share is None:
        return voxels, None
    seen = share >= SEEN
    return np.where(seen, voxels / np.maximum(share, SEEN), np.float32(0)), seen.astype(np.float32)


def _thinned_grid(grid: Grid, shape: Sequence[int], steps: Sequence[Axes]) -> Grid:
    z, y, x = (s * 2.0 ** sum(i in axes for axes in steps) for i, s in enumerate(grid.spacing_um))
    a, b, c = shape
    return Grid((a, b, c), (z, y, x), grid.origin_um, grid.direction)


def _turned(voxels: Floats, share: Floats | None, grid: Grid, onto: Lattice) -> tuple[Floats, Floats, Grid]:
    """The same on the lattice's axes and spacing, over a field that holds all of it."""
    axes, spacing = onto.source.axes, np.asarray(onto.spacing_um)
    corners = grid.corners_um @ axes
    first = corners.min(axis=0)
    a, b, c = (int(n) for n in np.ceil((corners.max(axis=0) - first) / spacing - ALIKE) + 1)
    z, y, x = (float(v) for v in axes @ first)
    target = Grid((a, b, c), onto.spacing_um, (z, y, x), onto.source.direction)
    valid = None if share is None else share > 0
    moved = resample(Volume(voxels[None], grid, (Channel("contrast", "optical"),), valid=valid), like=target)
    return moved.channel().astype(np.float32), moved.mask().astype(np.float32), target


def _alike(a: Grid, b: Grid) -> bool:
    spacing = np.allclose(a.spacing_um, b.spacing_um, rtol=ALIKE, atol=0)
    return bool(spacing and np.abs(a.axes - b.axes).max() <= ALIKE)


def _contrast(voxels: Floats, share: Floats | None, spacing_um: Triple) -> Floats:
    narrow, broad = ([width * min(spacing_um) / s for s in spacing_um] for width in (FINE, BROAD))
    return np.asarray(_smoothed(voxels, share, narrow) - _smoothed(voxels, share, broad), np.float32)


def _smoothed(voxels: Floats, share: Floats | None, widths: Sequence[float]) -> Floats:
    if share is None:
        return np.asarray(ndimage.gaussian_filter(voxels, widths, mode="reflect", truncate=3), np.float32)
    total, weight = (ndimage.gaussian_filter(a, widths, mode="constant", truncate=3) for a in (voxels, share))
    return np.where(share > 0, total / np.maximum(weight, np.float32(THIN)), np.float32(0))
