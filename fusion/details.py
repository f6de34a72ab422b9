"""Which source gives a detail coefficient: the one with the larger energy around it."""

from __future__ import annotations

import numpy as np

from volumes.jit import kernel
from volumes.shapes import AnyArray, ChannelVoxels, Mask, Voxels


def chosen_details(bands: ChannelVoxels, barred: Mask | None, radius: int) -> Voxels:
    """For each voxel the coefficient of the source whose sum of squares over (2·radius + 1)³ voxels is largest.

    Where several are equal their mean is taken, so that the order of the sources plays no part.

    Parameters
    ----------
    bands : one detail band of each source (sources, z, y, x), float32.
    barred : coefficients that may not be chosen, same shape; None for none.
    radius : 0 compares single coefficients, 1 their 3³ neighbourhoods; the window ends at the volume's border.
    """
    out = np.empty(bands.shape[1:], bands.dtype)
    _choose(bands, np.zeros((1, 1, 1, 1), np.bool_) if barred is None else barred, barred is not None, radius, out)
    return out


@kernel
def _choose(bands: AnyArray, barred: AnyArray, masked: bool, radius: int, out: AnyArray) -> None:
    """Row by row, so that the energies stay in the processor's nearest memory; rows as views, so that loops unroll."""
    sources, nz, ny, nx = bands.shape
    columns = np.zeros(nx + 2 * radius, bands.dtype)
    energy, best = np.empty(nx, bands.dtype), np.empty(nx, bands.dtype)
    total, number = np.empty(nx, np.float64), np.empty(nx, np.float64)
    for z in range(nz):
        for y in range(ny):
            best[:] = -2
            for m in range(sources):
                _row_energy(bands[m], z, y, radius, columns, energy)
                if masked:
                    shut = barred[m, z, y]
                    for x in range(nx):
                        energy[x] = -1 if shut[x] else energy[x]
                row = bands[m, z, y]
                for x in range(nx):
                    value, larger, tied = row[x], energy[x] > best[x], energy[x] == best[x]
                    total[x] = value if larger else (total[x] + value if tied else total[x])
                    number[x] = 1.0 if larger else (number[x] + 1.0 if tied else number[x])
                    best[x] = energy[x] if larger else best[x]
            fused = out[z, y]
            for x in range(nx):
                fused[x] = total[x] / number[x]


@kernel
def _row_energy(band: AnyArray, z: int, y: int, radius: int, columns: AnyArray, energy: AnyArray) -> None:
    """Sums of squares around each voxel of one row: first over (z, y) into columns, then along x."""
    nz, ny, nx = band.shape
    columns[:] = 0
    middle = columns[radius : radius + nx]
    for i in range(max(z - radius, 0), min(z + radius + 1, nz)):
        for j in range(max(y - radius, 0), min(y + radius + 1, ny)):
            row = band[i, j]
            for x in range(nx):
                middle[x] += row[x] * row[x]
    energy[:] = columns[:nx]
    for d in range(1, 2 * radius + 1):
        shifted = columns[d : d + nx]
        for x in range(nx):
            energy[x] += shifted[x]
