"""What is missing of the sources' strong edges, and its gradient: :mod:`fusion.losses.strong_edges` in closed form.

Strong is the strongest tenth of a whole picture, as :func:`fusion.metrics.lost_edges` counts: what is asked of fewer
edges leaves the rest of the picture free for the other aims.
"""

from __future__ import annotations

import math

import numpy as np

from fusion.losses import gradient as measured
from fusion.losses.strong_edges import ASKED as SHARE
from fusion.losses.strong_edges import FAINT
from volumes.jit import kernel
from volumes.shapes import AnyArray

STRONG = 0.9
"""Quantile of a source's gradients from which on they count."""
ONE, SOFT, ASKED = np.float32(1), np.float32(measured.SOFT), np.float32(SHARE)


class StrongEdges:
    """The strong edges of the sources (sources, y, x), float32 on a scale of about 1."""

    def __init__(self, sources: AnyArray) -> None:
        slopes = [_slopes(source) for source in sources]
        self.along = np.stack([np.stack(pair) for pair in slopes])
        squares = np.square(self.along).sum(1)
        steepness = squares / (np.sqrt(squares + SOFT * SOFT) + SOFT)
        rank = max(1, round((1 - STRONG) * steepness[0].size))
        least = np.partition(steepness.reshape(len(sources), -1), -rank, axis=1)[:, -rank]
        self.strong = steepness >= np.maximum(least, FAINT)[:, None, None]
        self.asked = ASKED * np.maximum(steepness, np.float32(FAINT))

    def with_gradient(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """Σₘ of the hinge of a fused plane (y, x), float32, and its gradient."""
        y, x = _slopes(fused)
        total, for_y, for_x = _missing(y, x, self.along, self.asked, self.strong)
        return total, _spread(for_y, for_x)


@kernel
def _slopes(plane: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Central differences along y and x, one-sided at the border."""
    height, width = plane.shape
    along_y, along_x = np.empty_like(plane), np.empty_like(plane)
    for i in range(height):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            along_y[i, j] = (plane[down, j] - plane[up, j]) / np.float32(down - up)
            along_x[i, j] = (plane[i, right] - plane[i, left]) / np.float32(right - left)
    return along_y, along_x


@kernel
def _missing(
    y: AnyArray, x: AnyArray, along: AnyArray, asked: AnyArray, strong: AnyArray
) -> tuple[float, AnyArray, AnyArray]:
    total, for_y, for_x = 0.0, np.zeros_like(y), np.zeros_like(x)
    for m in range(len(along)):
        found = 0.0
        share = 1 / max(strong[m].sum(), 1)
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                if not strong[m, i, j]:
                    continue
                there = asked[m, i, j]
                own_y, own_x = along[m, 0, i, j], along[m, 1, i, j]
                length = math.sqrt(y[i, j] * y[i, j] + x[i, j] * x[i, j] + SOFT * SOFT)
                weaker = ONE - (length - SOFT) / there
                aside = ONE - ASKED * (y[i, j] * own_y + x[i, j] * own_x) / (there * there)
                if weaker <= 0 or aside <= 0:
                    continue
                found += weaker * aside
                by_length, by_side = -aside / (there * length), -weaker * ASKED / (there * there)
                for_y[i, j] += share * (by_length * y[i, j] + by_side * own_y)
                for_x[i, j] += share * (by_length * x[i, j] + by_side * own_x)
        total += share * found
    return total, for_y, for_x


@kernel
def _spread(for_y: AnyArray, for_x: AnyArray) -> AnyArray:
    """The adjoint of the central differences."""
    height, width = for_y.shape
    out = np.zeros_like(for_y)
    for i in range(height):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            y, x = for_y[i, j] / np.float32(down - up), for_x[i, j] / np.float32(right - left)
            out[down, j] += y
            out[up, j] -= y
            out[i, right] += x
            out[i, left] -= x
    return out
