"""Qabf: how well the fused picture keeps strength and direction of its sources' edges.

With Sobel gradients of strength g and direction α: G = min(g_F, g_S) / max(g_F, g_S), A = 1 − |α_S − α_F| / (π/2),
Q_g = 0.9994 / (1 + exp(−15 (G − 0.5))), Q_α = 0.9879 / (1 + exp(−22 (A − 0.8))), and Qabf = Σₘ Σ Q_g Q_α gₘ / Σₘ Σ gₘ.
Xydeas & Petrović 2000, "Objective image fusion performance measure". Trap: one strong source drowns a weak one's loss;
look at each source apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from fusion.metrics.levels import Grey
from fusion.metrics.windows import windowed

Vectors = Float64[np.ndarray, "axes ..."]

SLOPE, SMOOTH = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0])


@dataclass(frozen=True)
class Transfer:
    """Of one source: Σ Q g and Σ g."""

    kept: float
    all: float


def edge_transfer(transfers: Sequence[Transfer]) -> float:
    """Qabf of all sources together, 0 to 0.9873: sums over the sources, above and below the line."""
    return sum(t.kept for t in transfers) / sum(t.all for t in transfers)


def edge_transfers(fused: Grey, sources: Sequence[Grey], steps: Sequence[float]) -> list[Transfer]:
    """What of each source's edges is kept, and how much there was.

    In 2-D as published: zeros around the picture, α = arctan(g_y / g_x) in (−π/2, π/2] and its plain difference, which
    takes two nearly equal directions on either side of π/2 for opposite ones; and where g_F = g_S, G is g_F. In 3-D,
    where nothing is published: the nearest voxel continues the volume (else each face would be an edge), α_S − α_F is
    the angle between the two lines, 0 to π/2, and where g_F = g_S, G is 1.
    """
    zeros = fused.ndim == 2
    after = _sobel(fused, steps, zeros)
    out = []
    for source in sources:
        before = _sobel(source, steps, zeros)
        g_s, g_f = _length(before), _length(after)
        quality = _strength(g_s, g_f, published=zeros) * _direction(before, after, g_s, g_f)
        out.append(Transfer(float((quality * g_s).sum()), float(g_s.sum())))
    return out


def _sobel(values: Grey, steps: Sequence[float], zeros: bool) -> Vectors:
    """Differences over two voxels along each axis, smoothed by [1 2 1] along the others."""
    wide = np.pad(values, 1, mode="constant" if zeros else "edge")
    out = np.empty((values.ndim, *values.shape))
    for axis, step in enumerate(steps):
        part = wide
        for other in range(values.ndim):
            part = windowed(part, SLOPE if other == axis else SMOOTH, (other,))
        out[axis] = part / step
    return out


def _length(vectors: Vectors) -> Grey:
    return np.asarray(np.sqrt((vectors**2).sum(axis=0)))


def _strength(g_s: Grey, g_f: Grey, published: bool) -> Grey:
    larger = np.maximum(g_s, g_f)
    ratio = np.minimum(g_s, g_f) / np.where(larger > 0, larger, 1)
    if published:
        ratio = np.where(g_s == g_f, g_f, ratio)
    return np.asarray(0.9994 / (1 + np.exp(-15 * (ratio - 0.5))))


def _direction(before: Vectors, after: Vectors, g_s: Grey, g_f: Grey) -> Grey:
    if len(before) == 2:
        angle = np.abs(_angle(before) - _angle(after))
    else:
        scale = g_s * g_f
        cosine = np.abs((before * after).sum(axis=0)) / np.where(scale > 0, scale, 1)
        angle = np.arccos(np.minimum(cosine, 1))
    return np.asarray(0.9879 / (1 + np.exp(-22 * (1 - angle / (np.pi / 2) - 0.8))))


def _angle(vectors: Vectors) -> Grey:
    # The published filter for x is mirrored by its convolution, the one for y is not: hence −x.
    y, x = vectors
    flat = x == 0
    return np.where(flat, np.pi / 2, np.arctan(y / np.where(flat, 1, -x)))
