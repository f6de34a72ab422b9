"""Magnetic resonance: k-space, Rician noise and the coil's bias against their closed forms."""

import numpy as np
import pytest
from scipy import stats

from phantom.physics.bias import bias
from phantom.physics.kspace import acquired, kept, thermal
from phantom.physics.rician import magnitude
from volumes.errors import ConfigError, ContentError


@pytest.mark.parametrize("level", [0.5, 3.0, 30.0])
def test_magnitudes_are_rician(level, rng):
    shape, sd = (150, 200), 0.7
    whole = kept(shape, 1.0)
    noisy = magnitude(np.full(shape, level * sd, np.float32), *(thermal(shape, whole, sd, rng) for _ in range(2)))
    assert stats.kstest(noisy.ravel(), stats.rice(level, scale=sd).cdf).pvalue > 1e-3


def test_without_signal_they_are_rayleigh(rng):
    shape, sd = (300, 301), 2.5
    whole = kept(shape, 1.0)
    dark = magnitude(np.zeros(shape, np.float32), *(thermal(shape, whole, sd, rng) for _ in range(2)))
    assert dark.mean() == pytest.approx(sd * np.sqrt(np.pi / 2), rel=0.01)
    assert stats.kstest(dark.ravel(), stats.rayleigh(scale=sd).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(64, 64), (63, 64), (64, 63), (31, 33)])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.3])
def test_noise_has_its_deviation_whatever_is_acquired(shape, share, rng):
    window = kept(shape, share)
    planes = np.stack([thermal(shape, window, 3.0, rng) for _ in range(60)])
    assert planes.std() == pytest.approx(3, rel=0.03)
    assert abs(planes.mean()) < 0.1


def test_noise_holds_no_frequency_that_was_not_acquired(rng):
    noise = thermal((64, 64), kept((64, 64), 0.5), 1.0, rng)
    spectrum = np.abs(np.fft.fft2(noise))
    f = np.abs(np.fft.fftfreq(64))
    beyond = (f[:, None] > 0.26) | (f > 0.26)
    assert spectrum[beyond].max() < 1e-3 * spectrum[~beyond].max()


def test_a_whole_matrix_changes_nothing_and_a_part_spares_slow_waves(rng):
    plane = rng.random((20, 31), np.float32)
    np.testing.assert_allclose(acquired(plane, kept((20, 31), 1.0)), plane, atol=1e-6)
    y, x = np.mgrid[:40, :60]
    slow = np.cos(2 * np.pi * (3 * y / 40 + 5 * x / 60)).astype(np.float32)
    fast = np.cos(2 * np.pi * 18 * y / 40).astype(np.float32)
    window = kept((40, 60), 0.5)
    np.testing.assert_allclose(acquired(slow + fast, window), slow, atol=1e-5)


def test_a_point_becomes_the_sinc_of_a_finite_matrix():
    plane = np.zeros((1, 256), np.float32)
    plane[0, 128] = 1
    spread = acquired(plane, kept((1, 256), 0.5))[0]
    np.testing.assert_allclose(spread, 0.5 * np.sinc(0.5 * (np.arange(256) - 128)), atol=0.01)


@pytest.mark.parametrize("share", [0.0, 1.1, np.nan])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        kept((4, 4), share)


def test_noise_or_signals_that_cannot_be_are_refused(rng):
    for sd in (-1.0, np.inf):
        with pytest.raises(ConfigError, match="sd"):
            thermal((4, 4), kept((4, 4), 1.0), sd, rng)
    with pytest.raises(ContentError, match="signal"):
        magnitude(np.full((2, 2), np.nan, np.float32), *np.zeros((2, 2, 2), np.float32))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_the_bias_is_smooth_and_within_its_bounds(strength, rng):
    field = bias(strength, (10, 50, 40), rng)
    planes = np.stack([field.plane(z) for z in range(10)])
    log = np.log(planes.astype(float))
    assert np.abs(log).max() <= strength + 1e-6
    assert (log.std() > 0.05 * strength) == (strength > 0)
    assert np.abs(log.mean()) < 1e-6
    for axis, n in enumerate(planes.shape):
        assert np.abs(np.diff(log, axis=axis)).max(initial=0) <= strength * np.pi * 2 / n + 1e-6


def test_a_bias_follows_from_its_seed():
    first, again, other = (bias(0.4, (4, 9, 8), np.random.default_rng(seed)).plane(2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_a_bias_covers_the_same_field_on_a_finer_grid():
    coarse, fine = (bias(0.4, (1, n, n), np.random.default_rng(5)).plane(0) for n in (20, 60))
    np.testing.assert_allclose(coarse, fine[1::3, 1::3], rtol=1e-5)


@pytest.mark.parametrize("strength", [-0.1, np.nan])
def test_a_strength_that_cannot_be_is_refused(strength, rng):
    with pytest.raises(ConfigError, match="strength"):
        bias(strength, (2, 2, 2), rng)


def test_a_bias_is_its_sum_of_cosines(rng):
    field = bias(0.7, (5, 6, 7), rng)
    assert field.waves[0, 0, 0] == 0
    expected = np.zeros((5, 6, 7))
    for k, j, m in np.ndindex(3, 3, 3):
        z, y, x = (np.cos(np.pi * f * (np.arange(n) + 0.5) / n) for f, n in zip((k, j, m), (5, 6, 7), strict=True))
        expected += field.waves[k, j, m] * z[:, None, None] * y[:, None] * x
    found = np.stack([field.plane(z) for z in range(5)])
    np.testing.assert_allclose(found, np.exp(0.7 * expected / np.abs(field.waves).sum()), rtol=1e-5)


def test_the_spectrum_of_noise_is_flat_where_k_space_was_acquired(rng):
    shape = (48, 64)
    window = kept(shape, 0.6)
    power = np.mean([np.abs(np.fft.rfft2(thermal(shape, window, 2.0, rng))) ** 2 for _ in range(400)], axis=0)
    inside = power[:, 1:-1][window[:, 1:-1] > 0]
    area = np.abs(np.fft.fftfreq(48) * 2) <= 0.6
    kept_share = area.mean() * (np.abs(np.fft.fftfreq(64) * 2) <= 0.6).mean()
    assert inside.mean() == pytest.approx(4.0 * 48 * 64 / kept_share, rel=0.01)
    assert inside.std() / inside.mean() == pytest.approx(1 / np.sqrt(400), rel=0.15)
