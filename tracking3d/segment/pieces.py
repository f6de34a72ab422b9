"""A region of foreground, taken apart into pieces that look like cells.

A region is cut at its necks. Where the pieces do not look like cells - they branch, or hold several - the light between
the cells lay above the threshold: the region is thresholded again, by Otsu over its own voxels, and what that leaves is
kept where more pieces come of it, which look more like cells. Pieces that still do not are tried again by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tracking3d.segment.basins import basins
from tracking3d.segment.roundness import roundness
from tracking3d.segment.threshold import otsu
from volumes.shapes import Mask, Triple, Voxels

Labels = NDArray[np.int32]
Box = tuple[slice, slice, slice]

ROUNDER = 0.02
"""Least gain in mean roundness for which a region is thresholded again."""
KEPT = 0.2
"""Least share of a region's voxels that must be left by it."""
HEIGHT_SMOOTHING = 0.2
"""Smoothing of the distance map, as a share of the typical radius."""


@dataclass(frozen=True)
class Scale:
    """What a cell is, on one grid.

    Parameters
    ----------
    spacing_um : (z, y, x) of the voxels.
    radius_um : a typical cell's largest distance to the background.
    smallest : voxels; regions under it are dropped.
    depth : share by which a neck must be narrower than the smaller cell's radius.
    round : mean roundness from which pieces count as cells; 0 never thresholds again.
    """

    spacing_um: Triple
    radius_um: float
    smallest: int
    depth: float
    round: float


def distance_um(mask: Mask, spacing_um: Triple) -> NDArray[np.float32]:
    """Distance to the nearest voxel outside the mask, µm; the volume's faces are not an outside."""
    out: NDArray[np.float32] = edt.edt(mask, anisotropy=spacing_um, black_border=False, parallel=1)
    # A mask without an outside has no distance; there the whole volume is one plateau.
    return np.where(np.isfinite(out), out, np.float32(1.0))


def typical_radius_um(distance: NDArray[np.float32], mask: Mask) -> float:
    """The median over the foreground's voxels of their connected part's largest distance.

    Voxels weigh, not parts: a thousand specks of noise count less than one cell.
    """
    parts, n = cc3d.connected_components(mask, connectivity=26, return_N=True)
    part_of = parts[mask]
    peaks = np.zeros(n + 1, np.float32)
    np.maximum.at(peaks, part_of, distance[mask])
    return float(np.median(peaks[part_of]))


def smooth_um(voxels: Voxels, sigma_um: float, spacing_um: Triple) -> NDArray[np.float32]:
    """Gaussian of the same width in µm along each axis; faces mirrored."""
    sigma = [sigma_um / s for s in spacing_um]
    out: NDArray[np.float32] = ndimage.gaussian_filter(voxels, sigma, output=np.float32, truncate=3)
    return out


def fill_holes(mask: Mask, limit: int) -> Mask:
    """The mask with its cavities of fewer than ``limit`` voxels filled (a nucleolus, noise); 6 neighbours."""
    cavities, n = cc3d.connected_components(~mask, connectivity=6, return_N=True)
    if n < 2:
        return mask
    small = np.bincount(cavities.ravel(), minlength=n + 1) < limit
    for axis in range(3):
        for face in (0, -1):
            # Along a single slice every voxel lies on a face, and holes there are holes all the same.
            if mask.shape[axis] > 1:
                small[np.unique(np.take(cavities, face, axis))] = False
    small[0] = False
    filled: Mask = mask | small[cavities]
    return filled


def cells_in(values: NDArray[np.float32], mask: Mask, inside: Mask, scale: Scale, tries: int) -> Labels:
    """Labels from 1 of the cells of a mask, each connected part by itself.

    Parameters
    ----------
    values : (Z, Y, X), smoothed.
    mask : (Z, Y, X), the foreground.
    inside : (Z, Y, X), where there is data.
    tries : how many times a region may be thresholded again.
    """
    whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2]))
    return _cells_of_parts(_Image(values, inside, scale), whole, mask, tries)


