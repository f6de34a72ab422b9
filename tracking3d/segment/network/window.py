"""What the network says of an image, window by window, and the basins in blocks of that.

The windows are the same whatever the blocks are, so that all blocks read the same maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.blocks import Core, Joined, cores, widened
from tracking3d.segment.network.decode import REACH, accepted, basins_seen, smallest_voxels, smoothed
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.edges import edged
from tracking3d.segment.network.heads import DIAMETER, DISTANCE
from tracking3d.segment.network.inference import HALO, UNIT, Predictor
from tracking3d.segment.network.resampling import Range, coarse_shape, needed, resampled
from tracking3d.segment.network.view import Ranges, Read, View, each
from tracking3d.segment.uphill import Basins, Part
from volumes.shapes import AnyArray, Shape3, Triple

WINDOW, STRIDE = 128, 96
"""Voxels of its grid that the network sees at once along each axis, and from one window to the next, at most."""
MARGIN = 8
"""Voxels around a block in which paths are followed; however few, the cells are the same."""
Maps: TypeAlias = NDArray[np.float16]
"""(2, z, y, x): the foreground's logit and the smoothed distance, on the network's grid."""


@dataclass(frozen=True, eq=False)
class Finder:
    """All that is needed to find the cells of one image.

    Parameters
    ----------
    predictor : the network.
    view : the image's grid beside the network's.
    bounds : intensities that become 0 and 1.
    decoder : how cells are read from the maps.
    smallest : voxels of the image under which nothing counts as a cell.
    """

    predictor: Predictor
    view: View
    bounds: tuple[float, float]
    decoder: DecoderConfig
    smallest: float

    @property
    def drawn(self) -> Shape3:
        """The shape of the grid on which cells are drawn: the image's, or a coarser one."""
        return coarse_shape(self.view.shape, self.view.steps)

    def windows(self) -> list[Core]:
        """Ranges of the network's grid that cover it once, each looked at apart from the others."""
        return cores(self.view.coarse, self.strides)

    @property
    def strides(self) -> Shape3:
        """From one window to the next along each axis; all of an axis on which there is one."""
        return each(_stride, self.view.coarse)

    def blocks(self, side: int) -> list[Core]:
        """Blocks of the grid on which cells are drawn, about so many voxels of the image wide."""
        return cores(self.drawn, self.sides(side))

    def sides(self, side: int) -> Shape3:
        """How many voxels of that grid a block has along each axis."""
        return each(lambda step, n: min(n, max(1, round(side / step))), self.view.steps, self.drawn)

    def said(self, read: Read, window: Core) -> Maps:
        """The maps of a window."""
        held = each(_beyond, window, self.view.coarse)
        shown = self.view.shown(read, held, self.bounds)
        heads = self.predictor.maps(shown, DISTANCE + 1)
        logit = edged(heads, shown, self.decoder.light)
        near = widened(window, REACH, self.view.coarse)
        distance = smoothed(heads[DISTANCE][_inside(held, near)])[_inside(near, window)]
        return np.stack([logit[_inside(held, window)], distance]).astype(np.float16)

    def basins(self, maps: Maps | Any, block: Core) -> Basins:  # noqa: ANN401 - zarr is untyped here
        """The basins of a block, from the maps of the whole image (numpy or zarr)."""
        seen = widened(block, MARGIN, self.drawn)
        back: Triple = each(lambda step, factor: step / factor, self.view.steps, self.view.factors)
        held = each(needed, seen, back, self.view.coarse)
        said = np.asarray(maps[(slice(None), *(slice(*side) for side in held))], np.float32)
        logit, distance = (resampled(part, held, seen, back) for part in said)
        return basins_seen(logit, distance, self.decoder, Part(self.drawn, seen, block))

    def accepted(self, cells: Joined) -> Joined:
        """The cells that are large and certain enough."""
        return accepted(cells, self.decoder, self.smallest / math.prod(self.view.steps))

    def places(self, ranges: Ranges | None = None) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Along each axis, for all voxels of the image or those in ranges, the voxel of the drawn grid they lie in."""
        wanted = ranges or each(lambda n: (0, n), self.view.shape)
        return each(_nearest, wanted, self.view.steps, self.drawn)


def smallest_cell(view: View, volume_um3: float | None) -> float:
    """Voxels of the image under which nothing counts as a cell; in a single slice the areas are compared."""
    if volume_um3 is not None:
        return volume_um3 / math.prod(view.spacing_um)
    if view.shape[0] == 1:
        return smallest_voxels(DIAMETER) * 1.5 / DIAMETER * math.prod(view.factors)
    return smallest_voxels(DIAMETER) * math.prod(view.factors)


def _beyond(inner: Range, size: int) -> Range:
    """What the network sees for its maps of a range: as much for each, since every new shape costs memory for good."""
    stride = _stride(size)
    # Of two windows each has a face of the volume at one side.
    wide = stride + HALO * min(-(-size // stride) - 1, 2)
    begin = min(max(0, inner[0] - HALO), max(0, -(-(size - wide) // UNIT) * UNIT))
    return begin, min(size, begin + wide)


def _stride(size: int) -> int:
    """About equal windows, each a multiple of UNIT."""
    number = 1 if size <= WINDOW else -(-size // STRIDE)
    return size if number == 1 else -(-size // (number * UNIT)) * UNIT


def _inside(outer: Ranges, inner: Ranges) -> tuple[slice, slice, slice]:
    return each(lambda o, i: slice(i[0] - o[0], i[1] - o[0]), outer, inner)


def _nearest(wanted: Range, step: float, size: int) -> NDArray[np.int64]:
    place = np.floor((np.arange(*wanted) + 0.5) / step).astype(np.int64)
    inside: NDArray[np.int64] = place.clip(0, size - 1)
    return inside
