"""Widths of point spread functions against the diffraction integrals that they stand for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j0

from phantom.physics.psf import Spread, aberrated, confocal, sheet_sigma_um, widefield
from volumes.errors import ConfigError

WATER = 1.33


def debye(r_um, z_um, aperture, nm, index):
    """Intensity of the scalar Debye integral of an aplanatic lens, by the trapezoidal rule."""
    theta = np.linspace(0, math.asin(aperture / index), 4001)
    k = 2e3 * math.pi * index / nm
    wave = np.sqrt(np.cos(theta)) * np.sin(theta) * j0(k * r_um * np.sin(theta))
    return abs(np.trapezoid(wave * np.exp(1j * k * z_um * np.cos(theta)), theta)) ** 2


def curvature(intensity, step):
    """1/σ² of the Gaussian with the curvature of an even function at 0."""
    return 2 * (1 - intensity(step) / intensity(0.0)) / step**2


@pytest.mark.parametrize(("aperture", "nm"), [(0.1, 520), (0.5, 520), (1.0, 610), (1.2, 450), (0.4, 1300)])
def test_widefield_has_the_curvature_of_the_debye_integral(aperture, nm):
    spread = widefield(aperture, nm, WATER)
    lateral = curvature(lambda r: debye(r, 0.0, aperture, nm, WATER), 0.02 * spread.lateral_um)
    axial = curvature(lambda z: debye(0.0, z, aperture, nm, WATER), 0.02 * spread.axial_um)
    assert spread.lateral_um == pytest.approx(lateral**-0.5, rel=1e-3)
    assert spread.axial_um == pytest.approx(axial**-0.5, rel=1e-3)


def pinholed(r_um, z_um, aperture, nm, index, pinhole_um):
    """Light through a round pinhole from a point at (r, z), paraxial: the diffraction integral over the disc."""
    k, rho = 2e3 * math.pi / nm, np.linspace(0, 1, 801)
    radius, angle = np.linspace(0, pinhole_um, 61), np.linspace(0, math.pi, 41)
    away = np.hypot(radius[:, None] * np.cos(angle) - r_um, radius[:, None] * np.sin(angle))
    lens = rho * np.exp(0.5j * k * aperture**2 * z_um / index * rho**2)
    seen = np.abs(np.trapezoid(j0(k * aperture * away[..., None] * rho) * lens, rho)) ** 2
    return np.trapezoid(np.trapezoid(seen, angle, axis=1) * radius, radius)


@pytest.mark.parametrize("airy", [0.2, 1.0])
def test_confocal_has_the_curvature_of_both_integrals_and_its_pinhole(airy):
    aperture, excitation, emission = 0.6, 488, 520
    pinhole = airy * 0.61 * emission * 1e-3 / aperture
    spread = confocal(aperture, excitation, emission, WATER, pinhole)
    k = 2e3 * math.pi / excitation
    for sigma, laser, light in (
        (
            spread.lateral_um,
            math.sqrt(2) / (k * aperture),
            lambda r: pinholed(r, 0, aperture, emission, WATER, pinhole),
        ),
        (
            spread.axial_um,
            2 * math.sqrt(6) * WATER / (k * aperture**2),
            lambda z: pinholed(0, z, aperture, emission, WATER, pinhole),
        ),
    ):
        detected = curvature(light, 0.05 * sigma)
        assert sigma == pytest.approx((laser**-2 + detected) ** -0.5, rel=3e-3)


@pytest.mark.parametrize("aperture", [0.5, 0.9])
def test_widefield_agrees_with_the_gibson_lanni_model_of_psfmodels(aperture):
    psfmodels = pytest.importorskip(
        "psfmodels", reason="psfmodels is not installed: the peer to compare with is missing"
    )
    spread = widefield(aperture, 520, WATER)
    step = spread.lateral_um / 10
    z = np.array([0.0, 0.1, 0.2]) * spread.axial_um
    psf = psfmodels.make_psf(
        z, 21, dxy=step, NA=aperture, wvl=0.52, ns=WATER, ni=WATER, ni0=WATER, tg=0, tg0=0, pz=0, model="scalar"
    ).astype(float)
    peak = psf[0, 10, 10]
    for away, ratio, sigma in (
        (2 * step, psf[0, 10, 12] / peak, spread.lateral_um),
        (z[1], psf[1, 10, 10] / peak, spread.axial_um),
        (z[2], psf[2, 10, 10] / peak, spread.axial_um),
    ):
        assert away / math.sqrt(-2 * math.log(ratio)) == pytest.approx(sigma, rel=0.03)


@given(aperture=st.floats(0.02, 1.3), nm=st.floats(400, 1700))
def test_widths_grow_with_the_wavelength_and_shrink_with_the_aperture(aperture, nm):
    spread = widefield(aperture, nm, WATER)
    assert spread.lateral_um == pytest.approx(nm / 500 * widefield(aperture, 500, WATER).lateral_um, rel=1e-9)
    assert spread.axial_um > spread.lateral_um
    assert widefield(0.9 * aperture, nm, WATER).axial_um > spread.axial_um
    k = 2e3 * math.pi / nm
    assert spread.lateral_um < math.sqrt(2) / (k * aperture) * 1.001


def test_a_product_of_gaussians_is_narrower_than_both():
    both = Spread(3.0, 0.5).narrowed(Spread(4.0, math.inf))
    assert both == Spread(pytest.approx(2.4), pytest.approx(0.5))


def test_a_sheet_over_a_longer_field_is_thicker_and_obeys_the_gaussian_beam():
    x = np.linspace(-50, 50, 20001)
    waist = math.sqrt(0.488 * 50 / (math.pi * WATER))
    mean = np.trapezoid(waist * np.sqrt(1 + (x / 50) ** 2), x) / 100
    assert sheet_sigma_um(488, WATER, 100) == pytest.approx(mean / 2, rel=1e-6)
    assert sheet_sigma_um(488, WATER, 400) == pytest.approx(2 * sheet_sigma_um(488, WATER, 100))


def test_aberration_adds_to_the_variance_with_depth():
    np.testing.assert_allclose(aberrated(2.0, [-5, 0, 10, 30], 10.0), [2, 2, 2 * math.sqrt(2), 4])
    np.testing.assert_array_equal(aberrated(2.0, [0, 1e6], math.inf), [2, 2])


def test_optics_that_cannot_be_are_refused():
    for aperture in (0.0, -1.0, 1.33, 2.0, math.nan):
        with pytest.raises(ConfigError, match="aperture"):
            widefield(aperture, 520, WATER)
    with pytest.raises(ConfigError, match="wavelength_nm"):
        confocal(0.5, 488, 0.0, WATER, 1.0)
    with pytest.raises(ConfigError, match="pinhole_um"):
        confocal(0.5, 488, 520, WATER, 0.0)
    with pytest.raises(ConfigError, match="field_um"):
        sheet_sigma_um(488, WATER, 0.0)
    with pytest.raises(ConfigError, match="length_um"):
        aberrated(1.0, 3.0, 0.0)
