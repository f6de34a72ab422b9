"""The thin-plate spline, held against scipy's and against what makes it one."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from registration.landmarks.thin_plate import MOST_POINTS, ThinPlateSpline
from registration.landmarks.thin_plate_inverse import ThinPlateInverse
from volumes import Affine, Composite, Transform
from volumes.errors import TransformError

SHIFT = np.array([1.0, 2.0, 3.0])
FAST = settings(max_examples=15, deadline=None)


def drawn(seed, n=15, bend_um=200.0):
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(-5000, 5000, (n, 3)) + rng.uniform(-2e4, 2e4, 3)
    moving = fixed @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))) + rng.normal(scale=bend_um, size=(n, 3))
    return fixed, moving, fixed.mean(0) + rng.uniform(-8000, 8000, (300, 3))


@given(st.integers(0, 2**31), st.integers(5, 40), st.sampled_from([0.0, 1.0, 500.0]))
@FAST
def test_it_is_scipys(seed, n, smoothing):
    fixed, moving, points = drawn(seed, n)
    weights = np.random.default_rng(seed).uniform(0.3, 3, n)
    mine = ThinPlateSpline.through(fixed, moving, smoothing, weights)
    theirs = RBFInterpolator(fixed, moving, kernel="linear", degree=1, smoothing=smoothing / weights)
    np.testing.assert_allclose(mine(points), theirs(points), rtol=0, atol=1e-6)


def test_it_passes_through_its_points_and_runs_out_into_its_affine_part():
    fixed, moving, _ = drawn(0)
    spline = ThinPlateSpline.through(fixed, moving)
    assert isinstance(spline, Transform)
    np.testing.assert_allclose(spline(fixed), moving, rtol=0, atol=1e-6)
    np.testing.assert_allclose(spline.coefficients.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(spline.coefficients.T @ (fixed - fixed.mean(0)), 0, atol=1e-6)
    far = np.array([[3e7, 0, 0], [0, -3e7, 3e7]])
    np.testing.assert_allclose(spline(far), spline.affine(far), rtol=0, atol=2)


def test_much_smoothing_is_the_affine_map_of_least_squares():
    fixed, moving, points = drawn(1)
    spline = ThinPlateSpline.through(fixed, moving, smoothing=1e12)
    ones = np.column_stack([fixed, np.ones(len(fixed))])
    straight = np.column_stack([points, np.ones(len(points))]) @ np.linalg.lstsq(ones, moving, rcond=None)[0]
    np.testing.assert_allclose(spline(points), straight, rtol=0, atol=1e-3)


def test_it_is_taken_in_blocks_without_a_difference(monkeypatch):
    fixed, moving, points = drawn(2)
    spline = ThinPlateSpline.through(fixed, moving)
    whole = spline(points), spline.jacobian(points), spline.inverse()(points)
    monkeypatch.setattr("registration.landmarks.thin_plate_inverse._BLOCK", 100)
    for a, b in zip(whole, (spline(points), spline.jacobian(points), spline.inverse()(points)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
    assert spline(np.empty((0, 3))).shape == (0, 3)


def test_the_jacobian_is_that_of_small_steps():
    fixed, moving, points = drawn(3)
    spline = ThinPlateSpline.through(fixed, moving)
    steps = np.stack([(spline(points + h) - spline(points - h)) / 2 for h in np.eye(3)], axis=2)
    np.testing.assert_allclose(spline.jacobian(points), steps, rtol=0, atol=1e-4)


def test_the_kinks_are_the_least_determinants_about_the_centres(rng):
    fixed, moving, _ = drawn(4, bend_um=900.0)
    spline = ThinPlateSpline.through(fixed, moving)
    ways = rng.normal(size=(4000, 3))
    ways *= 0.01 / np.linalg.norm(ways, axis=1, keepdims=True)
    least = [np.linalg.det(spline.jacobian(centre + ways)).min() for centre in fixed]
    np.testing.assert_allclose(spline.kinks(), least, rtol=0, atol=0.02)
    assert (spline.kinks() <= np.array(least) + 1e-4).all()


@given(st.integers(0, 2**31))
@FAST
def test_the_inverse_brings_points_back(seed):
    fixed, moving, points = drawn(seed, bend_um=100.0)
    spline = ThinPlateSpline.through(fixed, moving)
    # Landmarks drawn close together fold it: several points are brought to one, and the way back is any of them.
    assume(spline.kinks().min() > 0)
    back = spline.inverse()
    assert isinstance(back, ThinPlateInverse)
    assert isinstance(back, Transform)
    np.testing.assert_allclose(spline(back(points)), points, rtol=0, atol=2e-6)
    np.testing.assert_allclose(back(moving), fixed, rtol=0, atol=1e-4)
    assert back.inverse() is spline


def test_where_it_folds_there_is_no_inverse():
    fixed, moving, points = drawn(5, 30, bend_um=2500.0)
    spline = ThinPlateSpline.through(fixed, moving)
    assert spline.kinks().min() < 0
    with pytest.raises(TransformError, match=r"at \d+ of 300 points: the spline folds") as caught:
        spline.inverse()(spline.affine(points))
    assert caught.value.remedy
    with pytest.raises(TransformError, match="no inverse"):
        spline.inverse()([[np.nan, 0, 0]])


def test_it_composes_like_any_transform():
    fixed, moving, points = drawn(6)
    spline, shift = ThinPlateSpline.through(fixed, moving), Affine.rigid(translation_um=(1, 2, 3))
    assert isinstance(spline @ shift, Composite)
    np.testing.assert_array_equal((spline @ shift)(points), spline(points + SHIFT))
    np.testing.assert_array_equal((shift @ spline)(points), spline(points) + SHIFT)
    np.testing.assert_array_equal((spline.inverse() @ shift)(points), spline.inverse()(points + SHIFT))
    round_trip = (shift @ spline).inverse() @ (shift @ spline)
    np.testing.assert_allclose(round_trip(points), points, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.eye(3), "4 to"),
        (np.zeros((MOST_POINTS + 1, 3)), "4 to"),
        (np.c_[np.zeros(6), np.random.default_rng(0).normal(size=(6, 2))], "one plane"),
    ],
)
def test_points_that_determine_no_spline_are_refused(points, words):
    with pytest.raises(TransformError, match=words) as caught:
        ThinPlateSpline.through(points, points)
    assert caught.value.remedy


def test_two_points_at_one_place_and_equations_that_miss_are_told(monkeypatch):
    fixed, moving, _ = drawn(7)
    with pytest.raises(TransformError, match="one place"):
        ThinPlateSpline.through(fixed[[0, *range(15)]], moving[[0, *range(15)]])
    monkeypatch.setattr("registration.landmarks.thin_plate._MISSED", 1e-20)
    with pytest.raises(TransformError, match="misses its own landmarks"):
        ThinPlateSpline.through(fixed, moving)


def test_a_tolerance_must_be_above_0():
    fixed, moving, _ = drawn(8)
    with pytest.raises(TransformError, match="above 0"):
        ThinPlateInverse(ThinPlateSpline.through(fixed, moving), 0.0)
