"""From what the network says to cells: peaks of the distance, and the foreground divided among them.

Distances shrink where the network is uncertain, so a peak counts by how far it stands out beside its own height: two
cells stay apart where, on the way between their peaks, the distance falls below 1 − depth of the lower one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from tracking3d.segment.blocks import Joined, joined
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND
from tracking3d.segment.uphill import Basins, Part, basins_of
from volumes.shapes import ChannelVoxels, Voxels

SMOOTHING, REACH = 1.0, 3
"""σ of the Gaussian over the distance, and where it is cut off, in voxels of the network's grid."""


@dataclass(frozen=True, eq=False)
class Instances:
    """Cells of a window.

    Parameters
    ----------
    labels : (z, y, x) int32, 1..n.
    confidence : (n,) of 0 to 1: the mean certainty of the foreground times the largest distance.
    centre : (n, 3) mean (z, y, x) of each, voxels of the window.
    voxels : (n,).
    """

    labels: NDArray[np.int32]
    confidence: NDArray[np.float64]
    centre: NDArray[np.float64]
    voxels: NDArray[np.int64]


def decode(
    outputs: ChannelVoxels, settings: DecoderConfig | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Labels (z, y, x) from 1 and the confidence of each, on the network's grid, from its outputs (heads, z, y, x)."""
    found = instances(
        outputs[FOREGROUND], smoothed(outputs[DISTANCE]), settings or DecoderConfig(), smallest_voxels(DIAMETER)
    )
    return found.labels, found.confidence


def smoothed(distance: Voxels) -> NDArray[np.float32]:
    """The distance as peaks are sought in it, on the network's grid."""
    out: NDArray[np.float32] = ndimage.gaussian_filter(
        distance.clip(0), SMOOTHING, output=np.float32, truncate=REACH / SMOOTHING, mode="nearest"
    )
    return out


def smallest_voxels(diameter: float, share: float = 0.05) -> int:
    """Voxels under which nothing counts as a cell: a share of a ball of that diameter (voxels)."""
    return max(1, round(share * np.pi / 6 * diameter**3))


def instances(logit: Voxels, distance: Voxels, settings: DecoderConfig, smallest: float) -> Instances:
    """The cells of a window, on any grid.

    Parameters
    ----------
    logit, distance : (z, y, x), of the foreground and smoothed.
    settings : levels.
    smallest : voxels; what has fewer is dropped.
    """
    z, y, x = logit.shape
    shape, whole = (z, y, x), ((0, z), (0, y), (0, x))
    found = basins_seen(logit, expit(logit), distance, settings, Part(shape, whole, whole))
    cells = accepted(joined([found], [whole], shape, settings.depth), settings.confidence, smallest)
    labels = cells.numbers[0].astype(np.int32)[found.labels]
    return Instances(labels, certainty(cells), cells.centre, cells.voxels)


def basins_seen(logit: Voxels, certain: Voxels, distance: Voxels, settings: DecoderConfig, part: Part) -> Basins:
    """The basins of the distance inside the foreground, each voxel weighted by how certain it is of a cell (0 to 1)."""
    level = float(np.log(settings.foreground / (1 - settings.foreground)))
    return basins_of(distance.clip(0), logit > level, certain, part, settings.depth)


def accepted(cells: Joined, confidence: float, smallest: float) -> Joined:
    """Only cells of so many voxels, and of which the network is certain enough; decided of each as a whole."""
    return cells.only((cells.voxels >= max(smallest, 1)) & (certainty(cells) >= confidence))


def certainty(cells: Joined) -> NDArray[np.float64]:
    """(n,) how certain each is: the mean certainty of the foreground times the largest distance, of 0 to 1."""
    out: NDArray[np.float64] = cells.sums[:, 1] / np.maximum(cells.voxels, 1) * np.minimum(cells.peaks, 1)
    return out
