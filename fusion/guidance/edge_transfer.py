"""Q^{AB/F} of all sources and its gradient: :func:`fusion.losses.edge_transfer.edge_transfer` in closed form."""

from __future__ import annotations

import math

import numpy as np

from fusion.losses import edge_transfer as published
from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

ONE, TWO = np.float32(1), np.float32(2)
FAINT = np.float32(published.FAINT)
TURN = np.float32(2 / math.pi)
STRENGTH = np.array(published.STRENGTH, np.float32)
DIRECTION = np.array(published.DIRECTION, np.float32)
"""Γ, κ and σ of the two sigmoids."""
FINE = np.float32(1024)
"""Entries of a table of a sigmoid for each unit: exponentials would take half of the time. Off by less than 6e-6."""


def _table(shape: AnyArray) -> AnyArray:
    """A sigmoid at −1 … 1, and once more at its end."""
    top, slope, middle = shape.astype(np.float64)
    x = np.arange(-1, 1 + 1.5 / FINE, 1 / FINE)
    return np.asarray(top / (1 + np.exp(slope * (x - middle))), np.float32)


STRENGTHS, DIRECTIONS = _table(STRENGTH), _table(DIRECTION)


class EdgeTransfer:
    """The edges of the sources (sources, y, x), float32, ready to be looked for in fused planes of the same scale."""

    def __init__(self, sources: AnyArray) -> None:
        edges = [_edges(np.pad(source, 1)) for source in sources]
        self.strength = np.stack([strength for _, _, strength, _ in edges])
        self.direction = np.stack([direction for _, _, _, direction in edges])
        self.there = max(float(self.strength.sum(dtype=np.float64)), published.FAINT)

    def with_gradient(self, fused: AnyArray) -> tuple[float, AnyArray]:
        """Q of a fused plane (y, x), float32, and its gradient."""
        total, along_x, along_y = _kept(*_edges(np.pad(fused, 1)), self.strength, self.direction)
        return total / self.there, _spread(along_x, along_y)[1:-1, 1:-1] / np.float32(self.there)


@kernel
def _edges(padded: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """Sobel gradients along x and y, strength and direction of a plane with a row of zeros around it."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    along_x, along_y = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    strength, direction = np.empty_like(along_x), np.empty_like(along_x)
    for i in range(height):
        above, middle, below = padded[i], padded[i + 1], padded[i + 2]
        for j in range(width):
            # The published filter for x is mirrored by its convolution, the one for y is not.
            x = above[j] - above[j + 2] + TWO * (middle[j] - middle[j + 2]) + below[j] - below[j + 2]
            y = below[j] - above[j] + TWO * (below[j + 1] - above[j + 1]) + below[j + 2] - above[j + 2]
            along_x[i, j], along_y[i, j] = x, y
            strength[i, j] = math.sqrt(x * x + y * y + FAINT * FAINT)
            direction[i, j] = ONE / TURN if abs(x) < FAINT else math.atan(y / x)
    return along_x, along_y, strength, direction


@inlined
def _sigmoid(x: np.float32, shape: AnyArray, table: AnyArray) -> tuple[np.float32, np.float32]:
    """And its slope, −κ s (1 − s/Γ)."""
    place = (x + ONE) * FINE
    below = min(max(int(place), 0), len(table) - 2)  # What is not a number stays none, but reads no foreign memory.
    value = table[below] + (place - np.float32(below)) * (table[below + 1] - table[below])
    return value, -shape[1] * value * (ONE - value / shape[0])


@kernel
def _kept(
    along_x: AnyArray,
    along_y: AnyArray,
    strength: AnyArray,
    direction: AnyArray,
    strengths: AnyArray,
    directions: AnyArray,
) -> tuple[float, AnyArray, AnyArray]:
    """Σₘ Σ Qₘ gₘ, and its gradient for the two Sobel gradients of the fused plane."""
    total = 0.0
    for_x, for_y = np.zeros_like(along_x), np.zeros_like(along_y)
    for m in range(len(strengths)):
        for i in range(along_x.shape[0]):
            for j in range(along_x.shape[1]):
                there, seen = strengths[m, i, j], strength[i, j]
                if there <= TWO * FAINT:
                    continue
                weaker = seen < there
                share = seen / there if weaker else there / seen
                turned = direction[i, j] - directions[m, i, j]
                by_strength, steeper = _sigmoid(share, STRENGTH, STRENGTHS)
                by_direction, nearer = _sigmoid(max(ONE - abs(turned) * TURN, -ONE), DIRECTION, DIRECTIONS)
                total += there * by_strength * by_direction
                for_strength = there * by_direction * steeper * (ONE / there if weaker else -share / seen)
                x, y = along_x[i, j], along_y[i, j]
                for_x[i, j] += for_strength * x / seen
                for_y[i, j] += for_strength * y / seen
                if abs(x) >= FAINT:
                    towards = -np.sign(turned) * TURN * there * by_strength * nearer / (x * x + y * y)
                    for_x[i, j] -= towards * y
                    for_y[i, j] += towards * x
    return total, for_x, for_y


@kernel
def _spread(for_x: AnyArray, for_y: AnyArray) -> AnyArray:
    """The adjoint of the two Sobel filters, the row around the plane included."""
    height, width = for_x.shape
    out = np.zeros((height + 2, width + 2), np.float32)
    for i in range(height):
        for j in range(width):
            x, y = for_x[i, j], for_y[i, j]
            out[i, j] += x - y
            out[i, j + 1] -= TWO * y
            out[i, j + 2] -= x + y
            out[i + 1, j] += TWO * x
            out[i + 1, j + 2] -= TWO * x
            out[i + 2, j] += x + y
            out[i + 2, j + 1] += TWO * y
            out[i + 2, j + 2] += y - x
    return out
