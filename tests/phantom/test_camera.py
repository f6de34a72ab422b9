"""Detectors against the statistics that they are built from."""

import numpy as np
import pytest
from scipy import stats

from phantom.physics.camera import Camera, multiplied, read_noise, shot_noise
from volumes.errors import ConfigError, ContentError, GridError


def generators(count, seed=7):
    return np.random.default_rng(seed).spawn(count)


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 1000.0, 3e6])
def test_shot_noise_has_the_mean_as_its_variance(mean, rng):
    counts = shot_noise(np.full((40, 50, 50), mean), rng).astype(float)
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / counts.size) + 1e-12)
    assert counts.var() == pytest.approx(mean, rel=0.05)
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert counts.min() >= 0


def test_shot_noise_is_poisson(rng):
    seen = np.bincount(shot_noise(np.full((30, 40, 50), 3.7), rng).astype(int).ravel(), minlength=16)
    expected = stats.poisson.pmf(np.arange(16), 3.7) * 60000
    expected[-1] += 60000 - expected.sum()
    assert stats.chisquare(np.append(seen[:15], seen[15:].sum()), expected).pvalue > 1e-3


def test_read_noise_is_normal(rng):
    noise = read_noise(np.zeros((20, 30, 30), np.float32), 4.0, rng)
    assert noise.dtype == np.float32
    assert stats.kstest(noise.ravel(), stats.norm(0, 4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("excess", [1.0, 1.3, 2.0])
def test_a_multiplier_raises_the_variance_of_shot_noise_to_f_squared_times_the_mean(excess, rng):
    counts = multiplied(shot_noise(np.full((60, 50, 50), 12.0), rng), excess, rng)
    assert counts.mean() == pytest.approx(12, rel=0.01)
    assert counts.var() == pytest.approx(12 * excess, rel=0.03)
    assert counts.min() >= 0


def test_pictures_scatter_about_what_is_expected(rng):
    camera = Camera(gain=3.0, offset=120.0, read_sd=2.5, efficiency=0.6, dark=4.0, excess=1.2)
    photons = rng.uniform(5, 80, (3, 12, 12)).astype(np.float32)
    expected = camera.expected(photons)
    np.testing.assert_allclose(expected, 120 + 3 * (0.6 * photons + 4), rtol=1e-6)
    pictures = np.stack([camera.picture(photons, generators(3, seed), 0) for seed in range(600)]).astype(float)
    variance = 9 * (1.2 * (0.6 * photons + 4) + 2.5**2) + 1 / 12
    z = (pictures.mean(0) - expected) / np.sqrt(variance / 600)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert np.mean(pictures.var(0, ddof=1) / variance) == pytest.approx(1, rel=0.02)


def test_counts_saturate_and_never_wrap_round():
    camera = Camera(gain=50.0, offset=100.0, read_sd=30.0, saturation=4095)
    bright = camera.picture(np.full((2, 9, 9), 1e4, np.float32), generators(2), 0)
    dark = camera.picture(np.zeros((2, 9, 9), np.float32), generators(2), 0)
    assert (bright == 4095).all()
    assert dark.dtype == np.uint16
    assert dark.min() == 0
    assert dark.max() < 4095 * 1.01


def test_hot_pixels_stay_where_they_are():
    camera = Camera(read_sd=0.0, hot_share=0.05, hot=1e4)
    photons = np.ones((4, 60, 60), np.float32)
    first, second = (camera.picture(photons, generators(4, seed), 11) for seed in (0, 1))
    hot = (first > 150).all(0)
    assert 0.02 < hot.mean() < 0.08
    np.testing.assert_array_equal(hot, (second > 150).all(0))
    assert not np.array_equal(hot, (camera.picture(photons, generators(4), 12) > 150).all(0))
    assert (first[:, ~hot] < 2000).mean() > 0.99


def test_a_plane_does_not_depend_on_the_slab_it_is_drawn_in(rng):
    camera = Camera(excess=1.3, hot_share=0.01)
    photons = rng.uniform(0, 50, (5, 8, 7)).astype(np.float32)
    whole = camera.picture(photons, generators(5), 0)
    part = camera.picture(photons[2:4], generators(5)[2:4], 0)
    np.testing.assert_array_equal(part, whole[2:4])


def test_what_cannot_be_is_refused(rng):
    for photons in (-1.0, np.nan, np.inf):
        with pytest.raises(ContentError, match="photons"):
            shot_noise(np.full((2, 2, 2), photons), rng)
        with pytest.raises(ContentError, match="photons"):
            Camera().expected(np.full((2, 2, 2), photons, np.float32))
    for sd in (-1.0, np.nan):
        with pytest.raises(ConfigError, match="sd"):
            read_noise(np.zeros((2, 2, 2)), sd, rng)
    with pytest.raises(ConfigError, match="excess"):
        multiplied(np.zeros((2, 2, 2)), 0.9, rng)
    with pytest.raises(GridError, match="noise"):
        Camera().picture(np.zeros((2, 2, 2), np.float32), [rng], 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("gain", 0.0), ("offset", -1.0), ("efficiency", 1.1), ("excess", 0.5), ("saturation", 70000), ("dark", np.inf)],
)
def test_a_camera_that_cannot_be_is_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        Camera(**{field: value})


def test_hot_pixels_are_as_many_and_as_hot_as_asked():
    camera = Camera(hot_share=0.03, hot=50.0)
    extra = camera.hot_pixels((400, 500), 5)
    hot = extra[extra > 0]
    assert stats.binomtest(len(hot), extra.size, 0.03).pvalue > 1e-3
    assert stats.kstest(hot, stats.expon(scale=50.0).cdf).pvalue > 1e-3
    rows, columns = np.nonzero(extra)
    assert stats.kstest(rows / 400, "uniform").pvalue > 1e-3
    assert stats.kstest(columns / 500, "uniform").pvalue > 1e-3


def test_dark_current_and_hot_pixels_are_not_dimmed_by_the_efficiency():
    camera = Camera(gain=2.0, offset=10.0, read_sd=0.0, efficiency=0.5, dark=8.0, hot_share=1.0, hot=4000.0)
    dark = np.zeros((300, 20, 20), np.float32)
    mean = camera.picture(dark, generators(300), 1).astype(float).mean(0)
    expected = 10 + 2 * (8 + camera.hot_pixels((20, 20), 1))
    assert stats.kstest(((mean - expected) / np.sqrt(2 * (expected - 10) / 300)).ravel(), "norm").pvalue > 1e-3
