"""Blur against closed forms and against sums taken term by term."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, ive

from phantom.physics.blur import axial_reach_um, axial_weights, blurred, depth_blurred, plane_blurred, projected
from volumes.errors import ConfigError, GridError

SPACING = (2.0, 0.25, 0.5)


def matrix(count, sigma):
    """The discrete Gaussian with mirroring borders, (count, count), from many images of the axis."""
    at = np.arange(count)
    out = np.zeros((count, count))
    for turn in range(-8, 9):
        for images in (at + 2 * turn * count, -1 - at + 2 * turn * count):
            out += ive(np.abs(at[:, None] - images), sigma**2)
    return out


def test_it_is_the_discrete_gaussian_with_mirroring_borders(rng):
    light = rng.random((7, 12, 10)).astype(np.float32)
    sigma = (3.0, 0.1, 2.0)
    z, y, x = (matrix(n, s / step) for n, s, step in zip(light.shape, sigma, SPACING, strict=True))
    np.testing.assert_allclose(
        blurred(light, sigma, SPACING), np.einsum("az,by,cx,zyx->abc", z, y, x, light), atol=2e-6
    )


def test_a_point_becomes_a_gaussian_of_that_width_in_um():
    light = np.zeros((41, 81, 61), np.float32)
    light[20, 40, 30] = 1000
    sigma = (6.0, 1.0, 2.0)
    seen = blurred(light, sigma, SPACING)
    places = [(np.arange(n) - n // 2) * s for n, s in zip(light.shape, SPACING, strict=True)]
    gauss = np.einsum("z,y,x->zyx", *(np.exp(-0.5 * (p / s) ** 2) for p, s in zip(places, sigma, strict=True)))
    np.testing.assert_allclose(seen, 1000 * gauss / gauss.sum(), atol=0.04 * 1000 / gauss.sum())
    for axis, (p, s) in enumerate(zip(places, sigma, strict=True)):
        profile = seen.astype(float).sum(tuple({0, 1, 2} - {axis}))
        assert (profile * p**2).sum() / profile.sum() == pytest.approx(s**2, rel=2e-3)


def test_an_edge_becomes_the_error_function():
    light = np.zeros((1, 1, 400), np.float32)
    light[..., 200:] = 1
    seen = blurred(light, (0, 0, 2.0), (1, 1, 0.1))
    x = (np.arange(400) - 199.5) * 0.1
    np.testing.assert_allclose(seen[0, 0], 0.5 * (1 + erf(x / (2 * np.sqrt(2)))), atol=2e-4)


@settings(max_examples=25, deadline=None)
@given(sigma=st.tuples(*[st.floats(0, 9)] * 3), seed=st.integers(0, 99))
def test_no_light_is_lost_or_made_even_at_the_border(sigma, seed):
    light = (np.random.default_rng(seed).random((9, 20, 15)) > 0.95).astype(np.float32) * 100
    seen = blurred(light, sigma, SPACING)
    assert seen.dtype == np.float32
    assert seen.astype(float).sum() == pytest.approx(light.sum(), rel=1e-4)
    assert seen.min() >= 0


def test_two_blurs_add_their_variances(rng):
    light = rng.random((1, 6, 50)).astype(np.float32)
    twice = blurred(blurred(light, (0, 0, 0.3), (1, 1, 1)), (0, 0, 0.4), (1, 1, 1))
    np.testing.assert_allclose(twice, blurred(light, (0, 0, 0.5), (1, 1, 1)), atol=1e-6)


def test_no_blur_is_the_identity(rng):
    light = rng.random((4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(blurred(light, (0, 0, 0), SPACING), light)


def summed(light, lateral, axial, core):
    """``out[z] = Σ k(z − z'; σ_z(z')) · (light[z'] blurred)``, term by term."""
    out = np.zeros(light.shape)
    for source, plane in enumerate(light):
        y, x = (matrix(n, lateral[source] / step) for n, step in zip(plane.shape, SPACING[1:], strict=True))
        t = (axial[source] / SPACING[0]) ** 2
        reach = int(np.ceil(4 * np.sqrt(t) + 0.5)) if t else 0
        kernel = ive(np.arange(-reach, reach + 1), t)
        for z in range(max(0, source - reach), min(len(light), source + reach + 1)):
            out[z] += kernel[z - source + reach] / kernel.sum() * (y @ plane @ x.T)
    return out[core]


def test_blur_that_grows_with_depth_is_the_sum_over_source_planes(rng):
    first, second = rng.random((2, 14, 9, 8)).astype(np.float32)
    sharp, wide, axial = np.linspace(0, 1, 14), np.linspace(2, 3, 14), np.linspace(0.0, 3.0, 14)
    seen = depth_blurred([first, second], [sharp, wide], axial, SPACING, slice(2, 11))
    expected = summed(first, sharp, axial, slice(2, 11)) + summed(second, wide, axial, slice(2, 11))
    np.testing.assert_allclose(seen, expected, atol=3e-6)


def test_light_from_every_plane_arrives(rng):
    light = np.zeros((40, 10, 10), np.float32)
    light[12:28] = rng.random((16, 10, 10))
    sigma = np.linspace(0.5, 4, 40)
    seen = depth_blurred([light], [sigma], 1.2 * sigma, SPACING)
    assert seen.astype(float).sum() == pytest.approx(light.astype(float).sum(), rel=1e-5)


def test_weights_have_the_variance_asked_for_and_sum_to_one():
    sigma = np.array([0.0, 0.2, 1.0, 3.3])
    weights = axial_weights(sigma)
    away = np.arange(weights.shape[1]) - weights.shape[1] // 2
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose((weights * away**2).sum(1), sigma**2, rtol=0.02)


def test_slabs_have_the_bits_of_the_whole(rng):
    light = rng.random((30, 13, 11)).astype(np.float32)
    lateral, axial = np.linspace(0.1, 1, 30), np.linspace(0.5, 4, 30)
    halo = round(axial_reach_um(axial.max(), SPACING[0]) / SPACING[0])
    whole = depth_blurred([light], [lateral], axial, SPACING)
    for begin, stop in ((halo, halo + 1), (halo, 17), (11, 30 - halo)):
        part = slice(begin - halo, stop + halo)
        slab = depth_blurred([light[part]], [lateral[part]], axial[part], SPACING, slice(halo, halo + stop - begin))
        np.testing.assert_array_equal(slab, whole[begin:stop])


def test_a_projection_is_the_sum_of_the_blurred_planes(rng):
    light = rng.random((6, 13, 11)).astype(np.float32)
    sigma = np.linspace(0, 2, 6)
    np.testing.assert_allclose(
        projected([light], [sigma], SPACING)[0], plane_blurred([light], [sigma], SPACING).sum(0), rtol=1e-5
    )


def test_what_cannot_be_is_refused():
    light = np.zeros((2, 2, 2), np.float32)
    for sigma in ((-1, 0, 0), (np.nan, 0, 0), (1, 1)):
        with pytest.raises(ConfigError, match="sigma_um"):
            blurred(light, sigma, SPACING)
    with pytest.raises(GridError, match="sigmas_um"):
        plane_blurred([light], [np.zeros(3)], SPACING)
    with pytest.raises(GridError, match="axial_um"):
        depth_blurred([light], [np.zeros(2)], np.zeros(1), SPACING)
    with pytest.raises(ConfigError, match="sigma_um"):
        projected([light], [np.array([0, -1.0])], SPACING)
