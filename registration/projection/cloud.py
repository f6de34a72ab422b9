"""A volume as a cloud of points, each with features whose sums along a ray can explain a picture of another contrast.

A camera sums light. Where a picture's light at a point is any function f of the volume's intensity v there, and
f is written as Σ aₖ bₖ(v) over hat functions bₖ, the picture is Σ aₖ times the projection of bₖ(v): a linear model,
whatever f. This is to a projection what the correlation ratio (Roche et al. 1998, "The correlation ratio as a new
similarity measure for multimodal image registration", MICCAI) is to a volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from volumes.errors import ContentError
from volumes.grid import Grid
from volumes.shapes import AnyArray, Mask, Points, Voxels
from volumes.volume import Volume, require_finite

Model: TypeAlias = Literal["depth", "sum", "max", "silhouette"]
"""What a pixel collects: light that fades on its way, or does not; the largest value; whether anything is there."""

TOP_PERCENT = 99.7
"""Intensities beyond this percentile of the specimen (and below 100 minus it) count as the percentile."""
CLEAR = 3.0
"""A voxel belongs to the specimen where it differs from the background by so many of the background's deviations."""
FEWEST = 50
"""Voxels that a specimen has at least."""
LEAST = 1e-3
"""Features below this are nothing."""
SMALLEST_AXIS = 3
"""Voxels along an axis below which a volume has no depth."""


@dataclass(frozen=True)
class Cloud:
    """The specimen at one resolution.

    Parameters
    ----------
    points_um : world positions about the specimen's middle, (n, 3).
    features : (n, k) float32; those of the background are 0.
    spacing_um : of the points, the coarsest axis.
    """

    points_um: Points
    features: AnyArray
    spacing_um: float


@dataclass(frozen=True)
class Specimen:
    """A volume ready to be projected.

    Parameters
    ----------
    grid : of the volume.
    centre_um : the specimen's middle (3,), in the world.
    radius_um : root mean square distance of the specimen from its middle.
    features : hat functions of the intensity (k, z, y, x), the background's taken off, at the finest resolution.
    noise : their deviation in the background (k,).
    foreground_um : some points of the specimen (m, 3), about its middle.
    """

    grid: Grid
    centre_um: Float64[np.ndarray, " 3"]
    radius_um: float
    features: AnyArray
    noise: AnyArray
    foreground_um: Points

    def at(self, spacing_um: float) -> Cloud:
        """The cloud whose points are about ``spacing_um`` apart: features averaged over blocks of voxels."""
        factors = [max(1, round(spacing_um / s)) for s in self.grid.spacing_um]
        features, grid = averaged(self.features, self.grid, factors)
        # The deviation of a mean falls with the root of how many there are; noise in a scan is not quite so free.
        noise = self.noise / np.prod(factors) ** 0.35
        kept = (np.abs(features) > CLEAR * noise[:, None, None, None]).any(axis=0)
        points = grid.to_world(np.argwhere(kept)) - self.centre_um
        values = np.ascontiguousarray(features[:, kept].T, dtype=np.float32)
        return Cloud(np.ascontiguousarray(points), values, max(grid.spacing_um))


