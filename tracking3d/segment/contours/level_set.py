"""A surface as the zero of a function φ, positive inside: moved by a speed, its curvature and a current.

φ_t = F |∇φ| + w κ |∇φ| − V · ∇φ, with κ = ∇ · (∇φ / |∇φ|), all in µm (Osher and Sethian 1988, "Fronts propagating with
curvature-dependent speed"). φ is kept a signed distance by φ_τ = sign(φ₀) (1 − |∇φ|) (Sussman et al. 1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Mask, Triple

REDISTANCED = 2
"""Rounds that bring φ back to a distance, after each step."""


@dataclass(frozen=True, eq=False)
class Forces:
    """What moves the surface.

    Parameters
    ----------
    speed : (Z, Y, X) F, outward.
    bending : (Z, Y, X) w, µm: how strongly the surface shortens itself.
    current : (3, Z, Y, X) V, that carries it.
    """

    speed: NDArray[np.float32]
    bending: NDArray[np.float32]
    current: NDArray[np.float32]


def signed_distance_um(mask: Mask, spacing_um: Triple) -> NDArray[np.float32]:
    """(Z, Y, X) distance to the mask's outline, µm, positive inside."""
    import edt

    def to_other(inside: Mask) -> NDArray[np.float32]:
        # The outline lies half a voxel before the next voxel's centre.
        far = edt.edt(inside, anisotropy=spacing_um, black_border=False, parallel=1)
        out: NDArray[np.float32] = np.maximum(np.where(np.isfinite(far), far, 1e3 * max(spacing_um)), 0)
        return out

    half = np.float32(min(spacing_um) / 2)
    return np.where(mask, to_other(mask) - half, half - to_other(~mask)).astype(np.float32)


def step_um(forces: Forces, spacing_um: Triple) -> float:
    """The longest stable step in time: half a voxel by speed and current, and the limit of explicit diffusion."""
    side = min(spacing_um)
    fastest = float(np.abs(forces.speed).max() + np.sqrt((forces.current**2).sum(axis=0)).max())
    bending = float(forces.bending.max())
    return min(0.4 * side / max(fastest, 1e-9), side**2 / (6 * max(bending, 1e-9)))


def moved(phi: NDArray[np.float32], forces: Forces, spacing_um: Triple, step: float, steps: int) -> NDArray[np.float32]:
    """φ after so many steps in time; only near its zero."""
    band = max(3 * min(spacing_um), 1.5 * max(spacing_um))
    inverse = 1 / np.asarray(spacing_um)
    phi = np.ascontiguousarray(phi, np.float32)
    for _ in range(steps):
        phi = _move(phi, forces.speed, forces.bending, forces.current, inverse, step, band)
        for _ in range(REDISTANCED):
            phi = _redistance(phi, inverse, 0.4 * min(spacing_um), 2 * band)
    return phi


@inlined
def _at(i: int, n: int) -> int:
    return min(max(i, 0), n - 1)


@kernel
def _move(
    phi: AnyArray, speed: AnyArray, bending: AnyArray, current: AnyArray, inverse: AnyArray, step: float, band: float
) -> AnyArray:
    nz, ny, nx = phi.shape
    out = phi.copy()
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                here = phi[z, y, x]
                if abs(here) > band:
                    continue
                z0, z1, y0, y1, x0, x1 = (
                    _at(z - 1, nz),
                    _at(z + 1, nz),
                    _at(y - 1, ny),
                    _at(y + 1, ny),
                    _at(x - 1, nx),
                    _at(x + 1, nx),
                )
                az, bz = (here - phi[z0, y, x]) * inverse[0], (phi[z1, y, x] - here) * inverse[0]
                ay, by = (here - phi[z, y0, x]) * inverse[1], (phi[z, y1, x] - here) * inverse[1]
                ax, bx = (here - phi[z, y, x0]) * inverse[2], (phi[z, y, x1] - here) * inverse[2]
                gz, gy, gx = (az + bz) / 2, (ay + by) / 2, (ax + bx) / 2
                square = gz * gz + gy * gy + gx * gx + 1e-12
                zz, yy, xx = (bz - az) * inverse[0], (by - ay) * inverse[1], (bx - ax) * inverse[2]
                zy = (phi[z1, y1, x] - phi[z1, y0, x] - phi[z0, y1, x] + phi[z0, y0, x]) * inverse[0] * inverse[1] / 4
                zx = (phi[z1, y, x1] - phi[z1, y, x0] - phi[z0, y, x1] + phi[z0, y, x0]) * inverse[0] * inverse[2] / 4
                yx = (phi[z, y1, x1] - phi[z, y1, x0] - phi[z, y0, x1] + phi[z, y0, x0]) * inverse[1] * inverse[2] / 4
                along = gz * gz * zz + gy * gy * yy + gx * gx * xx + 2 * (gz * gy * zy + gz * gx * zx + gy * gx * yx)
                curve = (zz + yy + xx) - along / square
                change = speed[z, y, x] * np.sqrt(square) + bending[z, y, x] * curve
                vz, vy, vx = current[0, z, y, x], current[1, z, y, x], current[2, z, y, x]
                # Upwind: what comes, not what goes.
                change -= vz * (az if vz > 0 else bz) + vy * (ay if vy > 0 else by) + vx * (ax if vx > 0 else bx)
                out[z, y, x] = here + step * change
    return out


@kernel
def _redistance(phi: AnyArray, inverse: AnyArray, step: float, band: float) -> AnyArray:
    """One round towards |∇φ| = 1, the zero left where it is; Godunov's choice of differences.

    Beside the zero, upwind differences would reach across it and drag it: there φ is only scaled (Russo and Smereka
    2000, "A remark on computing distance functions").
    """
    nz, ny, nx = phi.shape
    out = phi.copy()
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                here = phi[z, y, x]
                if abs(here) > band:
                    continue
                sign = here / np.sqrt(here * here + (step / 0.4) ** 2)
                square, central, crossed = 0.0, 0.0, False
                for axis in range(3):
                    if axis == 0:
                        before, after = phi[_at(z - 1, nz), y, x], phi[_at(z + 1, nz), y, x]
                    elif axis == 1:
                        before, after = phi[z, _at(y - 1, ny), x], phi[z, _at(y + 1, ny), x]
                    else:
                        before, after = phi[z, y, _at(x - 1, nx)], phi[z, y, _at(x + 1, nx)]
                    a, b = (here - before) * inverse[axis], (after - here) * inverse[axis]
                    central += (a + b) ** 2 / 4
                    crossed = crossed or before * here < 0 or after * here < 0
                    if sign < 0:
                        a, b = -a, -b
                    a, b = max(a, 0.0), min(b, 0.0)
                    square += max(a * a, b * b)
                if crossed:
                    out[z, y, x] = here - 0.4 * (here - here / max(np.sqrt(central), 0.2))
                else:
                    out[z, y, x] = here - step * sign * (np.sqrt(square) - 1)
    return out
