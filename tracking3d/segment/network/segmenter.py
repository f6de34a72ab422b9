"""The segmenter that has learnt what cells are."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracking3d.labels import label_volume
from tracking3d.segment.blocks import Joined, box, joined
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.decode import certainty
from volumes.errors import ContentError
from volumes.volume import Volume

if TYPE_CHECKING:
    from tracking3d.segment.network.view import Read
    from tracking3d.segment.network.window import Finder, Maps

log = logging.getLogger(__name__)

NO_SIGN = "at no scale does anything look like cells rather than noise"


@dataclass(frozen=True, eq=False)
class Cells:
    """What was found.

    Parameters
    ----------
    labels : on the image's grid, 0 the background, each cell its own number from 1.
    confidence : (n,) of label 1, 2, …, from 0 to 1: mean certainty of the foreground times the largest distance.
    diameter_um : that was given or estimated.
    """

    labels: Volume
    confidence: NDArray[np.float64]
    diameter_um: float


@dataclass(frozen=True)
class Network:
    """Finds cells with a trained network.

    1. The size of a cell is estimated, unless it is given (:mod:`tracking3d.segment.network.scale`).
    2. The image is resampled to 14 voxels a cell in windows; the network says for each voxel how certain it is of a
       cell, and how deep inside one the voxel lies.
    3. Both are brought back to the image's grid. The peaks of the depth are the cells, and the foreground is divided
       among them (:mod:`tracking3d.segment.network.decode`), in blocks (:mod:`tracking3d.segment.blocks`).

    Brightness may be scaled or shifted. Voxels without data count as background. Deterministic on one machine.
    """

    config: CellNetworkConfig = field(default_factory=CellNetworkConfig)

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel.

        Returns
        -------
        Labels from 1 on the volume's grid. Without any cell all are 0, and a warning is logged.

        Raises
        ------
        ContentError : NaN or infinite voxels, a constant volume, or more than one channel.
        WeightsError : weights that are missing, damaged, or of no network that finds cells.
        """
        return self.cells(volume).labels

    def cells(self, volume: Volume) -> Cells:
        """The same, with how certain each cell is, and the diameter that was used."""
        from tracking3d.segment.network.prepare import finder_for, reader
        from tracking3d.segment.network.window import Maps

        _require_channel(volume)
        finder = finder_for(self.config, volume)
        if finder is None:
            log.warning("no cell found in the volume at %g s: %s", volume.time_s, NO_SIGN)
            nothing = np.zeros(volume.grid.shape, np.int32)
            return Cells(label_volume(nothing, volume), np.zeros(0), self.config.diameter_um or np.nan)
        read, maps = reader(volume, dark=finder.bounds[0]), Maps.empty(finder.view.coarse)
        for window in finder.windows():
            maps.put(window, finder.said(read, window))
        labels, every = _drawn(finder, read, maps, self.config.block)
        cells = finder.accepted(every)
        if not len(cells.peaks):
            log.warning("no cell found in the volume at %g s: %s", volume.time_s, finder.missing(every))
        for block, numbers in zip(finder.blocks(self.config.block), cells.numbers, strict=True):
            labels[box(block)] = numbers.astype(np.int32)[labels[box(block)]]
        if finder.drawn != volume.grid.shape:
            labels = labels[np.ix_(*finder.places())]
        return Cells(label_volume(labels, volume), certainty(cells), finder.view.diameter_um)


def _drawn(finder: Finder, read: Read, maps: Maps, side: int) -> tuple[NDArray[np.int32], Joined]:
    """Labels on the grid on which cells are drawn, numbered within each block, and the cells that they make up."""
    labels, blocks = np.empty(finder.drawn, np.int32), finder.blocks(side)
    tables = []
    for block in blocks:
        tables.append(finder.basins(read, maps, block))
        labels[box(block)] = tables[-1].labels
    return labels, joined(tables, blocks, finder.drawn, finder.decoder.depth, lambda _, voxels: labels[tuple(voxels.T)])


def _require_channel(volume: Volume) -> None:
    if volume.data.shape[0] != 1:
        raise ContentError(
            "the network takes one channel", field="volume", value=len(volume.channels), remedy="Choose a channel"
        )
