"""Transmitted light against wave optics and against Beer's law."""

import numpy as np
import pytest

from phantom.physics.blur import blurred
from phantom.physics.transmitted import defocused, focal_stack
from volumes.errors import ConfigError, GridError

STEP = 0.5


def bump(shape, width_um, height):
    """A smooth Gaussian hill in the middle."""
    y, x = ((np.arange(n) - (n - 1) / 2) * STEP for n in shape)
    return (height * np.exp(-(y[:, None] ** 2 + x**2) / (2 * width_um**2))).astype(np.float32)


def propagated(intensity, phase, distance_um, wavelength_um):
    """Intensity after a way through free space: the paraxial Fresnel transfer function."""
    field = np.sqrt(intensity) * np.exp(1j * phase)
    fy, fx = (np.fft.fftfreq(n, STEP) for n in intensity.shape)
    transfer = np.exp(-1j * np.pi * wavelength_um * distance_um * (fy[:, None] ** 2 + fx**2))
    return np.abs(np.fft.ifft2(np.fft.fft2(field) * transfer)) ** 2


@pytest.mark.parametrize("defocus", [-3.0, 3.0])
def test_a_little_defocus_is_what_wave_optics_says(defocus):
    shape = (96, 80)
    intensity, phase = 1 - bump(shape, 5.0, 0.3), bump(shape, 4.0, 0.8)
    exact = propagated(intensity, phase, defocus, 0.4)
    seen = defocused(intensity, phase, defocus, 400.0, (STEP, STEP))
    assert np.abs(exact - intensity).max() > 0.013
    np.testing.assert_allclose(seen - intensity, exact - intensity, atol=0.04 * np.abs(exact - intensity).max())


def test_defocus_only_moves_light_about(rng):
    intensity, phase = rng.random((2, 20, 30)).astype(np.float32)
    seen = defocused(intensity, phase, 2.0, 500.0, (STEP, 2 * STEP))
    assert seen.astype(float).sum() == pytest.approx(intensity.astype(float).sum(), rel=1e-6)
    np.testing.assert_array_equal(defocused(intensity, phase, 0.0, 500.0, (STEP, STEP)), intensity)


def stack(absorbed, delayed, column=None, sigma=0.6, cone=0.15, halo=6):
    column = absorbed.sum(0) if column is None else column
    return focal_stack(absorbed, delayed, column, sigma, cone, 1.33, (1.0, STEP, STEP), halo)


def test_an_even_absorber_follows_beer_lambert():
    absorbed = np.full((15, 10, 12), 0.03, np.float32)
    np.testing.assert_allclose(stack(absorbed, 0 * absorbed), np.exp(-15 * 0.03), rtol=1e-5)
    beyond = np.full((10, 12), 2.0, np.float32)
    np.testing.assert_allclose(stack(absorbed, 0 * absorbed, beyond), np.exp(-2.0), rtol=1e-5)


def test_a_shadow_blurs_with_its_distance_from_the_focus():
    absorbed = np.zeros((13, 40, 36), np.float32)
    absorbed[6] = bump((40, 36), 1.0, 0.5)
    for halo, focus in ((6, 6), (4, 8), (2, 5)):
        away = abs(focus - 6)
        sigma = np.hypot(0.6, 0.15 * min(away, halo))
        shadow = blurred(absorbed[6:7], (0, sigma, sigma), (1.0, STEP, STEP))
        np.testing.assert_allclose(
            stack(absorbed, 0 * absorbed, halo=halo)[focus - halo], np.exp(-shadow[0]), atol=1e-5
        )


@pytest.mark.parametrize("away", [-3, 0, 3])
def test_a_weak_phase_shows_as_the_transport_of_intensity_says(away):
    """Light goes towards plane 0: with the focus there, before the object, what is denser gathers light."""
    index, wavelength_nm, delay = 1.33, 500.0, bump((60, 50), 3.0, 0.01)
    delayed = np.zeros((13, 60, 50), np.float32)
    delayed[6] = delay
    seen = stack(0 * delayed, delayed, sigma=0.0, cone=0.0, halo=3)[6 - away - 3]
    phase = 2e3 * np.pi / wavelength_nm * delay
    expected = defocused(np.ones_like(delay), phase, float(away), wavelength_nm / index, (STEP, STEP))
    assert np.sign(seen[30, 25] - 1) == np.sign(away)
    np.testing.assert_allclose(seen - 1, expected - 1, atol=0.03 * max(np.abs(expected - 1).max(), 1e-5))


def test_slabs_have_the_bits_of_the_whole(rng):
    absorbed, delayed = rng.random((2, 24, 11, 13)).astype(np.float32) / 100
    column = absorbed.sum(0)
    whole = stack(absorbed, delayed, column)
    np.testing.assert_array_equal(stack(absorbed[3:20], delayed[3:20], column), whole[3:8])


def test_what_cannot_be_is_refused(rng):
    flat = np.zeros((12, 4, 4), np.float32)
    with pytest.raises(GridError, match="absorbed"):
        stack(flat, flat)
    with pytest.raises(GridError, match="absorbed"):
        stack(flat, flat, np.zeros((4, 5), np.float32), halo=2)
    with pytest.raises(ConfigError, match="sigma_um"):
        stack(flat, flat, sigma=-1.0, halo=2)
    with pytest.raises(GridError, match="phase"):
        defocused(flat[0], flat[0, :3], 1.0, 500.0, (1, 1))
