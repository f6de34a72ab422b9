"""Blur and noise against their closed forms."""

import numpy as np
import pytest
from scipy.special import erf

from phantom.imaging import Microscope, blurred, read_noise, shot_noise
from volumes.errors import ConfigError, ContentError

SPACING = (1.0, 0.25, 0.5)


def test_a_point_becomes_a_gaussian_of_that_width_in_um():
    light = np.zeros((31, 81, 61))
    light[15, 40, 30] = 1000.0
    sigma = np.array([2.0, 1.0, 1.5])
    seen = blurred(light, sigma, SPACING)
    z, y, x = (np.arange(n) * s - (n // 2) * s for n, s in zip(light.shape, SPACING, strict=True))
    gauss = np.exp(-0.5 * ((z[:, None, None] / 2) ** 2 + (y[:, None] / 1) ** 2 + (x / 1.5) ** 2))
    np.testing.assert_allclose(seen, 1000 * gauss / gauss.sum(), atol=1000 * gauss.max() / gauss.sum() * 1e-4)


def test_an_edge_becomes_the_error_function():
    light = np.zeros((1, 1, 400))
    light[..., 200:] = 1
    seen = blurred(light, (0, 0, 2.0), (1, 1, 0.1))
    x = (np.arange(400) - 199.5) * 0.1
    np.testing.assert_allclose(seen[0, 0], 0.5 * (1 + erf(x / (2 * np.sqrt(2)))), atol=2e-4)


def test_no_light_is_lost_or_made_even_at_the_border(rng):
    light = rng.random((9, 20, 15)) * 100
    seen = blurred(light, (3.0, 1.0, 2.0), SPACING)
    assert seen.sum() == pytest.approx(light.sum(), rel=1e-12)
    assert seen.min() >= 0


def test_two_blurs_add_their_variances(rng):
    light = np.zeros((1, 1, 201))
    light[0, 0, 100] = 1
    twice = blurred(blurred(light, (0, 0, 3), (1, 1, 1)), (0, 0, 4), (1, 1, 1))
    np.testing.assert_allclose(twice, blurred(light, (0, 0, 5), (1, 1, 1)), atol=1e-6)


def test_no_blur_is_the_identity(rng):
    light = rng.random((4, 5, 6))
    np.testing.assert_array_equal(blurred(light, (0, 0, 0), SPACING), light)


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 1000.0])
def test_shot_noise_has_the_mean_as_its_variance(mean, rng):
    counts = shot_noise(np.full((40, 50, 50), mean), rng)
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / counts.size) + 1e-12)
    assert counts.var() == pytest.approx(mean, rel=0.05)
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert counts.min() >= 0


def test_read_noise_adds_its_own_variance(rng):
    counts = read_noise(shot_noise(np.full((40, 50, 50), 9.0), rng), 4.0, rng)
    assert counts.mean() == pytest.approx(9, abs=0.1)
    assert counts.var() == pytest.approx(9 + 16, rel=0.03)


def test_pictures_scatter_about_what_is_expected(rng):
    light = np.zeros((3, 20, 20))
    light[1, 8:12, 8:12] = 300
    scope = Microscope(psf_sigma_um=(0.5, 0.5, 0.5), background=7.0, offset=100.0, read_sd=3.0)
    expected = scope.expected(light, SPACING)
    assert expected.sum() == pytest.approx(light.sum() + light.size * 107)
    pictures = np.stack([scope.picture(light, SPACING, rng) for _ in range(400)])
    z = (pictures.mean(0) - expected) / np.sqrt((expected - 100 + 9) / 400)
    assert np.abs(z).max() < 5
    assert z.std() == pytest.approx(1, rel=0.1)
    assert np.mean(pictures.var(0) / (expected - 100 + 9)) == pytest.approx(1, rel=0.02)


def test_what_cannot_be_is_refused(rng):
    for sigma in ((-1, 0, 0), (np.nan, 0, 0), (1, 1)):
        with pytest.raises(ConfigError, match="sigma_um"):
            blurred(np.zeros((2, 2, 2)), sigma, SPACING)
    for photons in (-1.0, np.nan, np.inf):
        with pytest.raises(ContentError, match="photons"):
            shot_noise(np.full((2, 2, 2), photons), rng)
    for sd in (-1.0, np.nan):
        with pytest.raises(ConfigError, match="sd"):
            read_noise(np.zeros((2, 2, 2)), sd, rng)
