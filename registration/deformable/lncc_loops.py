"""The compiled loops behind :mod:`registration.deformable.lncc`: sums over cubes that slide
through both volumes at once.

A plane of sums along z is kept and moved on by a voxel: the plane that enters is added, the one that leaves taken off.
The same is done along y with a row and along x with a number, so that the cost does not grow with the radius. All sums
are float64, and begin anew at every plane (y) and row (x).
"""

from __future__ import annotations

import numpy as np

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray

_SUMS = 6
_NONE = 1e-30


@inlined
def _add(columns: AnyArray, f: AnyArray, g: AnyArray, w: AnyArray, sign: float) -> None:
    """One plane's moments into the sums along z (6, Y, X): w, wf, wg, wff, wgg, wfg."""
    for j in range(f.shape[0]):
        for k in range(f.shape[1]):
            a, b, weight = np.float64(f[j, k]), np.float64(g[j, k]), sign * w[j, k]
            columns[0, j, k] += weight
            columns[1, j, k] += weight * a
            columns[2, j, k] += weight * b
            columns[3, j, k] += weight * a * a
            columns[4, j, k] += weight * b * b
            columns[5, j, k] += weight * a * b


@inlined
def _add_rows(row: AnyArray, columns: AnyArray, j: int, sign: float) -> None:
    for s in range(row.shape[0]):
        for k in range(row.shape[1]):
            row[s, k] += sign * columns[s, j, k]


@inlined
def _slide(row: AnyArray, radius: int, sums: AnyArray) -> None:
    """Sums along x (S, X) of the row."""
    n = row.shape[1]
    for s in range(row.shape[0]):
        total = 0.0
        for k in range(min(radius, n)):
            total += row[s, k]
        for k in range(n):
            if k + radius < n:
                total += row[s, k + radius]
            if k - radius > 0:
                total -= row[s, k - radius - 1]
            sums[s, k] = total


@inlined
def _judge(sums: AnyArray, k: int, noise: float) -> tuple[float, float, float, float, float, float]:
    """Number, both means, both variances (noise added) and the covariance of a window."""
    n = max(sums[0, k], _NONE)
    f, g = sums[1, k] / n, sums[2, k] / n
    var_f, var_g = max(sums[3, k] / n - f * f, 0.0) + noise, max(sums[4, k] / n - g * g, 0.0) + noise
    return n, f, g, var_f, var_g, sums[5, k] / n - f * g


@kernel
def correlate(f: AnyArray, g: AnyArray, w: AnyArray, radius: int, noise: float, parts: AnyArray) -> float:
    """``Σ w q`` over the windows, q the squared correlation; their shares in its gradients go into ``parts``.

    With c the covariance, V the variances, n the number and m the means of a window around a voxel of weight w, they
    are 2wc / (n V_f V_g), then −2wq / (n V) and what follows from the means, for g and for f.

    Parameters
    ----------
    f, g, w : both volumes and the weights (Z, Y, X).
    radius : of the window.
    noise : variance added to both variances.
    parts : (5, Z, Y, X), overwritten; (3, …) leaves out those of f, (0, …) all.
    """
    nz, ny, nx = f.shape
    columns, row, sums = np.zeros((_SUMS, ny, nx)), np.empty((_SUMS, nx)), np.empty((_SUMS, nx))
    value = 0.0
    for i in range(-radius, nz):
        if i + radius < nz:
            _add(columns, f[i + radius], g[i + radius], w[i + radius], 1.0)
        if i < 0:
            continue
        if i > radius:
            _add(columns, f[i - radius - 1], g[i - radius - 1], w[i - radius - 1], -1.0)
        row[:] = 0.0
        for j in range(-radius, ny):
            if j + radius < ny:
                _add_rows(row, columns, j + radius, 1.0)
            if j < 0:
                continue
            if j > radius:
                _add_rows(row, columns, j - radius - 1, -1.0)
            _slide(row, radius, sums)
            for k in range(nx):
                weight = np.float64(w[i, j, k])
                if weight <= 0.0:
                    parts[:, i, j, k] = 0.0
                    continue
                n, mean_f, mean_g, var_f, var_g, cov = _judge(sums, k, noise)
                q = cov * cov / (var_f * var_g)
                value += weight * q
                if len(parts) > 0:
                    joint, single = 2 * weight * cov / (n * var_f * var_g), -2 * weight * q / (n * var_g)
                    parts[0, i, j, k], parts[1, i, j, k] = joint, single
                    parts[2, i, j, k] = -(joint * mean_f + single * mean_g)
                    if len(parts) > 3:
                        single = -2 * weight * q / (n * var_f)
                        parts[3, i, j, k], parts[4, i, j, k] = single, -(joint * mean_g + single * mean_f)
    return value


@kernel
def gather(
    own: AnyArray,
    other: AnyArray,
    w: AnyArray,
    radius: int,
    parts: tuple[AnyArray, AnyArray, AnyArray],
    scale: float,
    out: AnyArray,
) -> None:
    """Gradient by ``own``: ``scale · w · (other Σ joint + own Σ single + Σ level)``, over the windows of a voxel.

    Parameters
    ----------
    own, other, w : (Z, Y, X).
    radius : of the window.
    parts : joint, single, level (Z, Y, X), of :func:`correlate`.
    scale : factor.
    out : (Z, Y, X), overwritten.
    """
    nz, ny, nx = own.shape
    columns, row, sums = np.zeros((3, ny, nx)), np.empty((3, nx)), np.empty((3, nx))
    for i in range(-radius, nz):
        for s in range(3):
            if i + radius < nz:
                columns[s] += parts[s][i + radius]
            if i > radius:
                columns[s] -= parts[s][i - radius - 1]
        if i < 0:
            continue
        row[:] = 0.0
        for j in range(-radius, ny):
            if j + radius < ny:
                _add_rows(row, columns, j + radius, 1.0)
            if j < 0:
                continue
            if j > radius:
                _add_rows(row, columns, j - radius - 1, -1.0)
            _slide(row, radius, sums)
            for k in range(nx):
                total = other[i, j, k] * sums[0, k] + own[i, j, k] * sums[1, k] + sums[2, k]
                out[i, j, k] = scale * w[i, j, k] * total
