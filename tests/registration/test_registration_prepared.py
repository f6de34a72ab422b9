"""What is made of a volume before it is registered, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import volumes
from registration.prepared import MARGIN, prepare, rebinned
from volumes.errors import ContentError


def volume(voxels, spacing=(2.0, 2.0, 2.0), **more):
    return volumes.from_array(voxels, spacing, modality="MRI", **more)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64]), (4, 5, 6), elements=st.integers(0, 99)
    )
)
def test_bins_stay_where_the_spline_fits_and_follow_the_intensities(voxels):
    if voxels.min() == voxels.max():
        with pytest.raises(ContentError, match="constant"):
            prepare(volume(voxels), None, 32, 0, "fixed")
        return
    bins = prepare(volume(voxels), None, 32, 0, "fixed").scales[0].bins
    assert bins.min() >= MARGIN
    assert bins.max() <= 32 - 2 - MARGIN
    order = np.argsort(voxels, axis=None, kind="stable")
    assert (np.diff(bins.ravel()[order]) >= 0).all()


def test_one_bright_voxel_does_not_squeeze_the_rest(rng):
    voxels = rng.random((20, 20, 20))
    voxels[3, 3, 3] = 1e30
    bins = prepare(volume(voxels), None, 32, 0, "fixed").scales[0].bins
    assert np.median(bins) == pytest.approx((32 - 1) / 2, abs=1)


def test_a_few_bright_voxels_in_the_dark_are_still_seen():
    voxels = np.zeros((20, 20, 20), np.uint8)
    voxels[4, 5, 6] = 200
    bins = prepare(volume(voxels), None, 32, 0, "fixed").scales[0].bins
    assert bins[4, 5, 6] - bins[0, 0, 0] == 32 - 2 - 2 * MARGIN


def test_scales_halve_until_nearly_cubic_and_are_chosen_by_their_spacing(rng):
    ready = prepare(volume(rng.random((12, 64, 64)), (8.0, 1.0, 1.0)), None, 32, 0, "fixed")
    spacings = [scale.grid.spacing_um for scale in ready.scales]
    assert spacings[:4] == [(8, 1, 1), (8, 2, 2), (8, 4, 4), (8, 8, 8)]
    assert ready.at(1.0).grid.spacing_um == (8, 1, 1)
    assert ready.at(4.0).grid.spacing_um == (8, 4, 4)
    assert ready.at(0.1).grid.spacing_um == (8, 1, 1)
    assert ready.at(1e6) is ready.scales[-1]


def test_a_short_axis_does_not_let_the_others_grow_past_what_is_asked(rng):
    ready = prepare(volume(rng.random((9, 96, 96))), None, 32, 0, "fixed")
    assert max(ready.at(4.0).grid.spacing_um) == 4.0


def test_middles_and_radius_are_those_of_the_specimen(specimen, points):
    ready = prepare(specimen.seen(), None, 32, 0, "fixed")
    truth = points.mean(axis=0)
    for centre in ready.centres_um[:2]:
        assert np.linalg.norm(centre - truth) < 8
    np.testing.assert_allclose(ready.centres_um[2], ready.grid.centre_um[0])
    assert ready.radius_um == pytest.approx(np.sqrt(((points - truth) ** 2).sum(1).mean()), rel=0.2)
    assert (specimen(ready.foreground_um) > 0.2).mean() > 0.9


def test_masked_voxels_have_no_say(specimen, rng):
    seen = specimen.seen()
    mask = np.ones(seen.grid.shape, bool)
    mask[:, :, 30:] = False
    spoilt = seen.array[0].copy()
    spoilt[~mask] = rng.random(int((~mask).sum())) * 1e6
    clean = prepare(seen, mask, 32, 0, "fixed")
    dirty = prepare(seen.with_data(spoilt), mask, 32, 0, "fixed")
    for a, b in zip(clean.scales, dirty.scales, strict=True):
        np.testing.assert_array_equal(a.bins, b.bins)
    np.testing.assert_array_equal(clean.foreground_um, dirty.foreground_um)
    assert clean.grid.to_index(clean.foreground_um)[:, 2].max() < 30
    assert clean.volume_um3 == pytest.approx(30 / 44 * np.prod(seen.grid.extent_um), rel=0.1)


def test_a_full_mask_is_no_mask(specimen):
    seen = specimen.seen()
    assert prepare(seen, np.ones(seen.grid.shape, bool), 32, 0, "fixed").scales[0].inside is None


def test_nan_under_the_mask_is_allowed_and_elsewhere_refused(rng):
    voxels = rng.random((6, 7, 8))
    voxels[0] = np.nan
    valid = np.isfinite(voxels)
    ready = prepare(volume(voxels, valid=valid), None, 32, 0, "fixed")
    assert all(np.isfinite(scale.bins).all() for scale in ready.scales)
    with pytest.raises(ContentError, match=r"fixed.*NaN"):
        prepare(volume(voxels), None, 32, 0, "fixed")


@pytest.mark.parametrize(
    ("voxels", "mask", "said"),
    [
        (np.zeros((6, 6, 6)), None, "constant"),
        (np.full((6, 6, 6), 7, np.uint8), None, "constant"),
        (np.arange(36.0).reshape(1, 6, 6), None, "at least 3 voxels"),
        (np.arange(216.0).reshape(6, 6, 6), np.zeros((6, 6, 6), bool), "mask is empty"),
        (np.arange(216.0).reshape(6, 6, 6), np.ones((5, 6, 6), bool), "mask of shape"),
    ],
)
def test_unusable_volumes_are_refused_by_name(voxels, mask, said):
    with pytest.raises(ContentError, match=said) as caught:
        prepare(volume(voxels), mask, 32, 0, "moving")
    assert caught.value.field.startswith("moving")


def test_a_range_that_overflows_is_refused():
    voxels = np.zeros((5, 5, 5))
    voxels[::2] = 1.7e308
    voxels[1::2] = -1.7e308
    with pytest.raises(ContentError):
        prepare(volume(voxels), None, 32, 0, "fixed")


def test_other_bins_are_those_that_preparing_with_them_gives(specimen):
    few, many = (prepare(specimen.seen(), None, bins, 0, "fixed") for bins in (18, 32))
    for a, b in zip(few.scales, many.scales, strict=True):
        np.testing.assert_allclose(rebinned(b, 32, 18).bins, a.bins, atol=1e-4)
    assert rebinned(many.scales[0], 32, 32) is many.scales[0]
