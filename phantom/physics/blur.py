"""Light spread by Gaussians: alike everywhere, or wider with depth, or summed along it.

On voxels the Gaussian is the discrete one, ``e^(−t) I_n(t)`` (Lindeberg 1990, "Scale-space for discrete signals", IEEE
TPAMI 12): never negative, of the exact variance ``t = σ²`` and of sum 1 for every σ, however small beside a voxel.
Across the optical axis it is applied to the type-2 cosine series, whose borders mirror half a voxel outside the
outermost centres: no light is lost there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import ive

from volumes.errors import ConfigError, GridError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels

REACH = 4.0
"""Along z the kernel ends this many σ away, where a Gaussian is down to 3e-4 of its peak; its sum is 1 all the same."""


def blurred(light: Voxels, sigma_um: Sequence[float], spacing_um: Sequence[float]) -> Voxels:
    """The light after optics that are alike everywhere: ``light ∗ Gaussian``, float32.

    Borders mirror half a voxel outside the outermost centres, so that no light is lost: the sum stays.

    Parameters
    ----------
    light : (z, y, x).
    sigma_um : σ along (z, y, x) in µm; 0 leaves an axis as it is.
    spacing_um : voxel size (z, y, x) in µm.

    Raises
    ------
    ConfigError : a σ below 0 or not finite.
    """
    sigma = np.asarray(sigma_um, dtype=np.float64)
    if sigma.shape != (3,):
        raise ConfigError("needs three values (z, y, x)", field="sigma_um", value=sigma.tolist())
    _check_sigma(sigma)
    out = light.astype(np.float32)
    axes = [axis for axis in range(3) if sigma[axis] > 0 and light.shape[axis] > 1]
    if not axes:
        return out
    spectrum = fft.dctn(out, axes=axes)
    for axis in axes:
        transfer = gaussian_transfer(light.shape[axis], sigma[axis] / spacing_um[axis])
        spectrum *= transfer.reshape([-1 if a == axis else 1 for a in range(3)])
    return _as_light(fft.idctn(spectrum, axes=axes), light)


def gaussian_transfer(count: int, sigma: float) -> NDArray[np.float32]:
    """What the discrete Gaussian does to each term of a type-2 cosine series: ``exp(σ² (cos(π k / n) − 1))``, (n,).

    Parameters
    ----------
    count : voxels n along the axis.
    sigma : in voxels.
    """
    transfer: NDArray[np.float32] = np.exp(sigma**2 * (np.cos(np.pi * np.arange(count) / count) - 1)).astype(np.float32)
    return transfer


def plane_blurred(
    lights: Sequence[Voxels], sigmas_um: Sequence[NDArray[np.float64]], spacing_um: Sequence[float]
) -> Voxels:
    """The sum of some lights, every plane of each blurred by a σ of its own across the optical axis, float32.

    Lateral borders mirror; the light of each plane stays in it to the last photon. A plane's result does not depend on
    the planes around it.

    Parameters
    ----------
    lights : each (z, y, x), float32.
    sigmas_um : for each light σ of every plane, (z,) µm, the same along y and x.
    spacing_um : voxel size (z, y, x) in µm.

    Raises
    ------
    ConfigError : a σ below 0 or not finite.
    GridError : a σ for another number of planes.
    """
    _check_planes(lights, sigmas_um)
    out = np.empty_like(lights[0], np.float32)
    for plane in range(len(out)):
        out[plane] = fft.idctn(_plane_spectrum(lights, sigmas_um, plane, spacing_um))
    return _as_light(out, *lights)


def projected(
    lights: Sequence[Voxels], sigmas_um: Sequence[NDArray[np.float64]], spacing_um: Sequence[float]
) -> Voxels:
    """The sum over all planes of what :func:`plane_blurred` gives, (1, y, x) float32: a picture without sectioning."""
    _check_planes(lights, sigmas_um)
    total = np.zeros(lights[0].shape[1:], np.float32)
    for plane in range(len(lights[0])):
        total += _plane_spectrum(lights, sigmas_um, plane, spacing_um)
    return _as_light(fft.idctn(total)[None], *lights)


def depth_blurred(
    lights: Sequence[Voxels],
    sigmas_um: Sequence[NDArray[np.float64]],
    axial_um: NDArray[np.float64],
    spacing_um: Sequence[float],
    core: slice = slice(None),
) -> Voxels:
    """The light after optics that change with depth: each *source* plane spreads by the σ of its own depth, float32.

    ``out[z] = Σ_z' k(z − z'; σ_z(z')) · Σ_i (light_i[z'] ∗ Gaussian(σ_i(z')))``. Scattered that way light is conserved:
    what leaves a plane arrives somewhere, in a plane of ``core`` or beyond it. What lies outside the first and the last
    plane is dark, so that ``light`` wants a halo; lateral borders mirror.

    Parameters
    ----------
    lights, sigmas_um, spacing_um : as in :func:`plane_blurred`.
    axial_um : σ along z of the light from every plane, (z,) µm.
    core : the planes asked for.

    Raises
    ------
    ConfigError, GridError : as in :func:`plane_blurred`.
    """
    spread = plane_blurred(lights, sigmas_um, spacing_um)
    if np.shape(axial_um) != (len(spread),):
        raise GridError(f"needs one value for each of {len(spread)} planes", field="axial_um", value=axial_um)
    weights = axial_weights(np.asarray(axial_um) / spacing_um[0])
    start, stop, _step = core.indices(len(spread))
    out = np.zeros((stop - start, *spread.shape[1:]), np.float32)
    _scatter(spread, weights, start, out)
    return out


def axial_weights(sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """Discrete Gaussians, one a row, each of sum 1 and cut at :data:`REACH` σ of its own: (z, 2 R + 1).

    Parameters
    ----------
    sigma : in planes, (z,).
    """
    _check_sigma(sigma)
    reach = _reach(sigma)
    away = np.arange(-reach.max(initial=0), reach.max(initial=0) + 1)
    weights = np.where(np.abs(away) <= reach[:, None], ive(np.abs(away), sigma[:, None] ** 2), 0)
    unit: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return unit


def axial_reach_um(sigma_um: float, spacing_um: float) -> float:
    """How far :func:`depth_blurred` carries light along z, µm: whole planes."""
    return float(_reach(np.array([sigma_um / spacing_um]))[0]) * spacing_um


def _reach(sigma: NDArray[np.float64]) -> NDArray[np.int64]:
    """Planes on each side that a kernel has; the half more is for the tails of kernels narrower than a plane."""
    return np.where(sigma > 0, np.ceil(REACH * sigma + 0.5), 0).astype(np.int64)


def _plane_spectrum(
    lights: Sequence[Voxels], sigmas_um: Sequence[NDArray[np.float64]], plane: int, spacing_um: Sequence[float]
) -> NDArray[np.float32]:
    """Cosine series of one plane of all lights, blurred; plane by plane, since batches would round otherwise."""
    total = np.zeros(lights[0].shape[1:], np.float32)
    for light, sigma in zip(lights, sigmas_um, strict=True):
        spectrum = fft.dctn(light[plane].astype(np.float32, copy=False))
        for axis, step in ((0, spacing_um[1]), (1, spacing_um[2])):
            transfer = gaussian_transfer(spectrum.shape[axis], float(sigma[plane]) / step)
            spectrum *= transfer[:, None] if axis == 0 else transfer
        total += spectrum
    return total


def _check_planes(lights: Sequence[Voxels], sigmas_um: Sequence[NDArray[np.float64]]) -> None:
    for light, sigma in zip(lights, sigmas_um, strict=True):
        if np.shape(sigma) != (len(light),):
            raise GridError(f"needs one value for each of {len(light)} planes", field="sigmas_um", value=sigma)
        _check_sigma(np.asarray(sigma))


def _as_light(seen: Voxels, *lights: Voxels) -> Voxels:
    """Rounding may leave a photon less than none in the dark: 0 there, unless the light itself was below 0."""
    if all(light.min(initial=0) >= 0 for light in lights):
        np.maximum(seen, 0, out=seen)
    return seen


@kernel
def _scatter(light: AnyArray, weights: AnyArray, first: int, out: AnyArray) -> None:
    """Row by row; sources in the order of their planes, so that a sum has the same bits in every slab."""
    reach = weights.shape[1] // 2
    for z in range(out.shape[0]):
        here = z + first
        for source in range(max(0, here - reach), min(light.shape[0], here + reach + 1)):
            weight = weights[source, reach + here - source]
            if weight > 0:
                for y in range(out.shape[1]):
                    for x in range(out.shape[2]):
                        out[z, y, x] += weight * light[source, y, x]


def _check_sigma(sigma: AnyArray) -> None:
    if not np.isfinite(sigma).all() or (sigma < 0).any():
        raise ConfigError("must be finite and not below 0", field="sigma_um", value=sigma.tolist())
