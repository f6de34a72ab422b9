"""NMI against a histogram made by hand, and its derivative against differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from scipy.interpolate import BSpline

from registration.linear.histogram import interpolate, normalised_information
from registration.linear.motion import RigidMotion
from registration.linear.similarity import Samples, Similarity, draw
from registration.prepared import Scale, prepare
from volumes import Affine, Grid

BINS = 32


@pytest.fixture(scope="module")
def pair(specimen):
    fixed = prepare(specimen.seen(), None, BINS, 0, "fixed")
    moving = prepare(specimen.seen(tone=lambda b: 1 / (0.5 + b), noise=0.03), None, BINS, 0, "moving")
    return fixed.scales[0], moving.scales[0]


def similarity(pair, count=4000, inside=None) -> Similarity:
    fixed, moving = pair
    return Similarity(draw(fixed, count, 0), Scale(moving.bins, inside, moving.grid), BINS)


def brute_force(metric: Similarity, matrix: np.ndarray) -> float:
    """Every sample alone: scipy's interpolation and B-spline, entropies by scipy.stats."""
    moved = Affine(matrix)(metric.samples.points_um)
    index = metric.moving.grid.to_index(moved)
    shape = np.array(metric.moving.grid.shape)
    outside = np.maximum(np.maximum(-index, index - (shape - 1)), 0)
    mass = np.clip(1 - 2 * outside, 0, 1).prod(axis=1)
    value = ndimage.map_coordinates(metric.moving.bins.astype(float), index.T, order=1, mode="nearest")
    spline = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    histogram = np.zeros((BINS, BINS))
    for bin_, v, m in zip(metric.samples.bins, value, mass, strict=True):
        histogram[bin_] += m * np.nan_to_num(spline(np.arange(BINS) - v))
    p = histogram / histogram.sum()
    return (stats.entropy(p.sum(1)) + stats.entropy(p.sum(0))) / stats.entropy(p.ravel())


