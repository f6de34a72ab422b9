"""The joint histogram of two volumes under a transform, and its derivative: the loops that take registration's time.

Intensities are bin coordinates (see :mod:`registration.prepared`). A sample takes the fixed volume's nearest bin and is
spread over four bins of the moving one by the cubic B-spline β³ (Mattes et al. 2003, "PET-CT image registration in the
chest using free-form deformations", IEEE TMI 22:120), which makes the histogram differentiable. Its mass is 1 inside
the moving field, falls to 0 over the outer half voxel, and follows the moving mask, so that nothing jumps where a
sample leaves the field.
"""

from __future__ import annotations

import numpy as np

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

COLUMNS = 8
"""What is kept of a sample: bin coordinate, its slope along (z, y, x), mass, its slope along (z, y, x)."""


@inlined
def _ramp(c: float, n: int) -> tuple[float, float]:
    """Mass and slope along an axis of n voxels: 1 between the outer centres, 0 half a voxel further out."""
    if c < 0.0:
        return (1.0 + 2.0 * c, 2.0) if c > -0.5 else (0.0, 0.0)
    if c > n - 1.0:
        over = c - (n - 1.0)
        return (1.0 - 2.0 * over, -2.0) if over < 0.5 else (0.0, 0.0)
    return 1.0, 0.0


@inlined
def _corner(c: float, n: int) -> tuple[int, int, float, float]:
    """Lower and upper neighbour, the fraction between them, and 0 where the index is clamped, else 1."""
    if c <= 0.0 or n == 1:
        return 0, min(1, n - 1), 0.0, (0.0 if c < 0.0 or n == 1 else 1.0)
    if c >= n - 1.0:
        return n - 2, n - 1, 1.0, (0.0 if c > n - 1.0 else 1.0)
    i = int(c)
    return i, i + 1, c - i, 1.0


@kernel
def interpolate(volume: AnyArray, z: float, y: float, x: float) -> tuple[float, float, float, float]:
    """Trilinear value at a fractional index, clamped to the outer centres, and its slope along (z, y, x)."""
    i, i1, fz, mz = _corner(z, volume.shape[0])
    j, j1, fy, my = _corner(y, volume.shape[1])
    k, k1, fx, mx = _corner(x, volume.shape[2])
    a, b = volume[i, j, k], volume[i, j, k1]
    c, d = volume[i, j1, k], volume[i, j1, k1]
    e, f = volume[i1, j, k], volume[i1, j, k1]
    g, h = volume[i1, j1, k], volume[i1, j1, k1]
    ab, cd, ef, gh = a + (b - a) * fx, c + (d - c) * fx, e + (f - e) * fx, g + (h - g) * fx
    low, high = ab + (cd - ab) * fy, ef + (gh - ef) * fy
    dy = (cd - ab) * (1 - fz) + (gh - ef) * fz
    dx = ((b - a) * (1 - fy) + (d - c) * fy) * (1 - fz) + ((f - e) * (1 - fy) + (h - g) * fy) * fz
    return low + (high - low) * fz, (high - low) * mz, dy * my, dx * mx


@kernel
def interpolate_many(volume: AnyArray, index: AnyArray, out: AnyArray) -> None:
    """Trilinear values at fractional indices (n, 3)."""
    for s in range(index.shape[0]):
        out[s] = interpolate(volume, index[s, 0], index[s, 1], index[s, 2])[0]


@inlined
def _spline(f: float) -> tuple[float, float, float, float]:
    """β³ at the four bins around a fraction f: weights of the bins −1, 0, 1, 2."""
    r = 1.0 - f
    ff, rr = f * f, r * r
    return rr * r / 6, 2 / 3 - ff + ff * f / 2, 2 / 3 - rr + rr * r / 2, ff * f / 6


@inlined
def _spline_slope(f: float) -> tuple[float, float, float, float]:
    r = 1.0 - f
    return -r * r / 2, 1.5 * f * f - 2 * f, 2 * r - 1.5 * r * r, f * f / 2


