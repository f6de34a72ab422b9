"""The products of a fused plane with itself and with the sources whose windowed means are moments, and back."""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray


def products(fused: AnyArray, sources: AnyArray) -> AnyArray:
    """F, F² and F Sₘ (2 + sources, y, x), of a plane (y, x) and sources (sources, y, x) of its type."""
    out = np.empty((2 + len(sources), *fused.shape), fused.dtype)
    out[0] = fused
    np.multiply(fused, fused, out=out[1])
    np.multiply(fused, sources, out=out[2:])
    return out


@kernel
def to_plane(gradients: AnyArray, fused: AnyArray, sources: AnyArray) -> AnyArray:
    """From gradients for these products to that for F (y, x)."""
    out = np.empty_like(fused)
    for i in range(fused.shape[0]):
        for j in range(fused.shape[1]):
            total = gradients[0, i, j] + (fused[i, j] + fused[i, j]) * gradients[1, i, j]
            for m in range(len(sources)):
                total += gradients[2 + m, i, j] * sources[m, i, j]
            out[i, j] = total
    return out
