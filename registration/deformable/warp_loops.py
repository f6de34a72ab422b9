"""The compiled loops behind :mod:`registration.deformable.warp`: trilinear sampling through
a field, and its two derivatives.

Volumes are (C, Z, Y, X), fields (3, Z, Y, X) in voxels, all C-contiguous and of one floating kind.
"""

from __future__ import annotations

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray


@inlined
def _neighbours(c: float, n: int) -> tuple[int, int, float]:
    """Both neighbours along an axis and the share of the upper; past the border (and for NaN) twice the outermost."""
    if not c >= 0.0:
        return 0, 0, 0.0
    if c >= n - 1.0:
        return n - 1, n - 1, 0.0
    i = int(c)
    return i, i + 1, c - i


@kernel
def sample(volume: AnyArray, field: AnyArray, out: AnyArray) -> None:
    """``out(x) = volume(x + u(x))``."""
    channels, nz, ny, nx = volume.shape
    for i in range(nz):
        for j in range(ny):
            for k in range(nx):
                z0, z1, fz = _neighbours(i + field[0, i, j, k], nz)
                y0, y1, fy = _neighbours(j + field[1, i, j, k], ny)
                x0, x1, fx = _neighbours(k + field[2, i, j, k], nx)
                for c in range(channels):
                    v = volume[c]
                    a = v[z0, y0, x0] + (v[z0, y0, x1] - v[z0, y0, x0]) * fx
                    b = v[z0, y1, x0] + (v[z0, y1, x1] - v[z0, y1, x0]) * fx
                    d = v[z1, y0, x0] + (v[z1, y0, x1] - v[z1, y0, x0]) * fx
                    e = v[z1, y1, x0] + (v[z1, y1, x1] - v[z1, y1, x0]) * fx
                    low, high = a + (b - a) * fy, d + (e - d) * fy
                    out[c, i, j, k] = low + (high - low) * fz


@kernel
def slope(volume: AnyArray, field: AnyArray, above: AnyArray, out: AnyArray) -> None:
    """``out_a(x) = Σ_c above_c(x) · ∂ volume_c(x + u) / ∂u_a``."""
    channels, nz, ny, nx = volume.shape
    for i in range(nz):
        for j in range(ny):
            for k in range(nx):
                z0, z1, fz = _neighbours(i + field[0, i, j, k], nz)
                y0, y1, fy = _neighbours(j + field[1, i, j, k], ny)
                x0, x1, fx = _neighbours(k + field[2, i, j, k], nx)
                by_z, by_y, by_x = 0.0, 0.0, 0.0
                for c in range(channels):
                    v, g = volume[c], above[c, i, j, k]
                    da, db = v[z0, y0, x1] - v[z0, y0, x0], v[z0, y1, x1] - v[z0, y1, x0]
                    dd, de = v[z1, y0, x1] - v[z1, y0, x0], v[z1, y1, x1] - v[z1, y1, x0]
                    a, b = v[z0, y0, x0] + da * fx, v[z0, y1, x0] + db * fx
                    d, e = v[z1, y0, x0] + dd * fx, v[z1, y1, x0] + de * fx
                    by_z += g * (d + (e - d) * fy - a - (b - a) * fy)
                    by_y += g * ((b - a) * (1.0 - fz) + (e - d) * fz)
                    by_x += g * ((da + (db - da) * fy) * (1.0 - fz) + (dd + (de - dd) * fy) * fz)
                out[0, i, j, k] = by_z
                out[1, i, j, k] = by_y
                out[2, i, j, k] = by_x


@kernel
def scatter(above: AnyArray, field: AnyArray, out: AnyArray) -> None:
    """Adds to ``out`` at the eight voxels around x + u(x) what each contributed to ``above(x)``."""
    channels, nz, ny, nx = above.shape
    for i in range(nz):
        for j in range(ny):
            for k in range(nx):
                z0, z1, fz = _neighbours(i + field[0, i, j, k], nz)
                y0, y1, fy = _neighbours(j + field[1, i, j, k], ny)
                x0, x1, fx = _neighbours(k + field[2, i, j, k], nx)
                for c in range(channels):
                    v, g = out[c], above[c, i, j, k]
                    gz, hz = g * (1.0 - fz), g * fz
                    a, b, d, e = gz * (1.0 - fy), gz * fy, hz * (1.0 - fy), hz * fy
                    v[z0, y0, x0] += a * (1.0 - fx)
                    v[z0, y0, x1] += a * fx
                    v[z0, y1, x0] += b * (1.0 - fx)
                    v[z0, y1, x1] += b * fx
                    v[z1, y0, x0] += d * (1.0 - fx)
                    v[z1, y0, x1] += d * fx
                    v[z1, y1, x0] += e * (1.0 - fx)
                    v[z1, y1, x1] += e * fx
