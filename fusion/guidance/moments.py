"""The products of a fused plane with itself and with the sources whose windowed means are moments, and back."""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray


@kernel
def products(fused: AnyArray, sources: AnyArray) -> AnyArray:
    """F, F² and F Sₘ (2 + sources, y, x), of a plane (y, x) and sources (sources, y, x), float32."""
    out = np.empty((2 + len(sources), *fused.shape), fused.dtype)
    out[0] = fused
    out[1] = fused * fused
    for m in range(len(sources)):
        out[2 + m] = fused * sources[m]
    return out


@kernel
def to_plane(gradients: AnyArray, fused: AnyArray, sources: AnyArray) -> AnyArray:
    """From gradients for these products to that for F (y, x)."""
    out = np.empty_like(fused)
    out[:] = gradients[0] + 2 * fused * gradients[1]
    for m in range(len(sources)):
        out += gradients[2 + m] * sources[m]
    return out
