"""Attenuation, haze, bleaching and stripes against closed forms."""

import math

import numpy as np
import pytest
from scipy import ndimage

from phantom.physics.attenuation import haze_sigma_um, parted, scattering_per_mm, transmission
from phantom.physics.bleaching import unbleached
from phantom.physics.stripes import stripes
from volumes.errors import ConfigError, ContentError

SPACING = (2.0, 1.0, 1.0)


def test_light_fades_exponentially_along_its_path():
    path = np.linspace(0, 5, 60, dtype=np.float32).reshape(3, 4, 5)
    np.testing.assert_allclose(transmission(path), np.exp(-path), rtol=1e-6)
    np.testing.assert_allclose(transmission(path) * transmission(path), transmission(2 * path), rtol=1e-6)


def test_light_parts_into_ballistic_and_haze_and_none_is_made(rng):
    light, path = rng.random((2, 3, 4, 5)).astype(np.float32)
    ballistic, haze = parted(light, path, 1.0)
    np.testing.assert_allclose(ballistic + haze, light, rtol=1e-6)
    np.testing.assert_allclose(ballistic, light * np.exp(-path), rtol=1e-6)
    np.testing.assert_allclose(parted(light, path, 0.3)[1], 0.3 * haze, rtol=1e-6)


def test_haze_is_as_wide_as_a_random_walk_of_directions(rng):
    """Rays whose direction changes by μ′ rad² a mm: where they leave, traced back to where they seem to come from."""
    steps, depth_mm, reduced = 400, 0.2, 1.5
    turns = rng.standard_normal((20000, steps)) * math.sqrt(reduced * depth_mm / steps)
    places = (np.cumsum(turns, 1) * depth_mm / steps).sum(1)
    assert haze_sigma_um(1e3 * depth_mm, reduced) == pytest.approx(1e3 * places.std(), rel=0.03)
    np.testing.assert_array_equal(haze_sigma_um([-20, 0], reduced), [0, 0])


def test_all_scattering_is_ten_times_the_reduced_one():
    np.testing.assert_allclose(scattering_per_mm(np.array([0.0, 1.5])), [0, 15])


def test_a_dye_fades_to_what_resists():
    assert unbleached(0.0, 60.0, 0.2) == 1
    assert unbleached(60.0, 60.0, 0.2) == pytest.approx(0.2 + 0.8 / math.e)
    assert unbleached(1e9, 60.0, 0.2) == pytest.approx(0.2)
    assert unbleached(1e9, math.inf, 0.0) == 1


def test_stripes_run_along_x_and_only_take_light():
    lit = stripes(range(0, 30), (64, 50), SPACING, 0.6, 4)
    assert lit.shape == (30, 64, 50)
    assert lit.dtype == np.float32
    assert lit.min() >= 0
    assert lit.max() <= 1
    assert lit.std() > 0.02
    along, across = (np.abs(np.diff(lit, axis=axis)).mean() for axis in (2, 1))
    assert along < across / 5
    np.testing.assert_allclose(np.diff(lit, 2, axis=2), 0, atol=1e-6)


def test_a_speck_takes_its_share_and_its_shadow_widens():
    seeds = range(40)
    deepest = np.mean([stripes(range(0, 40), (40, 30), SPACING, 0.5, seed)[..., 0].min() for seed in seeds])
    far = np.mean([stripes(range(0, 40), (40, 30), SPACING, 0.5, seed)[..., -1].min() for seed in seeds])
    assert 0.2 < deepest < 0.7
    assert far > deepest + 0.1
    calm, rough = (stripes(range(0, 40), (40, 30), SPACING, depth, 0).std() for depth in (0.1, 0.6))
    assert rough > 4 * calm


def test_near_and_far_the_same_light_is_missing():
    missing = -np.log(stripes(range(0, 40), (60, 400), SPACING, 0.5, 1)[..., [0, -1]])
    ratio = missing[..., 1].sum() / missing[..., 0].sum()
    assert ratio == pytest.approx(1, abs=0.02)
    width = [np.var(np.gradient(ndimage.zoom(m.sum(0), 2))) for m in np.moveaxis(missing, -1, 0)]
    assert width[1] < width[0] / 4


def test_stripes_of_a_slab_are_those_of_the_whole():
    whole = stripes(range(-5, 40), (32, 20), SPACING, 0.5, 9)
    np.testing.assert_array_equal(stripes(range(7, 19), (32, 20), SPACING, 0.5, 9), whole[12:24])
    assert not np.array_equal(stripes(range(7, 19), (32, 20), SPACING, 0.5, 8), whole[12:24])


def test_no_depth_is_no_stripe():
    np.testing.assert_array_equal(stripes(range(-2, 3), (4, 6), SPACING, 0.0, 0), np.ones((5, 4, 6)))


def test_what_cannot_be_is_refused():
    light = np.ones((1, 2, 2), np.float32)
    for path in (-0.1, math.nan):
        with pytest.raises(ContentError, match="path"):
            transmission(np.full((1, 2, 2), path, np.float32))
    with pytest.raises(ConfigError, match="collected"):
        parted(light, light, 1.5)
    with pytest.raises(ConfigError, match="reduced_per_mm"):
        haze_sigma_um(1.0, -1.0)
    for depth in (-0.1, 1.0, math.nan):
        with pytest.raises(ConfigError, match="depth"):
            stripes(range(2), (2, 2), SPACING, depth, 0)
    for field, arguments in (("time_s", (-1, 1, 0)), ("lifetime_s", (1, 0, 0)), ("resistant", (1, 1, 2))):
        with pytest.raises(ConfigError, match=field):
            unbleached(*arguments)


def test_there_are_as_many_specks_as_squares_of_their_distance_whatever_the_voxels():
    """The mean of s is that of the specks' heights, ½, times the shadow's area 2π σ², for each 12 µm square."""
    expected = 0.5 * 2 * math.pi * 1.5**2 / 12.0**2
    for spacing in ((2.0, 1.0, 1.0), (1.0, 0.5, 3.0), (3.0, 2.0, 1.0)):
        shape = tuple(round(600 / s) for s in spacing[:2])
        near = stripes(range(shape[0]), (shape[1], 40), spacing, 0.4, 0)[..., 0]
        assert np.log(near).mean() / np.log(0.6) == pytest.approx(expected, rel=0.15)