MOTIONS = {
    "as it lies": Affine.identity(),
    "turned": Affine.rigid((0.1, -0.2, 0.3), (4.0, -5.0, 6.0)),
    "half outside": Affine.rigid((0.0, 0.1, 0.0), (40.0, 20.0, 0.0)),
}


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_value_is_that_of_a_histogram_made_by_hand(pair, motion):
    metric = similarity(pair, 1500)
    assert metric.value(motion.matrix)[0] == pytest.approx(brute_force(metric, motion.matrix), rel=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_derivative_by_the_parameters_agrees_with_differences(pair, motion, masked):
    inside = None
    if masked:
        keep = np.zeros(pair[1].grid.shape, np.float32)
        keep[5:30, 4:33, 8:40] = 1
        inside = ndimage.gaussian_filter(keep, 1.5)
    metric = similarity(pair, 4000, inside)
    about = RigidMotion(motion.matrix, np.array([2.0, -3.0, 4.0]), 30.0, 3.0)
    rng = np.random.default_rng(1)
    for parameters in (np.zeros(6), rng.normal(0, 0.5, 6)):
        slope = about.slope(parameters, metric.slope(about.matrix(parameters))[2])
        step = 1e-5
        numeric = [
            (metric.value(about.matrix(parameters + e))[0] - metric.value(about.matrix(parameters - e))[0]) / (2 * step)
            for e in np.eye(6) * step
        ]
        np.testing.assert_allclose(slope, numeric, atol=0.02 * np.abs(slope).max())


def test_overlap_is_the_share_of_samples_inside_and_nothing_is_left_far_away(pair):
    metric = similarity(pair)
    extent = pair[1].grid.extent_um[2]
    half = np.array(Affine.rigid(translation_um=(0.0, 0.0, extent / 2)).matrix)
    assert metric.value(np.eye(4))[1] == pytest.approx(1, abs=0.03)
    assert metric.value(half)[1] == pytest.approx(0.5, abs=0.03)
    far = np.array(Affine.rigid(translation_um=(0.0, 0.0, 3 * extent)).matrix)
    nmi, overlap, slope = metric.slope(far)
    assert (nmi, overlap) == (0.0, 0.0)
    assert not slope.any()


def test_samples_under_the_moving_mask_do_not_count(pair):
    inside = np.ones(pair[1].grid.shape, np.float32)
    inside[:, :, :22] = 0
    spoilt = pair[1].bins.copy()
    spoilt[:, :, :21] = 5.0
    honest = similarity(pair, inside=inside)
    blinded = Similarity(honest.samples, Scale(spoilt, inside, pair[1].grid), BINS)
    assert honest.value(np.eye(4)) == blinded.value(np.eye(4))
    assert honest.value(np.eye(4))[1] == pytest.approx(0.5, abs=0.03)


def test_peak_lies_at_the_truth_and_chance_far_below(pair):
    metric = similarity(pair, 10_000)
    at_truth = metric.value(np.eye(4))[0]
    for shift in np.eye(3) * 6:
        assert metric.value(Affine.rigid(translation_um=shift.tolist()).matrix)[0] < at_truth
    assert metric.chance(np.eye(4), 0) - 1 < 0.2 * (at_truth - 1)


def test_rough_ranking_follows_the_true_one(pair):
    metric = similarity(pair, 3000)
    rng = np.random.default_rng(2)
    matrices = np.stack([Affine.rigid(rng.normal(0, 0.4, 3), rng.normal(0, 8, 3)).matrix for _ in range(60)])
    rough, overlaps = metric.rank(matrices)
    fine = np.array([metric.value(m) for m in matrices])
    assert stats.spearmanr(rough, fine[:, 0]).statistic > 0.9
    np.testing.assert_allclose(overlaps, fine[:, 1], atol=0.03)


def test_samples_are_the_same_again_spread_evenly_and_inside_the_mask(pair):
    fixed = pair[0]
    first, again, other = draw(fixed, 3000, 0), draw(fixed, 3000, 0), draw(fixed, 3000, 1)
    np.testing.assert_array_equal(first.points_um, again.points_um)
    assert not np.array_equal(first.points_um, other.points_um)
    assert 2500 < len(first.bins) < 4000
    counts = np.histogramdd(first.points_um, bins=3)[0]
    assert counts.min() > 0.6 * counts.mean()
    inside = np.zeros(fixed.grid.shape, np.float32)
    inside[10:20, 10:30, 10:30] = 1
    kept = draw(Scale(fixed.bins, inside, fixed.grid), 3000, 0)
    index = fixed.grid.to_index(kept.points_um)
    assert (index > np.array([10, 10, 10]) - 0.02).all()
    assert (index < np.array([19, 29, 29]) + 0.02).all()
    assert len(kept.bins) > 1500


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-1.5, 7.5)] * 3), st.integers(0, 5))
def test_interpolation_is_scipys_and_its_slope_a_difference(at, seed):
    shape = (5, 6, 1) if seed == 0 else (5, 6, 7)
    voxels = np.random.default_rng(seed).random(shape)
    value, *slope = interpolate(voxels, *at)
    assert value == pytest.approx(
        ndimage.map_coordinates(voxels, np.array(at)[:, None], order=1, mode="nearest")[0], abs=1e-12
    )
    for axis in range(3):
        if abs(at[axis] - round(at[axis])) > 1e-3:
            up, down = np.array(at), np.array(at)
            up[axis] += 1e-4
            down[axis] -= 1e-4
            difference = (interpolate(voxels, *up)[0] - interpolate(voxels, *down)[0]) / 2e-4
            assert slope[axis] == pytest.approx(difference, abs=1e-6)


def test_nmi_is_one_when_independent_and_two_when_one_gives_the_other():
    table = np.empty((8, 8))
    independent = np.outer(np.arange(1.0, 9.0), np.arange(2.0, 10.0))
    assert normalised_information(independent, independent.sum(), table) == pytest.approx(1)
    dependent = np.diag(np.arange(1.0, 9.0))[::-1].copy()
    assert normalised_information(dependent, dependent.sum(), table) == pytest.approx(2)
    single = np.zeros((8, 8))
    single[3, 4] = 5.0
    assert normalised_information(single, 5.0, table) == 1.0


def test_world_axes_of_the_moving_grid_are_obeyed(pair, specimen):
    """The same voxels under a turned direction need the turned transform to give the same similarity."""
    fixed, moving = pair
    turn = Affine.rigid((0.3, 0.2, -0.4))
    grid = moving.grid
    direction = turn.matrix[:3, :3] @ grid.axes
    origin = turn(np.array([grid.origin_um]))[0]
    turned = Grid(grid.shape, grid.spacing_um, tuple(origin), tuple(map(tuple, direction)))
    samples: Samples = draw(fixed, 2000, 0)
    here = Similarity(samples, moving, BINS).value(np.eye(4))
    there = Similarity(samples, Scale(moving.bins, None, turned), BINS).value(turn.matrix)
    assert there == pytest.approx(here, rel=1e-6)
