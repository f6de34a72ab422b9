"""Light sent through a specimen: shadows of pigment, and the contrast of phase when the focus lies elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy import fft

from volumes.errors import ConfigError, GridError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels


def defocused(
    intensity: NDArray[np.float32],
    phase: NDArray[np.float32],
    defocus_um: float,
    wavelength_nm: float,
    spacing_um: Sequence[float],
) -> NDArray[np.float32]:
    """A picture (y, x) taken beyond the plane of the object: ``I − (Δz / k) ∇·(I ∇φ)``, float32.

    The transport-of-intensity equation (Teague 1983, "Deterministic phase retrieval: a Green's function solution",
    J. Opt. Soc. Am. 73), to first order in ``Δz``. The divergence is that of fluxes between voxels, none of which
    crosses the border, so that light is only moved about.

    Parameters
    ----------
    intensity : in the plane of the object.
    phase : of the light there, radians.
    defocus_um : Δz, along the light's way.
    wavelength_nm : in the medium; ``k = 2π / λ``.
    spacing_um : (y, x).

    Raises
    ------
    GridError : intensity and phase of different shapes.
    """
    if intensity.shape != phase.shape:
        raise GridError(f"needs shape {intensity.shape}", field="phase", value=phase.shape)
    out = intensity.astype(np.float64)
    reach = defocus_um * wavelength_nm * 1e-3 / (2 * math.pi)
    for axis, step in enumerate(spacing_um):
        between = (np.take(out, [0], axis) * 0, _flux(intensity, phase, axis, step), np.take(out, [0], axis) * 0)
        out -= reach * np.diff(np.concatenate(between, axis), axis=axis) / step
    return out.astype(np.float32)


def _flux(intensity: AnyArray, phase: AnyArray, axis: int, step: float) -> AnyArray:
    """``I ∂φ`` between neighbours along an axis."""
    slope: AnyArray = np.diff(phase.astype(np.float64), axis=axis) / step
    low, high = (np.take(intensity, np.arange(intensity.shape[axis] - 1) + i, axis) for i in (0, 1))
    flux: AnyArray = slope * (low + high) / 2
    return flux


def focal_stack(
    absorbed: Voxels,
    delayed_um: Voxels,
    column: Float32[np.ndarray, "y x"],
    sigma_um: float,
    cone: float,
    index: float,
    spacing_um: Sequence[float],
    halo: int,
) -> Voxels:
    """What is seen with the focus in each plane but ``halo`` at both ends, as a share of the lamp's light, float32.

    Every plane at a distance ``d`` from the focus adds its absorption, blurred by the cone of the lamp's rays, and the
    phase contrast that Teague's equation gives for a weak object:
    ``L(z) = Σ_d G(d) ∗ (−a(z + d) − (d / n) ∇² p(z + d))`` with ``G(d)`` of ``σ(d)² = σ² + (cone · d)²``. The picture
    is ``e^L`` where light is missing, as Beer and Lambert say, and ``1 + L`` where it gathers: both are the same to
    first order, which is all that the equation gives, and never negative. What lies beyond the halo only absorbs, with
    the blur at the halo's end. The light comes from behind the last plane; lateral borders mirror.

    Parameters
    ----------
    absorbed : optical depth ``a`` of each voxel, (z, y, x).
    delayed_um : ``p``, excess of the refractive index times the thickness of the plane.
    column : optical depth of all that the light crosses, the planes given included, (y, x).
    sigma_um : of the point spread function in focus.
    cone : blur a µm of distance: ``NA / (2 n)`` for a condenser of aperture NA, whose rays fill a disc.
    index : refractive index of the medium.
    spacing_um : (z, y, x).
    halo : planes before and after that still matter.

    Raises
    ------
    GridError : no plane is left between the halos, or arrays of different shapes.
    ConfigError : a blur below 0.
    """
    if not min(sigma_um, cone) >= 0:
        raise ConfigError("must not be below 0", field="sigma_um", value=(sigma_um, cone))
    if len(absorbed) <= 2 * halo or absorbed.shape != delayed_um.shape or absorbed.shape[1:] != column.shape:
        raise GridError("planes, halo and column do not fit", field="absorbed", value=absorbed.shape)
    sharp, curved, last = _transfers(column.shape, sigma_um, cone, index, spacing_um, halo)
    shadows, lenses = _spectra(absorbed), _spectra(delayed_um)
    out = np.empty((len(absorbed) - 2 * halo, *column.shape), np.float32)
    out[:] = -last * fft.dctn(column.astype(np.float32))
    _through(shadows, lenses, sharp - last, curved, out)
    for plane in out:
        change = fft.idctn(plane)
        plane[:] = np.where(change > 0, 1 + change, np.exp(np.minimum(change, 0)))
    return out


def _spectra(planes: Voxels) -> Voxels:
    """Cosine series plane by plane: a batch would round differently in slabs of other sizes."""
    return np.stack([fft.dctn(plane.astype(np.float32, copy=False)) for plane in planes])


def _transfers(
    shape: tuple[int, ...], sigma_um: float, cone: float, index: float, spacing_um: Sequence[float], halo: int
) -> tuple[Voxels, Voxels, NDArray[np.float32]]:
    """For distances 0 to ``halo``: the blur, and ``d k² / n`` times the blur, (halo + 1, y, x); the last blur alone."""
    y, x = (
        (2 - 2 * np.cos(np.pi * np.arange(count) / count)) / step**2
        for count, step in zip(shape, spacing_um[1:], strict=True)
    )
    squared = y[:, None] + x
    away = (np.arange(halo + 1) * spacing_um[0])[:, None, None]
    blur = np.exp(-(sigma_um**2 + (cone * away) ** 2) * squared / 2).astype(np.float32)
    curved = (away * squared / index * blur).astype(np.float32)
    return blur, curved, blur[-1]


@kernel
def _through(shadows: AnyArray, lenses: AnyArray, sharp: AnyArray, curved: AnyArray, out: AnyArray) -> None:
    """Adds to the series ``out`` of every focus what each plane around it does, in the order of the planes."""
    halo = len(sharp) - 1
    for focus in range(out.shape[0]):
        for step in range(-halo, halo + 1):
            source, away = focus + halo + step, abs(step)
            side = np.float32(1 if step > 0 else -1)
            for y in range(out.shape[1]):
                for x in range(out.shape[2]):
                    out[focus, y, x] += (
                        side * lenses[source, y, x] * curved[away, y, x] - shadows[source, y, x] * sharp[away, y, x]
                    )
