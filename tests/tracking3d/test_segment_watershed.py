"""The watershed on drawn nuclei of known place and size, in anisotropic voxels."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from tracking3d.match import score
from tracking3d.segment.watershed import Watershed, WatershedConfig
from volumes.errors import ContentError
from volumes.volume import Volume, from_array

SPACING = (1.5, 0.5, 0.5)
SHAPE = (16, 70, 80)
TOUCHING = [((12, 15, 10), (5, 5, 5), 100), ((12, 15, 19.6), (5, 5, 5), 100), ((12, 26, 30), (5, 5, 5), 100)]
FIELD = [
    ((7, 8, 9), (5, 5, 5), 100),
    ((13, 8, 28), (5, 6, 4.5), 60),
    ((9, 25, 8), (4.5, 6, 5), 140),
    ((15, 24, 24), (6, 5, 5.5), 80),
    ((12, 12, 18), (4.5, 4, 4.5), 120),
]


def drawn(nuclei, shape=SHAPE, spacing=SPACING, blur=0.6, noise=4.0, seed=1) -> tuple[Volume, Volume]:
    """An image of ellipsoids (centre, radii in µm, brightness) over a level of 20, and its labels."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    image, labels, nearest = np.full(shape, 20.0), np.zeros(shape, np.uint16), np.full(shape, 1.0)
    for number, (centre, radii, bright) in enumerate(nuclei, start=1):
        reach = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True))
        mine = reach <= nearest
        labels[mine], image[mine] = number, 20.0 + bright
        nearest = np.minimum(nearest, reach)
    image = ndimage.gaussian_filter(image, [blur / s for s in spacing]) + rng.normal(0, noise, shape)
    return from_array(image.astype(np.float32), spacing, modality="fluorescence"), from_array(
        labels, spacing, modality="labels"
    )


def found_in(image: Volume, **config) -> Volume:
    return WatershedConfig(**config).build().segment(image)


def sizes(labels: Volume):
    return np.sort(np.bincount(labels.array.ravel())[1:])


def test_nuclei_in_contact_come_apart_where_they_are():
    for nuclei in (TOUCHING, FIELD):
        image, truth = drawn(nuclei)
        scores = score(truth, found_in(image))
        assert scores.n_found == scores.matched == len(nuclei)
        assert scores.seg > 0.8


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_touching_balls_come_apart_along_every_axis(axis):
    centres = [[12.0, 17.0, 17.0], [12.0, 17.0, 17.0]]
    centres[0][axis] -= 4.75
    centres[1][axis] += 4.75
    image, truth = drawn([(c, (5, 5, 5), 100) for c in centres], shape=(20, 70, 70))
    assert score(truth, found_in(image)).matched == 2


def test_a_box_is_no_ellipsoid_and_keeps_its_size_all_the_same():
    voxels = np.full((10, 24, 24), 10, np.uint8)
    voxels[3:7, 6:18, 6:18] = 150
    found = found_in(from_array(voxels, SPACING, modality="fluorescence"))
    assert sizes(found).tolist() == [pytest.approx(4 * 12 * 12, rel=0.1)]


@pytest.mark.parametrize("radii", [(4, 4, 12), (4, 12, 4), (9, 4, 4), (3, 9, 12)])
def test_one_elongated_nucleus_stays_whole(radii):
    image, truth = drawn([((12, 17, 20), radii, 100)])
    scores = score(truth, found_in(image))
    assert (scores.n_found, scores.matched) == (1, 1)


@pytest.mark.parametrize(("scale", "offset"), [(4.0, 0.0), (0.5, 64.0), (1024.0, -4096.0)])
def test_brightness_may_be_scaled_and_shifted(scale, offset):
    image, _ = drawn(FIELD)
    # Whole numbers and powers of two, so that float32 rounds neither.
    whole = image.with_data(np.rint(image.array))
    moved = whole.with_data((scale * whole.array + offset).astype(np.float32))
    before, after = found_in(whole).array, found_in(moved).array
    assert after.max() == before.max()
    assert (before != after).mean() < 1e-3


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_mirrored_volume_holds_the_same_cells(axes):
    image, _ = drawn(FIELD)
    mirrored = image.with_data(np.ascontiguousarray(np.flip(image.channel(), axes)))
    np.testing.assert_allclose(sizes(found_in(mirrored)), sizes(found_in(image)), rtol=0.02)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_axes_may_change_places_with_their_spacing(order):
    image, _ = drawn(FIELD)
    turned = from_array(
        np.ascontiguousarray(image.channel().transpose(order)), [SPACING[i] for i in order], modality="fluorescence"
    )
    np.testing.assert_allclose(sizes(found_in(turned)), sizes(found_in(image)), rtol=0.02)


def test_the_unit_of_length_does_not_matter():
    image, _ = drawn(FIELD)
    larger = from_array(image.channel(), [100 * s for s in SPACING], modality="fluorescence")
    np.testing.assert_array_equal(found_in(larger).array, found_in(image).array)


def test_it_is_deterministic_and_leaves_the_input_alone():
    image, _ = drawn(FIELD)
    before = image.array.copy()
    np.testing.assert_array_equal(found_in(image).array, found_in(image).array)
    np.testing.assert_array_equal(image.array, before)


