"""From what the network says to cells: peaks of the distance, and the foreground divided among them.

Distances shrink where the network is uncertain, so a peak counts by how far it stands out beside its own height: two
cells stay apart where, on the way between their peaks, the distance falls below 1 − depth of the lower one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tracking3d.segment.basins import basins
from tracking3d.segment.network.decoder_config import DecoderConfig
from tracking3d.segment.network.heads import DIAMETER, DISTANCE, FOREGROUND
from volumes.jit import kernel
from volumes.shapes import AnyArray, ChannelVoxels, Voxels

SMOOTHING = 1.0
"""σ of the Gaussian over the distance, in voxels of the network's grid."""


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
        distance.clip(0), SMOOTHING, output=np.float32, truncate=3, mode="nearest"
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
    level = float(np.log(settings.foreground / (1 - settings.foreground)))
    labels = basins(distance.clip(0), logit > level, settings.depth)
    return measured(labels, logit, distance, smallest, settings.confidence)


def measured(
    labels: NDArray[np.int32], logit: Voxels, distance: Voxels, smallest: float, confidence: float
) -> Instances:
    """Labels 1..n without those of too few voxels or too little confidence, with what is known of each."""
    sums, peak = _sums(labels, np.ascontiguousarray(logit), np.ascontiguousarray(distance), int(labels.max(initial=0)))
    count = sums[:, 0]
    certain = sums[:, 1] / np.maximum(count, 1) * np.minimum(peak, 1)
    kept = np.flatnonzero((count >= max(smallest, 1)) & (certain >= confidence))
    kept = kept[kept > 0]
    numbers = np.zeros(len(count), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    mean = sums[kept, 1:] / count[kept, None]
    return Instances(numbers[labels], certain[kept], mean[:, 1:], count[kept].astype(np.int64))


@kernel
def _sums(labels: AnyArray, logit: AnyArray, distance: AnyArray, n: int) -> tuple[AnyArray, AnyArray]:
    """For 0..n: voxels, sums of certainty, z, y and x (n + 1, 5); the largest distance (n + 1,)."""
    sums, peak = np.zeros((n + 1, 5)), np.zeros(n + 1)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                label = labels[i, j, k]
                if label > 0:
                    row = sums[label]
                    row[0] += 1
                    row[1] += 1 / (1 + np.exp(-logit[i, j, k]))
                    row[2] += i
                    row[3] += j
                    row[4] += k
                    peak[label] = max(peak[label], distance[i, j, k])
    return sums, peak