@kernel
def accumulate(
    moving: AnyArray,
    inside: AnyArray,
    masked: bool,
    points: AnyArray,
    fixed_bin: AnyArray,
    matrix: AnyArray,
    histogram: AnyArray,
    kept: AnyArray,
) -> float:
    """Add every sample to the histogram and keep what its derivative needs; the sum of the masses is returned.

    Parameters
    ----------
    moving : bin coordinates of the moving volume (z, y, x).
    inside : its mask as float (z, y, x), read only where ``masked``.
    points : fixed samples (n, 3), µm.
    fixed_bin : their bins (n,).
    matrix : world µm → moving index, (3, 4).
    histogram : (fixed bins, moving bins), added to.
    kept : (n, COLUMNS), overwritten.
    """
    nz, ny, nx = moving.shape
    total = 0.0
    for s in range(points.shape[0]):
        pz, py, px = points[s, 0], points[s, 1], points[s, 2]
        z = matrix[0, 0] * pz + matrix[0, 1] * py + matrix[0, 2] * px + matrix[0, 3]
        y = matrix[1, 0] * pz + matrix[1, 1] * py + matrix[1, 2] * px + matrix[1, 3]
        x = matrix[2, 0] * pz + matrix[2, 1] * py + matrix[2, 2] * px + matrix[2, 3]
        kept[s, 4] = 0.0
        if not (-0.5 < z < nz - 0.5 and -0.5 < y < ny - 0.5 and -0.5 < x < nx - 0.5):
            continue
        (wz, sz), (wy, sy), (wx, sx) = _ramp(z, nz), _ramp(y, ny), _ramp(x, nx)
        mass, mz, my, mx = wz * wy * wx, sz * wy * wx, wz * sy * wx, wz * wy * sx
        if masked:
            m, gz, gy, gx = interpolate(inside, z, y, x)
            mass, mz, my, mx = mass * m, mz * m + mass * gz, my * m + mass * gy, mx * m + mass * gx
        if mass <= 0.0:
            continue
        value, vz, vy, vx = interpolate(moving, z, y, x)
        kept[s, 0], kept[s, 1], kept[s, 2], kept[s, 3] = value, vz, vy, vx
        kept[s, 4], kept[s, 5], kept[s, 6], kept[s, 7] = mass, mz, my, mx
        k = int(value)
        a, b, c, d = _spline(value - k)
        row = histogram[fixed_bin[s]]
        row[k - 1] += mass * a
        row[k] += mass * b
        row[k + 1] += mass * c
        row[k + 2] += mass * d
        total += mass
    return total


@kernel
def descend(points: AnyArray, fixed_bin: AnyArray, kept: AnyArray, table: AnyArray, out: AnyArray) -> None:
    """The derivative of a function of the histogram with respect to ``matrix``.

    Parameters
    ----------
    points, fixed_bin : as in :func:`accumulate`.
    kept : what :func:`accumulate` kept.
    table : ∂f/∂h (fixed bins, moving bins).
    out : ∂f/∂matrix (3, 4), overwritten.
    """
    out[:] = 0.0
    for s in range(points.shape[0]):
        mass = kept[s, 4]
        if mass <= 0.0:
            continue
        value = kept[s, 0]
        k = int(value)
        row = table[fixed_bin[s]]
        t0, t1, t2, t3 = row[k - 1], row[k], row[k + 1], row[k + 2]
        a, b, c, d = _spline_slope(value - k)
        along = mass * (a * t0 + b * t1 + c * t2 + d * t3)
        vz, vy, vx = along * kept[s, 1], along * kept[s, 2], along * kept[s, 3]
        if kept[s, 5] != 0.0 or kept[s, 6] != 0.0 or kept[s, 7] != 0.0:
            a, b, c, d = _spline(value - k)
            level = a * t0 + b * t1 + c * t2 + d * t3
            vz, vy, vx = vz + level * kept[s, 5], vy + level * kept[s, 6], vx + level * kept[s, 7]
        for i, v in enumerate((vz, vy, vx)):
            out[i, 0] += v * points[s, 0]
            out[i, 1] += v * points[s, 1]
            out[i, 2] += v * points[s, 2]
            out[i, 3] += v