def test_haze_between_crowded_cells_is_thresholded_again():
    """Each cell's halo lifts what lies between them: a ring of six shows only to the second threshold."""
    ring = [((12, 30 + 11 * np.cos(a), 30 + 11 * np.sin(a)), (4, 4, 4), 110) for a in np.arange(6) * np.pi / 3]
    image, truth = drawn(ring, shape=(16, 120, 120))
    halo = ndimage.gaussian_filter((truth.channel() > 0).astype(np.float32), [4 / s for s in SPACING])
    hazy = image.with_data(image.array + 500 * halo[None])
    assert score(truth, found_in(hazy)).matched == 6
    assert score(truth, found_in(hazy, roundness=0)).matched < 6


def test_a_cavity_is_filled():
    image, _ = drawn([((12, 17, 20), (8, 8, 8), 100)])
    pierced = image.array.copy()
    pierced[0, 8, 32:36, 38:42] = 20
    found = found_in(image.with_data(pierced)).channel()
    assert (found[8, 32:36, 38:42] == 1).all()


def test_no_data_hides_cells_and_stands_beside_one_like_a_face():
    image, _ = drawn(FIELD, noise=0)
    cut = 30
    valid = np.zeros(SHAPE, bool)
    valid[:, :, :cut] = True
    raw = image.array.copy()
    raw[..., cut:] = np.nan
    masked = found_in(Volume(raw, image.grid, image.channels, valid=valid)).channel()
    cropped = found_in(from_array(image.array[0][:, :, :cut], SPACING, modality="fluorescence")).channel()
    assert not masked[:, :, cut:].any()
    assert masked.max() == cropped.max() > 1
    # A face mirrors when smoothing and missing data has no weight: the outlines differ by a hair.
    assert ((masked[:, :, :cut] > 0) != (cropped > 0)).mean() < 0.01


def test_noise_alone_is_no_cell(rng, caplog):
    noise = from_array(rng.normal(100, 10, (12, 50, 50)).astype(np.float32), SPACING, modality="fluorescence")
    with caplog.at_level(logging.WARNING):
        labels = found_in(noise)
    assert not labels.array.any()
    assert "no cell found" in caplog.text


def test_a_threshold_over_everything_leaves_no_cell(caplog):
    image, _ = drawn(FIELD)
    with caplog.at_level(logging.WARNING):
        assert not found_in(image, threshold=1e6).array.any()
    assert "no cell found" in caplog.text


def test_a_stated_threshold_is_the_one_that_is_used():
    image, _ = drawn(FIELD, noise=0)
    low, high = (np.count_nonzero(found_in(image, threshold=t, smoothing_um=0.0).array) for t in (40.0, 90.0))
    above = np.count_nonzero(image.array > 40)
    assert low == pytest.approx(above, rel=0.02)
    assert high < 0.7 * low


def test_small_cells_are_dropped_by_their_volume():
    image, _ = drawn([*FIELD, ((20, 31, 36), (2.2, 2.2, 2.2), 140)])
    assert found_in(image, min_volume_um3=15.0).array.max() == 6
    assert found_in(image, min_volume_um3=100.0).array.max() == 5
    assert not found_in(image, min_volume_um3=1e6).array.any()


def test_one_slice_works():
    image, truth = drawn([((0, 15, 10), (5, 5, 5), 100), ((0, 15, 19.6), (5, 5, 5), 100)], shape=(1, 60, 60))
    assert score(truth, found_in(image)).matched == 2


def test_labels_lie_where_the_image_lies():
    turned = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    image, _ = drawn(FIELD)
    there = from_array(
        image.channel(), SPACING, modality="fluorescence", origin_um=(5, -6, 7), direction=turned, time_s=30.0
    )
    labels = found_in(there)
    assert labels.grid == there.grid
    assert labels.time_s == 30.0
    assert labels.array.dtype == np.uint16
    assert (labels.modality, labels.channels[0].name) == ("labels", "labels")
    assert set(np.unique(labels.array)) == set(range(6))


@pytest.mark.parametrize(
    ("voxels", "problem"),
    [
        (np.full((4, 8, 8), 7, np.uint8), "constant"),
        (np.full((4, 8, 8), np.nan), "NaN"),
        (np.r_[np.inf, np.zeros(255)].reshape(4, 8, 8), "infinite"),
        (np.zeros((2, 4, 8, 8)), "one channel"),
    ],
)
def test_voxels_that_cannot_be_segmented_are_refused(voxels, problem):
    with pytest.raises(ContentError, match=problem):
        Watershed().segment(from_array(voxels, SPACING, modality="fluorescence"))


def test_a_volume_without_a_valid_voxel_is_refused():
    image = from_array(np.zeros((2, 3, 4)), SPACING, modality="fluorescence", valid=np.zeros((2, 3, 4), bool))
    with pytest.raises(ContentError, match="no valid voxel"):
        Watershed().segment(image)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_volume_um3": 0},
        {"min_volume_um3": -1},
        {"min_volume_um3": float("inf")},
        {"smoothing_um": -0.1},
        {"radius_um": 0},
        {"seed_depth": 0},
        {"seed_depth": 1},
        {"roundness": 1.5},
        {"threshold": "ostu"},
        {"threshold": float("nan")},
        {"min_volume": 3},
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        WatershedConfig(**wrong)
