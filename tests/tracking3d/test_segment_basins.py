"""The joining watershed and the roundness, against scipy, skimage and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import reconstruction

from tracking3d.segment.basins import LEVELS, basins
from tracking3d.segment.roundness import roundness

ALL_NEIGHBOURS = np.ones((3, 3, 3))


def profile(*heights):
    """A height map along x."""
    return np.array(heights, float).reshape(1, 1, -1)


def n_basins(height, depth):
    return int(basins(height, height > 0, depth).max())


def test_two_peaks_stay_apart_when_the_neck_is_narrow_enough():
    # The neck of .7 is .3 under the lower peak of 1.
    hills = profile(0.2, 1.0, 0.7, 2.0, 0.2)
    assert n_basins(hills, 0.25) == 2
    assert n_basins(hills, 0.35) == 1


def test_depth_is_relative_to_the_lower_peak():
    small_and_large = profile(0.1, 0.2, 0.1, 2.0, 0.1)
    assert n_basins(small_and_large, 0.4) == 2
    assert n_basins(10 * small_and_large, 0.4) == 2


def test_a_plateau_is_one_basin():
    assert n_basins(np.ones((3, 4, 5)), 0.01) == 1
    flat = np.zeros((2, 2, 2))
    assert basins(flat, np.ones_like(flat, bool), 0.1).tolist() == np.ones((2, 2, 2), int).tolist()


def test_an_empty_mask_has_no_basin():
    height = np.ones((2, 3, 4))
    assert not basins(height, np.zeros(height.shape, bool), 0.2).any()


def test_labels_count_from_the_highest_peak():
    labels = basins(profile(1, 3, 1, 0, 1, 5, 1, 0, 2), profile(1, 1, 1, 0, 1, 1, 1, 0, 1) > 0, 0.1)
    assert labels.ravel().tolist() == [2, 2, 2, 0, 1, 1, 1, 0, 3]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), depth=st.floats(0.05, 0.9))
def test_basins_are_the_peaks_that_morphological_reconstruction_keeps(seed, depth):
    """With log heights a relative depth is a fixed one, and the h-maxima are those of a greyscale reconstruction."""
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.random((6, 12, 12)), 1.2)
    height = np.rint(height / height.max() * LEVELS) / LEVELS
    mask = np.ones(height.shape, bool)
    logarithm = np.log(height)
    kept = reconstruction(logarithm + np.log(1 - depth), logarithm, footprint=ALL_NEIGHBOURS)
    # A peak survives where the reconstruction still has a regional maximum.
    top = ndimage.maximum_filter(kept, footprint=ALL_NEIGHBOURS)
    flat_zones, n = ndimage.label(kept == top, ALL_NEIGHBOURS)
    regional = 0
    for zone in range(1, n + 1):
        here = flat_zones == zone
        if len(np.unique(kept[here])) == 1:
            around = ndimage.binary_dilation(here, ALL_NEIGHBOURS) & ~here
            regional += not around.any() or bool(kept[around].max() < kept[here].max())
    assert int(basins(height, mask, depth).max()) == regional


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_basin_is_connected_and_fills_the_mask(seed):
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.random((5, 10, 10)), 1)
    mask = height > np.median(height)
    labels = basins(height, mask, 0.05)
    np.testing.assert_array_equal(labels > 0, mask)
    assert set(np.unique(labels[mask])) == set(range(1, labels.max() + 1))
    for label in range(1, labels.max() + 1):
        assert ndimage.label(labels == label, ALL_NEIGHBOURS)[1] == 1


def test_a_depth_near_one_leaves_the_connected_parts(rng):
    mask = ndimage.gaussian_filter(rng.random((8, 20, 20)), 1.5) > 0.5
    height = ndimage.distance_transform_edt(mask)
    assert basins(height, mask, 0.999).max() == ndimage.label(mask, ALL_NEIGHBOURS)[1]


def ellipsoid(shape, spacing, centre, radii):
    """A solid ellipsoid; centre and radii in µm."""
    axes = [np.arange(n) * s for n, s in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    parts = ((a - c) / r for a, c, r in zip((z, y, x), centre, radii, strict=True))
    return sum(p**2 for p in parts) <= 1


def test_roundness_is_one_for_an_ellipsoid_and_the_closed_form_for_two_balls():
    spacing = (1.0, 0.5, 0.5)
    shape = (30, 60, 120)
    one = ellipsoid(shape, spacing, (15, 15, 20), (10, 6, 12))
    left = ellipsoid(shape, spacing, (15, 15, 20), (9, 9, 9))
    right = ellipsoid(shape, spacing, (15, 15, 38), (9, 9, 9))
    round_, voxels = roundness(one.astype(np.int32), spacing)
    assert round_[0] == pytest.approx(1, abs=0.01)
    assert voxels.tolist() == [one.sum()]
    # Along their axis the variance of two unit balls at distance 2 is 1/5 + 1: 2 / √6.
    assert roundness((left | right).astype(np.int32), spacing)[0][0] == pytest.approx(2 / np.sqrt(6), abs=0.01)


def test_roundness_of_a_shell_is_low_and_of_an_absent_label_zero():
    ball = ellipsoid((40, 40, 40), (1, 1, 1), (20, 20, 20), (18, 18, 18))
    hollow = ball & ~ellipsoid((40, 40, 40), (1, 1, 1), (20, 20, 20), (15, 15, 15))
    round_, voxels = roundness(np.where(hollow, 3, 0), (1.0, 1.0, 1.0))
    assert round_[2] < 0.5
    assert voxels[:2].tolist() == [0, 0]
    assert round_[:2].tolist() == [0, 0]


def test_a_disc_in_one_slice_is_nearly_round():
    disc = ellipsoid((1, 60, 60), (1, 1, 1), (0, 30, 30), (1, 25, 25)).astype(np.int32)
    # A flat cylinder: π r² h over (4π/3) 5^(3/2) (r²/4) (h/√12).
    assert roundness(disc, (1.0, 1.0, 1.0))[0][0] == pytest.approx(12**0.5 * 3 / 5**1.5, abs=0.01)