@kernel
def normalised_information(histogram: AnyArray, total: float, table: AnyArray) -> float:
    """NMI = (H_f + H_m) / H_fm of a joint histogram, and ∂NMI/∂h into ``table``.

    Studholme, Hill & Hawkes 1999, "An overlap invariant entropy measure of 3D medical image alignment", Pattern
    Recognition 32:71. With p = h/N: ∂NMI/∂p = (NMI · ln p − ln p_f − ln p_m) / H_fm, up to a constant that the
    derivative of N takes out again.
    """
    rows, columns = histogram.shape
    p_f, p_m = np.zeros(rows), np.zeros(columns)
    for i in range(rows):
        for j in range(columns):
            p_f[i] += histogram[i, j] / total
            p_m[j] += histogram[i, j] / total
    h_f, h_m, h_fm = 0.0, 0.0, 0.0
    for i in range(rows):
        p_f[i], h_f = (np.log(p_f[i]), h_f - p_f[i] * np.log(p_f[i])) if p_f[i] > 0 else (0.0, h_f)
    for j in range(columns):
        p_m[j], h_m = (np.log(p_m[j]), h_m - p_m[j] * np.log(p_m[j])) if p_m[j] > 0 else (0.0, h_m)
    for i in range(rows):
        for j in range(columns):
            p = histogram[i, j] / total
            table[i, j] = np.log(p) if p > 0 else 0.0
            h_fm -= p * table[i, j]
    if h_fm < 1e-12:
        table[:] = 0.0
        return 1.0
    nmi = (h_f + h_m) / h_fm
    mean = 0.0
    for i in range(rows):
        for j in range(columns):
            slope = (nmi * table[i, j] - p_f[i] - p_m[j]) / h_fm if histogram[i, j] > 0 else 0.0
            table[i, j] = slope
            mean += slope * histogram[i, j] / total
    for i in range(rows):
        for j in range(columns):
            table[i, j] = (table[i, j] - mean) / total
    return nmi


@kernel
def rank_many(
    moving: AnyArray,
    points: AnyArray,
    fixed_bin: AnyArray,
    matrices: AnyArray,
    bins: int,
    scores: AnyArray,
    overlaps: AnyArray,
) -> None:
    """NMI and overlap of many transforms, roughly and fast: the nearest voxel's whole bin, no derivative.

    Parameters
    ----------
    moving : whole bins of the moving volume (z, y, x), below 0 outside its mask.
    points : fixed samples (n, 3), µm.
    fixed_bin : their whole bins (n,).
    matrices : world µm → moving index, (m, 3, 4).
    bins : on either side.
    scores, overlaps : (m,), overwritten.
    """
    nz, ny, nx = moving.shape
    table = np.empty((bins, bins))
    for t in range(matrices.shape[0]):
        a = matrices[t]
        histogram = np.zeros((bins, bins))
        total = 0.0
        for s in range(points.shape[0]):
            pz, py, px = points[s, 0], points[s, 1], points[s, 2]
            z = a[0, 0] * pz + a[0, 1] * py + a[0, 2] * px + a[0, 3] + 0.5
            y = a[1, 0] * pz + a[1, 1] * py + a[1, 2] * px + a[1, 3] + 0.5
            x = a[2, 0] * pz + a[2, 1] * py + a[2, 2] * px + a[2, 3] + 0.5
            if z < 0.0 or y < 0.0 or x < 0.0 or z >= nz or y >= ny or x >= nx:
                continue
            level = moving[int(z), int(y), int(x)]
            if level >= 0:
                histogram[fixed_bin[s], level] += 1.0
                total += 1.0
        overlaps[t] = total / points.shape[0]
        scores[t] = normalised_information(histogram, total, table) if total > 0 else 0.0
