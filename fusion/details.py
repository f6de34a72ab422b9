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
    width = 2 * radius + 1
    rings = np.zeros((sources, width, nx), bands.dtype)
    columns = np.zeros(nx + 2 * radius, bands.dtype)
    energies = np.empty((sources, nx), bands.dtype)
    for z in range(nz):
        rings[:] = 0
        for m in range(sources):
            for y in range(min(radius, ny)):
                _square_rows(bands[m], z, y, radius, rings[m, y])
        for y in range(ny):
            for m in range(sources):
                _square_rows(bands[m], z, y + radius, radius, rings[m, (y + radius) % width])
                _row_energy(rings[m], columns, energies[m])
                if masked:
                    shut, energy = barred[m, z, y], energies[m]
                    for x in range(nx):
                        energy[x] = -1 if shut[x] else energy[x]
            if sources == 2:
                _of_two(bands[0, z, y], bands[1, z, y], energies[0], energies[1], out[z, y])
            else:
                _of_many(bands[:, z, y], energies, out[z, y])


@kernel
def _square_rows(band: AnyArray, z: int, y: int, radius: int, squares: AnyArray) -> None:
    """Sums of squares along z of one row; 0 beyond the last."""
    squares[:] = 0
    if y < band.shape[1]:
        for i in range(max(z - radius, 0), min(z + radius + 1, band.shape[0])):
            row = band[i, y]
            for x in range(row.size):
                squares[x] += row[x] * row[x]


@kernel
def _row_energy(ring: AnyArray, columns: AnyArray, energy: AnyArray) -> None:
    """Of the rows around one: their sum along y, then along x; three at a time, which for 3³ voxels is all."""
    width, nx = ring.shape
    radius = width // 2
    middle, first = columns[radius : radius + nx], ring[0]
    for x in range(nx):
        middle[x] = first[x]
    for j in range(1, width, 2):
        second, third = ring[j], ring[j + 1]
        for x in range(nx):
            middle[x] += second[x] + third[x]
    for x in range(nx):
        energy[x] = columns[x]
    for d in range(1, width, 2):
        right, further = columns[d : d + nx], columns[d + 1 : d + 1 + nx]
        for x in range(nx):
            energy[x] += right[x] + further[x]


@kernel
def _of_two(first: AnyArray, second: AnyArray, energy: AnyArray, other: AnyArray, out: AnyArray) -> None:
    half = first.dtype.type(0.5)
    for x in range(out.size):
        mean = half * (first[x] + second[x])
        out[x] = first[x] if energy[x] > other[x] else (second[x] if other[x] > energy[x] else mean)


@kernel
def _of_many(rows: AnyArray, energies: AnyArray, out: AnyArray) -> None:
    """In float64, where a sum of float32 is exact: the order of the sources leaves no trace."""
    for x in range(out.size):
        best, total, number = energies[0, x], np.float64(rows[0, x]), 1.0
        for m in range(1, rows.shape[0]):
            if energies[m, x] > best:
                best, total, number = energies[m, x], np.float64(rows[m, x]), 1.0
            elif energies[m, x] == best:
                total += rows[m, x]
                number += 1.0
        out[x] = total / number