def specimen(
    volume: Volume, mask: Mask | None, channel: int | str, what: str, finest_um: float, hats: int, model: Model
) -> Specimen:
    """Check a volume and describe its specimen.

    Parameters
    ----------
    volume, mask, channel : what is projected; where the mask or ``valid`` is False nothing is.
    what : its name in errors.
    finest_um : voxels are averaged to about this size, which also takes noise away.
    hats : how many functions of the intensity.
    model : what a pixel collects; a silhouette has one feature, 1 within the specimen; a maximum, the contrast.

    Raises
    ------
    ContentError : no depth, an empty mask, NaN or infinite or constant voxels, no specimen against the background.
    """
    inside = _inside(volume, mask, what)
    require_finite(volume, what)
    voxels = volume.channel(channel)
    stack = np.stack([voxels.astype(np.float32), volume.mask().astype(np.float32), inside.astype(np.float32)])
    stack[0] *= stack[1]
    (values, weight, share), grid = evened(stack, volume.grid, finest_um)
    values = np.divide(values, weight, out=np.zeros_like(values), where=weight > 0)
    background, deviation, found = _parted(values, weight > 0.5, what)
    found &= share > 0.5
    if np.count_nonzero(found) < FEWEST:
        raise _nothing(found, what)
    features = _features(values, found, background, hats, model)
    noise = np.full(1, LEAST) if len(features) == 1 else _noise(features, ~found & (weight > 0.5), deviation)
    features *= share
    points = grid.to_world(np.argwhere(found))
    centre = points.mean(axis=0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))
    thinned = points[:: max(1, len(points) // 2000)] - centre
    return Specimen(grid, centre, radius, features, noise, thinned)


def evened(stack: AnyArray, grid: Grid, spacing_um: float) -> tuple[AnyArray, Grid]:
    """(k, z, y, x) in voxels of about ``spacing_um`` along every axis: averaged where finer, interpolated where not."""
    for axis, old in enumerate(grid.spacing_um):
        parts = round(old / spacing_um)
        if parts > 1:
            stack, grid = _divided(stack, grid, axis, parts)
    return averaged(stack, grid, [max(1, round(spacing_um / s)) for s in grid.spacing_um])


def _divided(stack: AnyArray, grid: Grid, axis: int, parts: int) -> tuple[AnyArray, Grid]:
    """Every voxel cut into ``parts`` along an axis, linear between the old centres."""
    count = grid.shape[axis]
    places = np.clip((np.arange(count * parts) + 0.5) / parts - 0.5, 0, count - 1)
    low = np.minimum(places.astype(int), count - 2)
    share = (places - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    out = np.take(stack, low, axis + 1) * (1 - share) + np.take(stack, low + 1, axis + 1) * share
    first = [0.0, 0.0, 0.0]
    first[axis] = (1 / parts - 1) / 2
    spacing = [s / parts if i == axis else s for i, s in enumerate(grid.spacing_um)]
    origin = grid.to_world([first])[0].tolist()
    z, y, x = out.shape[1:]
    return out, Grid((z, y, x), (spacing[0], spacing[1], spacing[2]), tuple(origin), grid.direction)


def averaged(stack: AnyArray, grid: Grid, factors: list[int]) -> tuple[AnyArray, Grid]:
    """Means over blocks of ``factors`` voxels of (k, z, y, x), and their grid; what is missing at the end is 0."""
    shape = [-(-n // f) for n, f in zip(grid.shape, factors, strict=True)]
    missing = [(0, 0), *((0, n * f - old) for n, f, old in zip(shape, factors, grid.shape, strict=True))]
    padded = np.pad(stack, missing) if any(end for _, end in missing) else stack
    z, y, x = shape
    fz, fy, fx = factors
    means = padded.reshape(len(stack), z, fz, y, fy, x, fx).mean(axis=(2, 4, 6))
    first = grid.to_world([[(f - 1) / 2 for f in factors]])[0]
    spacing = [s * f for s, f in zip(grid.spacing_um, factors, strict=True)]
    return means, Grid((z, y, x), (spacing[0], spacing[1], spacing[2]), tuple(first.tolist()), grid.direction)


def _inside(volume: Volume, mask: Mask | None, what: str) -> Mask:
    if min(volume.grid.shape) < SMALLEST_AXIS:
        raise ContentError(
            f"needs at least {SMALLEST_AXIS} voxels along every axis",
            field=what,
            value=volume.grid.shape,
            remedy="A pose is that of a volume in a picture: give a stack and a picture of a single plane",
        )
    if mask is not None and mask.shape != volume.grid.shape:
        raise ContentError(f"mask of shape {mask.shape} on a grid of {volume.grid.shape}", field=f"{what}_mask")
    inside = volume.mask() if mask is None else volume.mask() & mask.astype(bool)
    if not inside.any():
        raise ContentError("the mask is empty", field=f"{what}_mask", remedy="Give a mask that holds the specimen")
    return inside


def _parted(values: Voxels, known: Mask, what: str) -> tuple[float, float, Mask]:
    """Background (median of the field's rim), its deviation, and the mask of what differs from it."""
    seen = values[known]
    if not seen.max() > seen.min():
        raise ContentError(
            "is constant: there is nothing to align",
            field=what,
            value=(float(seen.min()), float(seen.max())),
            remedy="Choose another channel or mask",
        )
    rim = known & ~ndimage.binary_erosion(known, iterations=1)
    background = float(np.median(values[rim]))
    deviation = 1.4826 * float(np.median(np.abs(values[rim] - background)))
    found = known & (np.abs(values - background) > CLEAR * deviation)
    if np.count_nonzero(found) < FEWEST:
        # The rim shows the specimen itself: all that is not the darkest counts.
        background = float(np.percentile(seen, 1))
        deviation, found = 0.0, known & (values > background)
    return background, deviation, _cleaned(found)


def _cleaned(found: Mask) -> Mask:
    """Without single voxels of noise, unless nothing else is left."""
    opened: Mask = ndimage.median_filter(found, size=3)
    return opened if np.count_nonzero(opened) >= FEWEST else found


def _features(values: Voxels, found: Mask, background: float, hats: int, model: Model) -> AnyArray:
    if model == "silhouette":
        return found[None].astype(np.float32)
    if model == "max":
        contrast = np.abs(values - background) * found
        out: AnyArray = np.minimum(contrast / np.percentile(contrast[found], TOP_PERCENT), 1)[None].astype(np.float32)
        return out
    return _hats(values, found, background, hats)


def _hats(values: Voxels, found: Mask, background: float, hats: int) -> AnyArray:
    """Hat functions over knots at the background and at quantiles of the specimen; that of the background is left out.

    A hat is 1 at its knot and falls to 0 at the neighbouring ones, so that their sum is 1 and every piecewise linear
    function of the intensity that is 0 at the background is a combination of them.
    """
    low, high = np.percentile(values[found], [100 - TOP_PERCENT, TOP_PERCENT])
    quantiles = np.quantile(values[found], (np.arange(hats - 1) + 0.5) / hats)
    even = low + (high - low) * (np.arange(hats - 1) + 1) / hats
    knots = np.unique(np.r_[(quantiles + even) / 2, high, background].astype(np.float32))
    zero = int(np.searchsorted(knots, np.float32(background)))
    out = [np.interp(values, knots, np.eye(len(knots))[i]) for i in range(len(knots)) if i != zero]
    return np.stack(out).astype(np.float32)


def _noise(features: AnyArray, empty: Mask, deviation: float) -> AnyArray:
    """The features' deviation in the background; their mean there is taken off, so that it projects to nothing."""
    far = ndimage.binary_erosion(empty, iterations=2, border_value=1)
    if deviation == 0.0 or np.count_nonzero(far) < FEWEST:
        return np.full(len(features), LEAST)
    features -= features[:, far].mean(axis=1)[:, None, None, None]
    out: AnyArray = features[:, far].std(axis=1)
    return np.maximum(out, LEAST)


def _nothing(found: Mask, what: str) -> ContentError:
    return ContentError(
        f"has {np.count_nonzero(found)} voxels that differ from the background",
        field=what,
        remedy="Choose another channel or mask, or crop less of the specimen away",
    )
