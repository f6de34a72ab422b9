"""A volume made ready for registration: intensities as bin coordinates, at several resolutions, with its foreground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage

from volumes.errors import ContentError
from volumes.grid import Grid
from volumes.pyramid import gaussian_pyramid
from volumes.shapes import AnyArray, Mask, Points, Voxels
from volumes.volume import Volume, require_finite

RANGE_PERCENT = (0.5, 99.5)
"""Intensities beyond these percentiles count as the percentile."""
RANGE_VOXELS = 200_000
"""Voxels from which the percentiles are taken."""
MARGIN = 1
"""Bins left free at the low end, and one more at the high end, so that β³ never reaches past the histogram."""
SMALLEST_AXIS = 3
"""Voxels along an axis below which a volume gives no hold for a rotation."""
COARSE_VOXELS = 16_000
"""Voxels of the resolution at which the foreground is told from the background."""


@dataclass(frozen=True)
class Scale:
    """One resolution: bin coordinates, the mask (1 inside, 0 outside; None: inside everywhere), and the grid."""

    bins: Float32[np.ndarray, "z y x"]
    inside: Float32[np.ndarray, "z y x"] | None
    grid: Grid


@dataclass(frozen=True)
class Prepared:
    """A volume at several resolutions, finest first.

    Parameters
    ----------
    scales : finest first.
    foreground_um : world points of the foreground (n, 3), at most a few thousand.
    centres_um : what may be its middle (k, 3): of the brightness, of the foreground, of the field.
    """

    scales: tuple[Scale, ...]
    foreground_um: Points
    centres_um: Points

    @property
    def grid(self) -> Grid:
        """The grid of the finest resolution."""
        return self.scales[0].grid

    @cached_property
    def centre_um(self) -> Float64[np.ndarray, " 3"]:
        """The middle of the foreground."""
        centre: Float64[np.ndarray, " 3"] = self.foreground_um.mean(axis=0)
        return centre

    @cached_property
    def radius_um(self) -> float:
        """The foreground's root mean square distance from its middle, at least a voxel."""
        square = ((self.foreground_um - self.centre_um) ** 2).sum(axis=1).mean()
        return max(float(np.sqrt(square)), min(self.grid.spacing_um))

    @property
    def volume_um3(self) -> float:
        """Volume of the inside of the field."""
        scale = self.scales[0]
        share = 1.0 if scale.inside is None else float(scale.inside.mean())
        return float(np.prod(scale.grid.extent_um)) * share

    def at(self, spacing_um: float) -> Scale:
        """The coarsest resolution none of whose axes was brought beyond ``spacing_um`` (a quarter forgiven)."""
        own = self.grid.spacing_um
        fine_enough = [
            scale
            for scale in self.scales
            if all(new <= max(1.25 * spacing_um, old) for new, old in zip(scale.grid.spacing_um, own, strict=True))
        ]
        return fine_enough[-1]


def rebinned(scale: Scale, bins: int, wanted: int) -> Scale:
    """The same resolution in bin coordinates of a histogram with another number of bins."""
    if wanted == bins:
        return scale
    factor = np.float32((wanted - 2 - 2 * MARGIN) / (bins - 2 - 2 * MARGIN))
    return replace(scale, bins=(scale.bins - np.float32(MARGIN)) * factor + np.float32(MARGIN))


def prepare(
    volume: Volume, mask: Mask | None, bins: int, channel: int | str, what: str, ranged: Mask | None = None
) -> Prepared:
    """Check a volume and bring it into the form that registration works on.

    Parameters
    ----------
    volume : the volume.
    mask : (z, y, x), True where it may be looked at; voxels that are not ``valid`` are left out in any case.
    bins : of the histogram.
    channel : which channel is registered.
    what : its name in errors.
    ranged : a mask beyond whose brightest nothing counts as brighter, so that what is foreign takes few bins.

    Raises
    ------
    ContentError : too few planes, an empty mask, NaN or infinite or constant voxels.
    """
    inside = _inside(volume, mask, what)
    require_finite(volume, what)
    voxels = volume.channel(channel)
    spans = [_range(voxels if seen is None else voxels[seen]) for seen in _seen(volume, inside, ranged, what)]
    low, high = (min(ends) for ends in zip(*spans, strict=True))
    binned = _binned(voxels, inside, (low, high), bins, what)
    levels = gaussian_pyramid(binned, volume.grid.spacing_um)
    masks = None if inside is None else gaussian_pyramid(inside.astype(np.float32), volume.grid.spacing_um)
    scales = tuple(
        Scale(
            level.data,
            None if masks is None else masks[i].data,
            Grid(_shape(level.data), level.spacing_um, volume.grid.origin_um, volume.grid.direction),
        )
        for i, level in enumerate(levels)
    )
    foreground, centres = _foreground(_coarse(scales))
    return Prepared(scales, foreground, np.concatenate([centres, volume.grid.centre_um]))


