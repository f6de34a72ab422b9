"""Entropy of the intensities around each voxel: how much there is to see in a window.

A voxel x in [0, 1] is shared by two of B bins, pₖ(x) = max(0, 1 − |x (B − 1) − k|), so that nothing jumps when a
rounding moves it across an edge. With p̄ the mean of the window's voxels and h(p) = −Σ pₖ log₂ pₖ, the entropy is
H = h(p̄) − mean h(p(x)), bits: what the voxels differ in, without what the bins blur. So it is 0 where all are equal,
wherever between two bins they lie, and the plain histogram's entropy where all lie on bins.
"""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray, Mask, Voxels

BINS = 32
"""Bins of the histogram: a window of 5³ voxels fills no more."""

RADIUS = 2
"""Of the window, voxels: 5³."""

PARTS = 64
"""A voxel is shared by its two bins in steps of 1/64: whole numbers, which a sliding window adds and takes exactly."""

UNIT = 1 << 16
"""Units of a bit in which the blur of bins is summed."""


def local_entropy(
    data: Voxels, low: float, high: float, mask: Mask | None = None, radius: int = RADIUS, bins: int = BINS
) -> Voxels:
    """The entropy of the (2·radius + 1)³ voxels around each voxel, bits, float32; windows end at the volume's border.

    0 where no voxel of the window has data.

    Column histograms slide along y and one window of them along x (Perreault & Hébert 2007, "Median filtering in
    constant time"), so that the cost grows with the window's depth in z alone.

    Parameters
    ----------
    data : (z, y, x), all finite.
    low, high : the values that become x = 0 and 1; what lies outside counts as the nearer of them. Where both are one
        the entropy is 0 everywhere.
    mask : where there is data; the rest is left out of every window. None for everywhere.
    radius : of the window, voxels.
    bins : B, 2 or more.
    """
    if not high > low:
        return np.zeros(data.shape, np.float32)
    places, out = np.empty(data.shape, np.int32), np.empty(data.shape, np.float32)
    _place(np.ascontiguousarray(data), low, (bins - 1) * PARTS / (high - low), (bins - 1) * PARTS, places)
    if mask is not None:
        places[~mask] = -1
    counts = np.arange(1, (2 * radius + 1) ** 3 * PARTS + 1, dtype=np.float64)
    table = np.concatenate([[0.0], counts * np.log2(counts)])
    _slide(places, bins, radius, table, _blurs(), out)
    return out


def _blurs() -> AnyArray:
    """h(p(x)) of a voxel that is so many parts above a bin, in whole units of 2⁻¹⁶ bit."""
    part = np.arange(1, PARTS) / PARTS
    bits = -part * np.log2(part) - (1 - part) * np.log2(1 - part)
    return np.concatenate([[0], np.rint(bits * UNIT)]).astype(np.int32)


@kernel
def _place(data: AnyArray, low: float, factor: float, most: int, places: AnyArray) -> None:
    for z in range(data.shape[0]):
        for y in range(data.shape[1]):
            row, out = data[z, y], places[z, y]
            for x in range(row.size):
                out[x] = int(min(max((row[x] - low) * factor + 0.5, 0.0), float(most)))


@kernel
def _slide(places: AnyArray, bins: int, radius: int, table: AnyArray, blurs: AnyArray, out: AnyArray) -> None:
    """h(p̄) = log₂ n − Σ c log₂ c / n, with n the sum of the counts c; ``table`` holds c log₂ c."""
    nz, ny, nx = places.shape
    # The counts of the bins and of one more, that none is shared beyond; then the sum of the voxels' own blur.
    columns = np.empty((nx, bins + 2), np.int32)
    window = np.empty(bins + 2, np.int32)
    for z in range(nz):
        slab = places[max(z - radius, 0) : z + radius + 1]
        columns[:] = 0
        for y in range(min(radius, ny)):
            _count_row(slab, y, 1, blurs, columns)
        for y in range(ny):
            if y + radius < ny:
                _count_row(slab, y + radius, 1, blurs, columns)
            if y - radius > 0:
                _count_row(slab, y - radius - 1, -1, blurs, columns)
            window[:] = 0
            for x in range(min(radius, nx)):
                window += columns[x]
            row = out[z, y]
            for x in range(nx):
                if x + radius < nx:
                    window += columns[x + radius]
                if x - radius > 0:
                    window -= columns[x - radius - 1]
                n, total = 0, 0.0
                for k in range(bins + 1):
                    n += window[k]
                    total += table[window[k]]
                own = window[bins + 1] / (n / PARTS * UNIT) if n > 0 else 0.0
                row[x] = max(np.log2(n) - total / n - own, 0.0) if n > 0 else 0.0


@kernel
def _count_row(slab: AnyArray, y: int, sign: int, blurs: AnyArray, columns: AnyArray) -> None:
    """Add one row of every plane to the column histograms, or take it out of them."""
    for z in range(slab.shape[0]):
        row = slab[z, y]
        for x in range(row.size):
            if row[x] >= 0:
                k, part = row[x] // PARTS, row[x] % PARTS
                columns[x, k] += sign * (PARTS - part)
                columns[x, k + 1] += sign * part
                columns[x, columns.shape[1] - 1] += sign * blurs[part]
