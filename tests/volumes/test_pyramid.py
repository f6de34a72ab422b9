"""Pyramids against a plain numpy reading of Burt and Adelson's equations."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes.pyramid import collapse, detail, expand, gaussian_pyramid, halving_axes, laplacian_pyramid, reduce

SHAPES = [(11, 37, 41), (1, 33, 20), (16, 16, 16), (3, 5, 100), (2, 2, 2), (1, 1, 9), (1, 1, 1)]
SPACINGS = [(1.0, 1.0, 1.0), (4.0, 0.5, 0.5), (2.0, 0.3, 0.5)]
WEIGHTS = np.array([1, 4, 6, 4, 1]) / 16


def along(function, data, axis):
    return np.moveaxis(function(np.moveaxis(data, axis, 0)), 0, axis)


def plain_reduce(data):
    """Smooth along the first axis under mirrored edges, and keep every second."""
    padded = np.pad(data, [(2, 2)] + [(0, 0)] * (data.ndim - 1), mode="reflect")
    smooth = sum(w * padded[i : i + len(data)] for i, w in enumerate(WEIGHTS))
    return smooth[::2]


def plain_expand(data, n):
    """Repeat the edges, put zeros between, smooth with twice the weights, and cut the padding off."""
    padded = np.pad(data, [(2, 2)] + [(0, 0)] * (data.ndim - 1), mode="edge")
    spread = np.zeros((2 * len(padded), *data.shape[1:]))
    spread[::2] = padded
    smooth = sum(2 * w * np.roll(spread, 2 - i, axis=0) for i, w in enumerate(WEIGHTS))
    return smooth[4 : 4 + n]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(11, 37, 41), (2, 3, 4), (5, 2, 6)])
def test_one_step_is_the_plain_convolution(shape, axis, rng):
    data = rng.random(shape)
    small = reduce(data, (axis,))
    np.testing.assert_allclose(small, along(plain_reduce, data, axis), atol=1e-14)
    large = expand(small, shape, (axis,))
    np.testing.assert_allclose(large, along(lambda a: plain_expand(a, shape[axis]), small, axis), atol=1e-14)


def test_axes_are_independent(rng):
    data = rng.random((11, 12, 13))
    expected = reduce(reduce(reduce(data, (2,)), (1,)), (0,))
    np.testing.assert_allclose(reduce(data, (0, 1, 2)), expected, atol=1e-14)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "error"), [(np.float64, 1e-15), (np.float32, 2.5e-7)])
def test_collapse_undoes_the_laplacian(shape, spacing, kind, error, rng):
    data = rng.random(shape).astype(kind)
    for levels in (None, 0, 1, 9):
        back = collapse(laplacian_pyramid(data, spacing, levels))
        assert back.dtype == kind
        np.testing.assert_allclose(back, data, rtol=0, atol=error)


def test_anisotropic_axes_wait_until_the_voxels_are_nearly_cubic():
    levels = gaussian_pyramid(np.zeros((32, 128, 128)), (4.0, 0.5, 0.5), levels=5)
    assert [level.spacing_um for level in levels] == [
        (4.0, 0.5, 0.5),
        (4.0, 1.0, 1.0),
        (4.0, 2.0, 2.0),
        (4.0, 4.0, 4.0),
        (8.0, 8.0, 8.0),
        (16.0, 16.0, 16.0),
    ]
    assert [level.data.shape for level in levels] == [
        (32, 128, 128),
        (32, 64, 64),
        (32, 32, 32),
        (32, 16, 16),
        (16, 8, 8),
        (8, 4, 4),
    ]


@given(st.tuples(*[st.integers(1, 64)] * 3), st.tuples(*[st.floats(0.1, 10)] * 3), st.integers(2, 8))
@settings(max_examples=200)
def test_a_halved_axis_is_long_enough_and_not_coarser(shape, spacing, smallest):
    axes = halving_axes(shape, spacing, smallest)
    assert (axes == ()) == (max(shape) < smallest)
    for axis in axes:
        assert shape[axis] >= smallest
        assert all(spacing[axis] < 1.5 * spacing[other] for other in range(3) if shape[other] >= smallest)


@pytest.mark.parametrize("shape", SHAPES)
def test_left_alone_the_pyramid_ends_when_no_axis_has_eight_voxels(shape):
    levels = gaussian_pyramid(np.zeros(shape), (1.0, 1.0, 1.0))
    assert max(levels[-1].data.shape) < 8
    assert len(levels) == 1 or max(levels[-2].data.shape) >= 8


def test_no_more_levels_than_asked_and_none_past_single_voxels():
    assert len(gaussian_pyramid(np.zeros((16, 16, 16)), (1, 1, 1), levels=2)) == 3
    assert gaussian_pyramid(np.zeros((5, 5, 5)), (1, 1, 1), levels=50)[-1].data.shape == (1, 1, 1)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_constant_stays_and_has_no_detail(kind):
    data = np.full((11, 37, 41), 3.7, kind)
    for level in gaussian_pyramid(data, (2.0, 1.0, 1.0)):
        np.testing.assert_allclose(level.data, kind(3.7), rtol=4 * np.finfo(kind).eps)
    for band in laplacian_pyramid(data, (2.0, 1.0, 1.0))[:-1]:
        np.testing.assert_allclose(band.data, 0, atol=20 * np.finfo(kind).eps)


def test_the_pyramid_is_linear(rng):
    a, b = rng.random((2, 11, 21, 17))
    mixed = laplacian_pyramid(2 * a - 3 * b, (2.0, 1.0, 1.0))
    apart = zip(laplacian_pyramid(a, (2.0, 1.0, 1.0)), laplacian_pyramid(b, (2.0, 1.0, 1.0)), strict=True)
    for both, (one, other) in zip(mixed, apart, strict=True):
        np.testing.assert_allclose(both.data, 2 * one.data - 3 * other.data, atol=1e-13)


def test_the_mean_stays_about_the_same(rng):
    data = rng.random((33, 65, 65))
    for level in gaussian_pyramid(data, (1.0, 1.0, 1.0), levels=3):
        assert level.data.mean() == pytest.approx(data.mean(), rel=0.02)


def test_voxel_zero_keeps_its_place():
    """A ramp is still that ramp at the coarse voxels' places, away from the mirrored edge."""
    ramp = np.broadcast_to(np.arange(65.0), (3, 4, 65))
    for level in gaussian_pyramid(ramp, (9.0, 9.0, 1.0), levels=3):
        places = np.arange(level.data.shape[2]) * level.spacing_um[2]
        inner = (places > 16) & (places < 48)
        np.testing.assert_allclose(level.data[0, 0, inner], places[inner], atol=1e-12)