def _inside(volume: Volume, mask: Mask | None, what: str) -> Mask | None:
    if min(volume.grid.shape) < SMALLEST_AXIS:
        raise ContentError(
            f"needs at least {SMALLEST_AXIS} voxels along every axis",
            field=what,
            value=volume.grid.shape,
            remedy="A single plane gives no hold for a rotation in space: register a stack",
        )
    if mask is not None and mask.shape != volume.grid.shape:
        raise ContentError(f"mask of shape {mask.shape} on a grid of {volume.grid.shape}", field=f"{what}_mask")
    if mask is None and volume.valid is None:
        return None
    inside = volume.mask() if mask is None else volume.mask() & mask.astype(bool)
    if not inside.any():
        raise ContentError("the mask is empty", field=f"{what}_mask", remedy="Give a mask that holds the specimen")
    return None if inside.all() else inside


def _seen(volume: Volume, inside: Mask | None, ranged: Mask | None, what: str) -> list[Mask | None]:
    return [inside] if ranged is None else [inside, _inside(volume, ranged, what)]


def _binned(
    voxels: Voxels, inside: Mask | None, span: tuple[float, float], bins: int, what: str
) -> Float32[np.ndarray, "z y x"]:
    """Bin coordinates between MARGIN and bins − 2 − MARGIN over a range of the intensities."""
    low, high = span
    top = bins - 2.0 - MARGIN
    with np.errstate(over="ignore", divide="ignore"):
        scale = np.divide(top - MARGIN, np.float64(high) - low)
    if not (0 < scale < np.inf):
        raise ContentError(
            "is constant: there is nothing to align",
            field=what,
            value=(low, high),
            remedy="Choose another channel or mask",
        )
    out = np.empty(voxels.shape, np.float32)
    for plane, source in zip(out, voxels if inside is None else _filled(voxels, inside), strict=True):
        plane[...] = np.clip((np.clip(source.astype(np.float64), low, high) - low) * scale + MARGIN, MARGIN, top)
    return out


def _range(seen: AnyArray) -> tuple[float, float]:
    """The robust range; the whole one where all but a few voxels are alike."""
    flat = seen.ravel()
    part = flat[:: max(1, flat.size // RANGE_VOXELS)].astype(np.float64)
    low, high = (float(v) for v in np.percentile(part, RANGE_PERCENT))
    return (low, high) if high > low else (float(flat.min()), float(flat.max()))


def _filled(voxels: Voxels, inside: Mask) -> Voxels:
    """Outside the mask the nearest voxel inside, so that smoothing draws nothing foreign in."""
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    out: Voxels = voxels[tuple(nearest)]
    return out


def _coarse(scales: tuple[Scale, ...]) -> Scale:
    return next((s for s in scales if s.bins.size <= COARSE_VOXELS), scales[-1])


def _foreground(scale: Scale) -> tuple[Points, Points]:
    """Points of the brighter class, and the centres of the brightness and of that class."""
    inside = np.ones(scale.bins.shape, bool) if scale.inside is None else scale.inside > 0.5
    if not inside.any():
        inside[...] = True
    bright = np.where(inside, scale.bins - MARGIN, 0.0)
    mask = inside & (scale.bins > _otsu(scale.bins[inside]))
    if not mask.any():
        mask = inside
    index = np.argwhere(mask).astype(np.float64)
    weight = bright[mask] if bright[mask].sum() > 0 else np.ones(len(index))
    centres = np.stack([np.average(index, axis=0, weights=weight), index.mean(axis=0)])
    thinned = index[:: max(1, len(index) // 2000)]
    return scale.grid.to_world(thinned), scale.grid.to_world(centres)


def _otsu(values: AnyArray) -> float:
    """The threshold between two classes that sets them furthest apart (Otsu 1979, IEEE Trans. SMC 9:62)."""
    counts, edges = np.histogram(values, bins=64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    between = (sums[-1] * below - sums * below[-1]) ** 2 / np.maximum(below * above, 1)
    return float(edges[1:][int(np.argmax(between))])


def _shape(data: AnyArray) -> tuple[int, int, int]:
    z, y, x = data.shape
    return z, y, x
