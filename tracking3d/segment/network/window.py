"""The cells of a window of the image, from what the network says of it and of what surrounds it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.blocks import Found
from tracking3d.segment.network.decode import instances, smallest_voxels, smoothed
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND
from tracking3d.segment.network.inference import HALO, UNIT, Predictor
from tracking3d.segment.network.resampling import Range, coarse_shape, needed, resampled
from tracking3d.segment.network.view import Ranges, Read, View, each
from volumes.shapes import Triple

MARGIN = 24
"""Voxels of the network's grid around a block's core in which cells are sought, so that those of the core are whole."""


@dataclass(frozen=True, eq=False)
class Finder:
    """All that is needed to find the cells of any window of one image.

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

    def core_sides(self, block: int) -> tuple[int, int, int]:
        """Voxels of the image along each axis that one block answers for, when the network sees ``block`` at once."""
        return each(self._core_side, self.view.shape, self.view.coarse, self.view.factors, (block,) * 3)

    def _core_side(self, size: int, coarse: int, factor: float, block: int) -> int:
        return size if coarse <= block else max(1, int((block - 2 * (HALO + MARGIN + 1)) * factor))

    def block(self, read: Read, core: Ranges) -> Found:
        """The cells of a block's core, numbered within the block, with what is known of each as a whole."""
        view, steps = self.view, self.view.steps
        drawn = coarse_shape(view.shape, steps)
        around = each(_around, core, view.factors, steps, drawn)
        logit, distance = self._maps(read, around)
        cells = instances(logit, distance, self.decoder, self.smallest / math.prod(steps))
        begin = np.array([first for first, _ in around])
        # In voxels of the network's grid, whatever the image's are.
        centre = (cells.centre + begin + 0.5) * steps / np.array(view.factors)
        labels = _drawn(cells.labels, around, core, steps)
        there = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(centre) + 1)[1:])
        numbers = np.zeros(len(centre) + 1, np.int32)
        numbers[there + 1] = np.arange(1, len(there) + 1)
        return Found(numbers[labels], centre[there], cells.voxels[there], cells.confidence[there])

    def _maps(self, read: Read, wanted: Ranges) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The foreground's logit and the smoothed distance in ranges of the grid on which cells are drawn."""
        view = self.view
        back: Triple = each(lambda step, factor: step / factor, view.steps, view.factors)
        held = each(_widened, each(needed, wanted, back, view.coarse), view.coarse)
        heads = self.predictor.maps(view.shown(read, held, self.bounds))
        logit = resampled(heads[FOREGROUND], held, wanted, back)
        return logit, resampled(smoothed(heads[DISTANCE]), held, wanted, back)


def smallest_cell(view: View, volume_um3: float | None) -> float:
    """Voxels of the image under which nothing counts as a cell; in a single slice the areas are compared."""
    if volume_um3 is not None:
        return volume_um3 / math.prod(view.spacing_um)
    if view.shape[0] == 1:
        return smallest_voxels(DIAMETER) * 1.5 / DIAMETER * math.prod(view.factors)
    return smallest_voxels(DIAMETER) * math.prod(view.factors)


def _around(core: Range, factor: float, step: float, size: int) -> Range:
    """The core and a margin, in voxels of the grid on which cells are drawn."""
    margin = math.ceil(MARGIN * factor / step)
    return max(0, math.floor(core[0] / step) - margin), min(size, math.ceil(core[1] / step) + margin)


def _widened(inner: Range, size: int) -> Range:
    begin = max(0, (inner[0] - HALO) // UNIT * UNIT)
    return begin, min(size, -(-(inner[1] + HALO) // UNIT) * UNIT)


def _drawn(labels: NDArray[np.int32], held: Ranges, core: Ranges, steps: Triple) -> NDArray[np.int32]:
    """The core on the image's own grid: each voxel has the label of the one it lies in."""
    places = each(_nearest, held, core, steps)
    return labels[np.ix_(*places)]


def _nearest(held: Range, core: Range, step: float) -> NDArray[np.int64]:
    place = np.floor((np.arange(*core) + 0.5) / step).astype(np.int64)
    inside: NDArray[np.int64] = (place - held[0]).clip(0, held[1] - held[0] - 1)
    return inside
