"""Detections from labels, against numpy and closed forms."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking3d.detect import detect
from volumes.errors import ContentError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, from_array

SPACING = (2.0, 0.5, 0.75)


def labels_of(voxels, **where):
    return from_array(np.asarray(voxels), SPACING, modality="labels", **where)


def turn(angle_z, angle_y):
    """A rotation matrix, nested tuples."""
    c, s = np.cos(angle_z), np.sin(angle_z)
    about_z = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(angle_y), np.sin(angle_y)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return (about_z @ about_y).tolist()


@settings(max_examples=30, deadline=None)
@given(
    voxels=arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 0, 1, 2, 9])),
    angles=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_every_column_equals_its_definition(voxels, angles):
    direction, origin = turn(*angles), np.array([10.0, -20.0, 30.0])
    intensity = np.arange(voxels.size, dtype=float).reshape(voxels.shape)
    labels = labels_of(voxels, origin_um=origin, direction=direction)
    image = from_array(intensity, SPACING, modality="fluorescence", origin_um=origin, direction=direction)
    numbers = [n for n in np.unique(voxels) if n]
    indices = [np.argwhere(voxels == n) for n in numbers]
    centres = [origin + np.asarray(direction) @ (np.asarray(SPACING) * i.mean(axis=0)) for i in indices]
    if len(np.unique(np.round(centres, 6), axis=0)) < len(numbers):
        return
    cells = detect(labels, image)
    assert cells.features["label"].tolist() == numbers
    for row, (number, index, centre) in enumerate(zip(numbers, indices, centres, strict=True)):
        np.testing.assert_allclose(cells.zyx_um[row], centre, atol=1e-9)
        volume = len(index) * np.prod(SPACING)
        assert cells.volume_um3[row] == pytest.approx(volume)
        assert cells.features["equivalent_diameter"][row] == pytest.approx((6 * volume / np.pi) ** (1 / 3))
        assert cells.features["mean_intensity"][row] == pytest.approx(intensity[voxels == number].mean())
        box = np.ptp(index, axis=0) + 1
        extents = [cells.features[f"extent_{axis}"][row] for axis in "zyx"]
        np.testing.assert_allclose(extents, box * SPACING)
        last = np.array(voxels.shape) - 1
        at_face = ((index.min(axis=0) == 0) | (index.max(axis=0) == last)) & (last > 0)
        assert cells.features["touches_border"][row] == at_face.any()


def test_a_ball_lies_at_its_centre_whatever_the_direction():
    z, y, x = np.indices((15, 40, 30))
    ball = ((z - 6) * 2.0) ** 2 + ((y - 22) * 0.5) ** 2 + ((x - 13) * 0.75) ** 2 <= 7.0**2
    direction = np.array(turn(0.7, -0.4))
    cells = detect(labels_of(ball.astype(np.uint16), origin_um=(1, 2, 3), direction=direction))
    np.testing.assert_allclose(cells.zyx_um[0], [1, 2, 3] + direction @ (12.0, 11.0, 9.75), atol=1e-9)
    assert cells.volume_um3[0] == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.03)
    assert cells.features["equivalent_diameter"][0] == pytest.approx(14, rel=0.01)


def test_a_movie_counts_frames_and_knows_its_interval():
    first, second = np.zeros((2, 1, 4, 4), np.uint8)
    first[0, 0, 0], first[0, 3, 3], second[0, 1, 1] = 5, 6, 5
    movie = TimeLapse.of([labels_of(first, time_s=0.0), labels_of(np.zeros_like(first), time_s=9.0)])
    movie = TimeLapse.of([movie[0], movie[1], labels_of(second, time_s=18.0)])
    cells = detect(movie)
    assert cells.t.tolist() == [0, 0, 2]
    assert cells.features["label"].tolist() == [5, 6, 5]
    assert cells.id.tolist() == [0, 1, 2]
    assert cells.dt_s == 9.0


def test_no_label_is_an_empty_table_with_all_columns():
    volume = labels_of(np.zeros((2, 3, 4), np.uint16))
    cells = detect(volume, from_array(np.ones((2, 3, 4)), SPACING, modality="fluorescence"))
    assert len(cells) == 0
    assert {"label", "mean_intensity", "touches_border"} <= set(cells.features)


def test_each_channel_has_its_mean_and_invalid_voxels_none():
    labels = np.array([[[1, 1, 2, 3]]])
    valid = np.array([[[True, False, True, False]]])
    channels = (Channel("green", "fluorescence"), Channel("deep", "SWIR"))
    image = from_array(
        [[[[2.0, np.nan, 4.0, 8.0]]], [[[1.0, 5.0, 7.0, 9.0]]]],
        SPACING,
        modality="fluorescence",
        channels=channels,
        valid=valid,
    )
    cells = detect(labels_of(labels), image)
    np.testing.assert_array_equal(cells.features["mean_green"], [2.0, 4.0, np.nan])
    np.testing.assert_array_equal(cells.features["mean_deep"], [1.0, 7.0, np.nan])


def test_a_label_in_two_pieces_is_counted_and_told(caplog):
    labels = np.zeros((1, 5, 9), np.int32)
    labels[0, 0, 0], labels[0, 4, 8], labels[0, 2, 2:5] = 7, 7, 8
    labels[0, 3, 5] = 8
    with caplog.at_level(logging.WARNING):
        cells = detect(labels_of(labels))
    assert cells.features["pieces"].tolist() == [2, 1]
    assert "1 labels are in several pieces, the first is 7" in caplog.text


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int64])
def test_any_whole_number_type_gives_the_same_table(kind):
    voxels = np.array([[[0, 3, 3], [0, 0, 100]]])
    cells = detect(labels_of(voxels.astype(kind)))
    assert cells.features["label"].tolist() == [3, 100]
    np.testing.assert_allclose(cells.volume_um3, [1.5, 0.75])


def test_numbers_of_billions_need_no_table_of_billions():
    voxels = np.array([[[0, 4_000_000_000, 7, 7]]], np.uint32)
    cells = detect(labels_of(voxels))
    assert cells.features["label"].tolist() == [7, 4_000_000_000]
    np.testing.assert_allclose(cells.zyx_um[:, 2], [2.5 * 0.75, 0.75])
    no_background = detect(labels_of(np.array([[[4_000_000_000, 7]]], np.uint32)))
    assert no_background.features["label"].tolist() == [7, 4_000_000_000]


@pytest.mark.parametrize(
    ("voxels", "problem"),
    [
        (np.array([[[0.0, 1.0]]]), "whole numbers"),
        (np.array([[[0, -1]]]), "negative"),
        (np.array([[[False, True]]]), "whole numbers"),
        (np.zeros((2, 1, 1, 2), int), "one channel"),
    ],
)
def test_labels_that_are_none_are_refused(voxels, problem):
    with pytest.raises(ContentError, match=problem) as caught:
        detect(labels_of(voxels))
    assert "frame 0" in caught.value.field


def test_intensities_elsewhere_are_refused():
    labels = labels_of(np.ones((1, 2, 2), int))
    with pytest.raises(GridError, match="labels' grid"):
        detect(labels, from_array(np.ones((1, 2, 2)), (2.0, 0.5, 0.8), modality="fluorescence"))
    with pytest.raises(ContentError, match="NaN"):
        detect(labels, from_array(np.full((1, 2, 2), np.nan), SPACING, modality="fluorescence"))


def test_a_movie_of_another_length_is_refused():
    frames = TimeLapse.from_array(np.ones((3, 1, 2, 2), int), SPACING, dt_s=1.0, modality="labels")
    image = TimeLapse.from_array(np.ones((2, 1, 2, 2)), SPACING, dt_s=1.0, modality="fluorescence")
    for labels, intensity in ((frames, image), (frames, image[0]), (frames[0], image)):
        with pytest.raises(ContentError) as caught:
            detect(labels, intensity)
        assert caught.value.field == "intensity"
