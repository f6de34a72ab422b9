"""How wide the point spread function of a microscope is, as a Gaussian.

A Gaussian is the accepted approximation of a fluorescence point spread function (Zhang, Zerubia & Olivo-Marin 2007,
"Gaussian approximations of fluorescence microscope point-spread function models", Applied Optics 46). The σ here
share the curvature of the diffraction integral at its peak; :mod:`phantom.physics.blur` spreads light by them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j0, j1

from volumes.errors import ConfigError

LEAST_APERTURE = 0.01
"""Below this numerical aperture the closed form along z loses its digits, and no microscope is there."""


@dataclass(frozen=True)
class Spread:
    """σ of a Gaussian point spread function, in µm: along the optical axis and across it."""

    axial_um: float
    lateral_um: float

    def narrowed(self, other: Spread) -> Spread:
        """The product of both, as of exciting and detecting light: ``1/σ² = 1/σ₁² + 1/σ₂²``; infinite σ say nothing."""
        return Spread(
            (self.axial_um**-2 + other.axial_um**-2) ** -0.5, (self.lateral_um**-2 + other.lateral_um**-2) ** -0.5
        )


def widefield(aperture: float, wavelength_nm: float, index: float) -> Spread:
    """σ of a widefield microscope, for any aperture (Zhang et al. 2007, non-paraxial).

    Of the Debye integral ``h(r, z) = ∫ √u J₀(k n r √(1−u²)) e^(i k n z u) du``, ``u`` from ``cos α`` to 1,
    ``σ_r = (k n)⁻¹ (1 − ⟨u²⟩)^(−1/2)`` and ``σ_z = (k n)⁻¹ (2 Var u)^(−1/2)``, the moments with weight ``√u``. For
    small apertures they become ``√2 / (k NA)`` and ``2 √6 n / (k NA²)``.

    Parameters
    ----------
    aperture : numerical aperture NA = n sin α.
    wavelength_nm : in vacuum.
    index : refractive index of the immersion.

    Raises
    ------
    ConfigError : an aperture that the index does not allow, or a wavelength that is not above 0.
    """
    _check_optics(aperture, wavelength_nm, index)
    wavenumber = 2 * math.pi * index / (wavelength_nm * 1e-3)
    c = math.sqrt(1 - (aperture / index) ** 2)
    mass, first, second = ((1 - c**power) / power for power in (1.5, 2.5, 3.5))
    mean, square = first / mass, second / mass
    return Spread((2 * (square - mean**2)) ** -0.5 / wavenumber, (1 - square) ** -0.5 / wavenumber)


def confocal(aperture: float, excitation_nm: float, emission_nm: float, index: float, pinhole_um: float) -> Spread:
    """σ of a point-scanning confocal microscope (Zhang et al. 2007, paraxial, with a pinhole).

    With ``c₁ = k_ex NA r₀``, ``c₂ = k_em NA r₀``, Bessel functions at ``c₂`` and ``D = 1 − J₀² − J₁²``:
    ``σ_r⁻² = (c₁² + (8 J₁² − 4 c₂ J₀ J₁) / D) / (2 r₀²)``,
    ``σ_z⁻² = (NA/n)² (c₁² + (48 (J₀² + J₁²) − 192 J₁² / c₂²) / D) / (24 r₀²)``.

    Parameters
    ----------
    aperture, index : as in :func:`widefield`.
    excitation_nm, emission_nm : wavelengths in vacuum.
    pinhole_um : radius ``r₀`` of the pinhole, as it lies in the specimen; an Airy disc's is ``0.61 λ / NA``.

    Raises
    ------
    ConfigError : as in :func:`widefield`; or a pinhole that is not above 0.
    """
    _check_optics(aperture, excitation_nm, index)
    _check_optics(aperture, emission_nm, index)
    if not 0 < pinhole_um < math.inf:
        raise ConfigError("must be finite and above 0", field="pinhole_um", value=pinhole_um)
    one, two = (2e3 * math.pi / nm * aperture * pinhole_um for nm in (excitation_nm, emission_nm))
    zeroth, first = float(j0(two)), float(j1(two))
    inside = 1 - zeroth**2 - first**2
    lateral = one**2 + (8 * first**2 - 4 * two * zeroth * first) / inside
    axial = one**2 + (48 * (zeroth**2 + first**2) - 192 * first**2 / two**2) / inside
    return Spread(
        pinhole_um * index / aperture * math.sqrt(24 / axial),
        pinhole_um * math.sqrt(2 / lateral),
    )


def sheet_sigma_um(excitation_nm: float, index: float, field_um: float) -> float:
    """σ along z of a light sheet that stays thin over a field: mean over x of ``w(x) / 2`` of a Gaussian beam.

    The waist is chosen so that the field is two Rayleigh lengths, ``w₀ = √(λ x_R / (π n))`` with ``x_R = field / 2``;
    ``w(x) = w₀ √(1 + (x / x_R)²)`` then has the mean ``w₀ (√2 + asinh 1) / 2``; intensity falls as ``exp(−2 z² / w²)``.
    """
    if not 0 < field_um < math.inf:
        raise ConfigError("must be finite and above 0", field="field_um", value=field_um)
    waist = math.sqrt(excitation_nm * 1e-3 * field_um / 2 / (math.pi * index))
    return waist / 2 * (math.sqrt(2) + math.asinh(1)) / 2


def aberrated(sigma_um: float, depth_um: ArrayLike, length_um: float) -> NDArray[np.float64]:
    """σ of the point spread function at a depth of tissue: ``σ √(1 + depth / length)``.

    Uneven refractive index adds to the wavefront's variance by the same share in every layer, as in a random walk.
    Depths below 0 count as 0; an infinite length is clear tissue.
    """
    if not length_um > 0:
        raise ConfigError("must be above 0", field="length_um", value=length_um)
    return sigma_um * np.sqrt(1 + np.maximum(np.asarray(depth_um, np.float64), 0) / length_um)


def _check_optics(aperture: float, wavelength_nm: float, index: float) -> None:
    if not LEAST_APERTURE <= aperture < index:
        raise ConfigError(
            f"must be at least {LEAST_APERTURE} and below the refractive index {index:g}",
            field="aperture",
            value=aperture,
        )
    if not 0 < wavelength_nm < math.inf:
        raise ConfigError("must be finite and above 0", field="wavelength_nm", value=wavelength_nm)