@dataclass(frozen=True, eq=False)
class _Image:
    values: NDArray[np.float32]
    inside: Mask
    scale: Scale


def _cells_of_parts(image: _Image, box: Box, mask: Mask, tries: int) -> Labels:
    """The cells of a mask that stands in a box of the image."""
    out = np.zeros(mask.shape, np.int32)
    last = 0
    for at, part in _parts(cc3d.connected_components(mask, connectivity=26), image.scale.smallest):
        last = _put(out, at, _cells_of(image, _within(box, at), part, tries), last)
    return out


def _cells_of(image: _Image, box: Box, region: Mask, tries: int) -> Labels:
    """The cells of one connected region."""
    scale = image.scale
    pieces = _cut(image, box, region)
    round_, voxels = roundness(pieces, scale.spacing_um)
    if tries == 0:
        return pieces
    if _mean_roundness(round_, voxels, scale) < scale.round:
        values = image.values[box]
        brighter = _cells_of_parts(image, box, region & (values > otsu(values[region])), tries - 1)
        if _is_better(brighter, pieces, scale):
            return brighter
    poor = round_ < scale.round
    if not poor.any() or len(round_) == 1:
        return pieces
    out = np.where(np.concatenate([[False], poor])[pieces], 0, pieces).astype(np.int32)
    last = len(round_)
    for at, piece in _parts(pieces, scale.smallest, set((np.flatnonzero(poor) + 1).tolist())):
        last = _put(out, at, _cells_of(image, _within(box, at), piece, tries - 1), last)
    return out


def _cut(image: _Image, box: Box, region: Mask) -> Labels:
    """Basins of the smoothed distance map; voxels without data and faces of the volume are no outside."""
    scale = image.scale
    before = [min(1, at.start) for at in box]
    after = [min(1, n - at.stop) for at, n in zip(box, image.inside.shape, strict=True)]
    grown = tuple(slice(at.start - b, at.stop + a) for at, b, a in zip(box, before, after, strict=True))
    mask = np.pad(region, list(zip(before, after, strict=True)))
    distance = distance_um(mask | ~image.inside[grown], scale.spacing_um) * mask
    height = smooth_um(distance, HEIGHT_SMOOTHING * scale.radius_um, scale.spacing_um)
    inner = tuple(slice(b, n - a) for b, a, n in zip(before, after, mask.shape, strict=True))
    return basins(height[inner], region, scale.depth)


def _is_better(new: Labels, old: Labels, scale: Scale) -> bool:
    """Whether more cells come apart, and look more like cells; a single one would only shrink to its core."""
    after, before = (roundness(labels, scale.spacing_um) for labels in (new, old))
    more = np.count_nonzero(after[1] >= scale.smallest) > np.count_nonzero(before[1] >= scale.smallest)
    rounder = _mean_roundness(*after, scale) > _mean_roundness(*before, scale) + ROUNDER
    return bool(more and rounder and np.count_nonzero(new) > KEPT * np.count_nonzero(old))


def _mean_roundness(round_: NDArray[np.float64], voxels: NDArray[np.int64], scale: Scale) -> float:
    """Over the voxels of pieces large enough to be cells."""
    weights = np.where(voxels >= scale.smallest, voxels, 0)
    return float((weights * round_).sum() / max(1, weights.sum()))


def _parts(labels: Voxels, smallest: int, wanted: set[int] | None = None) -> Iterator[tuple[Box, Mask]]:
    """The bounding box of each label of at least so many voxels, and where the label is within."""
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None and (wanted is None or i in wanted):
            part: Mask = labels[box] == i
            if np.count_nonzero(part) >= smallest:
                yield (box[0], box[1], box[2]), part


def _within(outer: Box, inner: Box) -> Box:
    """A box of a box, as a box of the whole."""
    z, y, x = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return z, y, x


def _put(out: Labels, box: Box, labels: Labels, last: int) -> int:
    """Write labels into a box under numbers that follow ``last``; the new last."""
    view = out[box]
    view[labels > 0] = labels[labels > 0] + last
    return last + int(labels.max(initial=0))
