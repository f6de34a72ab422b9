"""What the network says of an image, window by window, and the basins in blocks of that.

The windows are the same whatever the blocks are, so that all blocks read the same maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tracking3d.segment.blocks import Core, Joined, box, cores, widened
from tracking3d.segment.network.decode import (
    REACH,
    accepted,
    basins_seen,
    certainty,
    smallest_voxels,
    smoothed,
)
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.edges import POOL, ground, sharpened, together
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND
from tracking3d.segment.network.inference import HALO, UNIT, Predictor
from tracking3d.segment.network.resampling import Range, needed, resampled
from tracking3d.segment.network.view import Ranges, Read, View, each
from tracking3d.segment.uphill import Basins, Part
from volumes.shapes import AnyArray, Shape3, Triple

WINDOW, STRIDE = 128, 96
"""Voxels of its grid that the network sees at once along each axis, and from one window to the next, at most."""
MARGIN = 8
"""Voxels around a block in which paths are followed; however few, the cells are the same."""
WHOLE = 10.0
"""Voxels of the image across a cell from which the network can be as sure as it is of any. Of a smaller cell more
voxels hold its border, and it is less sure of all: as the fourth root of the diameter, on made-up specimens."""


@dataclass(frozen=True, eq=False)
class Maps:
    """What the network says of a window or of all, and what the light is held against; arrays of numpy or zarr.

    Parameters
    ----------
    said : (2, z, y, x) float16, the foreground's logit and the smoothed distance, on the network's grid.
    beside : (3, z, y, x) float16, as :func:`tracking3d.segment.network.edges.ground` has it, on a coarser one.
    """

    said: Any
    beside: Any

    @classmethod
    def empty(cls, coarse: Shape3) -> Maps:
        """For all of a network's grid, nothing written yet."""
        return cls(np.empty((2, *coarse), np.float16), np.empty((3, *coarser(coarse)), np.float16))

    def put(self, window: Core, part: Maps) -> None:
        """Write a window's."""
        self.said[(slice(None), *box(window))] = part.said
        self.beside[(slice(None), *box(_coarser(window)))] = part.beside


@dataclass(frozen=True, eq=False)
class Finder:
    """All that is needed to find the cells of one image.

    Parameters
    ----------
    predictor : the network.
    view : the image's grid beside the network's.
    bounds : intensities that become 0 and 1.
    noise : standard deviation of the light where cells are drawn, in the span of the bounds.
    decoder : how cells are read from the maps.
    smallest : voxels of the image under which nothing counts as a cell.
    """

    predictor: Predictor
    view: View
    bounds: tuple[float, float]
    noise: float
    decoder: DecoderConfig
    smallest: float

    @property
    def drawn(self) -> Shape3:
        """The shape of the grid on which cells are drawn: the image's, or a coarser one."""
        return self.view.drawn

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
        logit = heads[FOREGROUND]
        near = widened(window, REACH, self.view.coarse)
        distance = smoothed(heads[DISTANCE][_inside(held, near)])[_inside(near, window)]
        said = np.stack([logit[_inside(held, window)], distance]).astype(np.float16)
        beside = ground(logit, shown)[(slice(None), *_inside(_coarser(held), _coarser(window)))]
        return Maps(said, beside.astype(np.float16))

    def basins(self, read: Read, maps: Maps, block: Core) -> Basins:
        """The basins of a block, from the image and the maps of the whole."""
        seen = widened(block, MARGIN, self.drawn)
        back: Triple = each(lambda step, factor: step / factor, self.view.steps, self.view.factors)
        logit, distance = brought(maps.said, seen, back, self.view.coarse)
        certain = logit
        if share := self.decoder.light:
            coarse: Triple = each(lambda factor: factor / POOL, back)
            beside = np.stack(brought(maps.beside, seen, coarse, coarser(self.view.coarse)))
            light = self.view.light(read, seen, self.bounds)
            # How sharp a cell's border is says nothing of whether it is a cell.
            certain = together(logit, sharpened(beside[0], beside, self.noise), share)
            logit = together(logit, sharpened(light, beside, self.noise), share)
        return basins_seen(logit, expit(certain), distance, self.decoder, Part(self.drawn, seen, block))

    @property
    def sure(self) -> float:
        """The confidence from which a cell counts: less than stated where it has few voxels, see :data:`WHOLE`."""
        axes = [factor for factor, n in zip(self.view.factors, self.view.shape, strict=True) if n > 1]
        across = DIAMETER * math.prod(axes) ** (1 / max(1, len(axes)))
        out: float = self.decoder.confidence * min(1.0, across / WHOLE) ** 0.25
        return out

    def accepted(self, cells: Joined) -> Joined:
        """The cells that are large and certain enough."""
        return accepted(cells, self.sure, self._least)

    def missing(self, cells: Joined) -> str:
        """Why none of these is accepted."""
        large = certainty(cells)[cells.voxels >= self._least]
        if not len(large):
            return "the network sees nothing that is large enough"
        return f"the network's confidences reach {large.max():.2f}, and {self.sure:.2f} is asked for"

    @property
    def _least(self) -> float:
        return self.smallest / math.prod(self.view.steps)

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


def brought(maps: Any, wanted: Ranges, back: Triple, size: Shape3) -> list[NDArray[np.float32]]:  # noqa: ANN401 - zarr
    """Each of the maps (c, z, y, x) of a whole grid in ranges of another, that has ``back`` of its voxels to one."""
    held = each(needed, wanted, back, size)
    parts = np.asarray(maps[(slice(None), *(slice(*side) for side in held))], np.float32)
    return [resampled(part, held, wanted, back) for part in parts]


def coarser(shape: Shape3) -> Shape3:
    """The shape of the grid on which the light is held against its surroundings, from the network's."""
    return each(lambda n: -(-n // POOL), shape)


def _coarser(ranges: Ranges) -> Ranges:
    """The same of ranges that begin at even voxels."""
    return each(lambda side: (side[0] // POOL, -(-side[1] // POOL)), ranges)


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
