"""A picture of a single plane, ready to be compared with projections: blocks of pixels, known or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from registration.projection.cloud import averaged
from volumes.errors import ContentError
from volumes.grid import Grid
from volumes.shapes import Mask
from volumes.volume import Volume, require_finite

SPIKE = 6.0
"""A pixel that is brighter than all eight around it by so many deviations of the noise is the sensor's fault."""
RANGE_PERCENT = (0.1, 99.9)
"""Intensities beyond these percentiles count as the percentile."""
SMALLEST_SIDE = 8
"""Pixels along a side below which a picture shows no outline."""
SPECK = 0.01
"""A silhouette fills more than this share of the picture, and leaves as much free."""
FAINT = 0.05
"""Brightness classes nearer to each other than this share of the picture's range part no silhouette."""

Image = Float64[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Screen:
    """A picture at one resolution.

    Parameters
    ----------
    image : brightness (rows, columns), of mean 0 and deviation 1 over what is known, 0 elsewhere.
    known : where it may be looked at.
    pixel_um : size of a pixel along rows and columns.
    first_um : where pixel (0, 0) lies about the middle of the field, along the picture's own axes.
    """

    image: Image
    known: Bool[np.ndarray, "rows columns"]
    pixel_um: Float64[np.ndarray, " 2"]
    first_um: Float64[np.ndarray, " 2"]


@dataclass(frozen=True)
class Picture:
    """A picture without the sensor's spikes.

    Parameters
    ----------
    grid : of the picture; a single plane.
    image : (rows, columns), 0 to 1.
    known : where it may be looked at.
    """

    grid: Grid
    image: Image
    known: Bool[np.ndarray, "rows columns"]

    @property
    def pixel_um(self) -> float:
        """Size of a pixel, the coarser of the two."""
        return max(self.grid.spacing_um[1:])

    def at(self, pixel_um: float) -> Screen:
        """The picture in blocks of about ``pixel_um``, blurred as bilinear weights blur a projection."""
        factors = [1, *(max(1, round(pixel_um / s)) for s in self.grid.spacing_um[1:])]
        stack = np.stack([self.image * self.known, self.known.astype(np.float64)])[:, None]
        stack, grid = averaged(stack, self.grid, factors)
        smooth = ndimage.convolve(stack, _HAT[None, None], mode="nearest")[:, 0]
        known = stack[1, 0] > 0.5
        image = np.divide(smooth[0], smooth[1], out=np.zeros_like(smooth[0]), where=smooth[1] > 0)
        image = np.where(known, image - image[known].mean(), 0.0)
        deviation = float(image[known].std())
        first = (grid.to_world([[0.0, 0.0, 0.0]]) - self.grid.centre_um)[0] @ self.grid.axes
        return Screen(image / max(deviation, 1e-12), known, np.asarray(grid.spacing_um[1:]), first[1:])


_HAT = np.outer([1 / 12, 10 / 12, 1 / 12], [1 / 12, 10 / 12, 1 / 12])
"""The variance of bilinear weights, 1/6 pixel² on average, as a filter of three pixels."""


def picture(volume: Volume, mask: Mask | None, channel: int | str, what: str, *, flat: bool) -> Picture:
    """Check a picture and take the sensor's spikes out.

    Parameters
    ----------
    volume, mask, channel : a volume of a single plane.
    what : its name in errors.
    flat : turn it into a silhouette, 0 or 1.

    Raises
    ------
    ContentError : too few pixels, an empty mask, NaN or infinite or constant pixels, or no silhouette.
    """
    if min(volume.grid.shape[1:]) < SMALLEST_SIDE:
        raise ContentError(f"needs {SMALLEST_SIDE} pixels along either side", field=what, value=volume.grid.shape)
    if mask is not None and mask.shape != volume.grid.shape:
        raise ContentError(f"mask of shape {mask.shape} on a grid of {volume.grid.shape}", field=f"{what}_mask")
    known = (volume.mask() if mask is None else volume.mask() & mask.astype(bool))[0]
    if not known.any():
        raise ContentError("the mask is empty", field=f"{what}_mask", remedy="Give a mask that holds the specimen")
    require_finite(volume, what)
    raw = volume.channel(channel)[0].astype(np.float64)
    clean = _despiked(raw)
    low, high = (float(v) for v in np.percentile(clean[known], RANGE_PERCENT))
    if not high > low:
        low, high = float(raw[known].min()), float(raw[known].max())
        clean = raw
    if not high > low:
        raise ContentError(
            "is constant: there is nothing to align",
            field=what,
            value=(low, high),
            remedy="Choose another channel or mask",
        )
    image = np.clip((clean - low) / (high - low), 0, 1)
    return Picture(volume.grid, _silhouette(image, known, what) if flat else image, known)


def _despiked(raw: Image) -> Image:
    """Hot and dead pixels, which stand far above or below all eight around them, replaced by the median."""
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    around = ndimage.median_filter(raw, footprint=ring)
    above = raw - ndimage.maximum_filter(raw, footprint=ring)
    below = ndimage.minimum_filter(raw, footprint=ring) - raw
    deviation = 1.4826 * float(np.median(np.abs(raw - around)))
    out: Image = np.where(np.maximum(above, below) > SPIKE * deviation, around, raw) if deviation > 0 else raw
    return out


def _silhouette(image: Image, known: Bool[np.ndarray, "rows columns"], what: str) -> Image:
    """1 in the brighter class of Otsu's two, 0 in the other, noise of single pixels taken out."""
    smooth = ndimage.gaussian_filter(image, 1.0)
    counts, edges = np.histogram(smooth[known], bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    between = (sums[-1] * below - sums * below[-1]) ** 2 / np.maximum(below * above, 1)
    inside = smooth > edges[1:][int(np.argmax(between))]
    share = float(inside[known].mean())
    apart = float(smooth[known & inside].mean() - smooth[known & ~inside].mean()) if 0 < share < 1 else 0.0
    if not (SPECK < share < 1 - SPECK and apart > FAINT):
        raise ContentError(
            "shows no silhouette: no part stands out from the rest",
            field=what,
            value=f"{share:.1%} stands out",
            remedy="Give a mask, or use another model than 'silhouette'",
        )
    out: Image = inside.astype(np.float64)
    return out