@pytest.mark.parametrize(("kind", "expected"), [("u1", "f4"), ("i4", "f4"), (">f4", "f4"), (">f8", "f8"), ("f8", "f8")])
def test_the_type_is_a_native_float(kind, expected, rng):
    data = (rng.random((9, 9, 9)) * 100).astype(kind)
    levels = gaussian_pyramid(data, (1, 1, 1), levels=1)
    assert all(level.data.dtype == np.dtype(expected) for level in levels)
    np.testing.assert_array_equal(levels[0].data, data.astype(expected))


def test_the_input_is_not_written_to(rng):
    data = rng.random((9, 9, 9))
    data.flags.writeable = False
    collapse(laplacian_pyramid(data, (1, 1, 1)))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", [(11, 37, 41), (1, 33, 20), (3, 5, 100)])
def test_a_detail_is_what_a_level_has_beyond_the_next(shape, spacing, rng):
    gauss = gaussian_pyramid(rng.random(shape), spacing)
    for fine, coarse in pairwise(gauss):
        axes = tuple(i for i in range(3) if coarse.spacing_um[i] > fine.spacing_um[i])
        out = np.full(fine.data.shape, np.nan)
        assert detail(fine, coarse, out) is out
        np.testing.assert_allclose(out, fine.data - expand(coarse.data, fine.data.shape, axes), atol=1e-15)
        np.testing.assert_array_equal(detail(fine, coarse), out)


def test_collapsing_leaves_the_bands_as_they_are(rng):
    bands = laplacian_pyramid(rng.random((6, 20, 21)), (1.0, 1.0, 1.0))
    before = [band.data.copy() for band in bands]
    collapse(bands)
    assert all(np.array_equal(band.data, was) for band, was in zip(bands, before, strict=True))
