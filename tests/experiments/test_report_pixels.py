"""The pictures' arithmetic: windows, planes, overlays, outlines, the close look and the PNG itself."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from experiments.report.detail import detail_layout, detail_of
from experiments.report.overlay import (
    FIXED_RGB,
    MOVING_RGB,
    checkerboard,
    label_rgb,
    outlined,
    outlines,
    squares,
    tinted_checkerboard,
    two_colours,
)
from experiments.report.planes import (
    Pane,
    brightest,
    centre_of,
    composed,
    fitted,
    layout_of,
    plane,
    seen_from_above,
)
from experiments.report.plate import plane_names, plate_of, png_uri
from experiments.report.window import Window, joint_window, thinned, window_of, window_over
from volumes.grid import Grid
from volumes.volume import from_array

LABELS = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


def opened(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def brute_outlines(labels: np.ndarray) -> np.ndarray:
    out = np.zeros(labels.shape, bool)
    high, wide = labels.shape
    for i in range(high):
        for j in range(wide):
            around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            inside = [labels[a, b] for a, b in around if 0 <= a < high and 0 <= b < wide]
            out[i, j] = labels[i, j] != 0 and any(value != labels[i, j] for value in inside)
    return out


@given(LABELS)
def test_outlines_are_those_of_brute_force(labels):
    np.testing.assert_array_equal(outlines(labels), brute_outlines(labels))


@given(LABELS)
def test_a_second_ring_is_the_outline_of_what_the_first_leaves(labels):
    ring = brute_outlines(labels)
    rest = np.where(ring, 0, labels)
    np.testing.assert_array_equal(outlines(labels, 2), ring | brute_outlines(rest))


def test_checkerboard_takes_each_square_from_its_own_picture():
    fixed, moving = np.full((4, 6), 0.25, np.float32), np.full((4, 6), 0.75, np.float32)
    low, high = 0.25, 0.75
    expected = [
        [low, low, high, high, low, low],
        [low, low, high, high, low, low],
        [high, high, low, low, high, high],
        [high, high, low, low, high, high],
    ]
    np.testing.assert_array_equal(checkerboard(fixed, moving, 2), np.float32(expected))


def test_the_tint_leaves_black_black_and_tells_the_squares_apart():
    board = tinted_checkerboard(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), 1)
    red_over_blue = board[..., 0] > board[..., 2]
    np.testing.assert_array_equal(red_over_blue, squares((2, 2), 1))
    assert not tinted_checkerboard(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32), 1).any()


def test_equal_pictures_overlay_without_colour():
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    shown = two_colours(ramp, ramp)
    np.testing.assert_allclose(shown, np.repeat(ramp[..., None], 3, -1), atol=1e-6)


@pytest.mark.parametrize(("fixed", "moving", "colour"), [(1, 0, FIXED_RGB), (0, 1, MOVING_RGB), (0, 0, (0, 0, 0))])
def test_what_only_one_of_them_holds_has_its_colour(fixed, moving, colour):
    shown = two_colours(np.full((1, 1), fixed, np.float32), np.full((1, 1), moving, np.float32))
    np.testing.assert_allclose(shown[0, 0], colour, atol=1e-6)


def test_a_label_has_one_colour_wherever_it_is():
    first, second = label_rgb(np.array([[0, 7, 8]])), label_rgb(np.array([[8], [7], [7000]]))
    np.testing.assert_array_equal(first[0, 0], 0)
    np.testing.assert_array_equal(first[0, 1], second[1, 0])
    np.testing.assert_array_equal(first[0, 2], second[0, 0])
    assert not np.allclose(first[0, 1], first[0, 2], atol=0.1)


def test_outlined_keeps_the_picture_off_the_line():
    labels = np.zeros((5, 5), int)
    labels[1:4, 1:4] = 2
    shown = outlined(np.full((5, 5), 0.5, np.float32), labels)
    assert (shown[2, 2] == 0.5).all()
    assert (shown[0, 0] == 0.5).all()
    np.testing.assert_array_equal(shown[1, 1], label_rgb(labels)[1, 1])


def test_a_window_ignores_what_is_not_valid_or_not_finite(rng):
    data = rng.uniform(10, 20, (4, 30, 30))
    data[0, 0, 0] = np.nan
    valid = np.ones(data.shape, bool)
    data[1], valid[1] = 1e9, False
    window = window_of(from_array(data, (1, 1, 1), modality="CT", valid=valid))
    assert 10 <= window.low < 10.5
    assert 19.5 < window.high <= 20


def test_a_window_maps_its_ends_and_what_lies_beyond():
    window = Window(10, 20, 0.5)
    np.testing.assert_allclose(window(np.array([[0.0, 10, 12.5, 20, 99, np.nan]])), [[0, 0, 0.5, 1, 1, 0]])


@pytest.mark.parametrize("values", [np.zeros(0), np.full(9, 3.0)])
def test_a_window_over_nothing_or_a_constant_is_black(values):
    assert not window_over(values)(np.full((2, 2), 3.0)).any()


def test_a_window_opens_to_the_whole_range_when_its_percentiles_agree():
    values = np.zeros(5000)
    values[0] = 8
    assert (window_over(values).low, window_over(values).high) == (0, 8)


def test_the_joint_window_holds_every_frame_s():
    frames = [
        from_array(np.linspace(a, b, 1000).reshape(10, 10, 10), (1, 1, 1), modality="CT") for a, b in ((5, 9), (2, 7))
    ]
    joint, each = joint_window(frames), [window_of(frame) for frame in frames]
    assert (joint.low, joint.high) == (each[1].low, each[0].high)


def test_thinning_a_large_axis_tells_its_steps():
    volume = from_array(np.arange(300.0)[None, None], (1, 1, 1), modality="CT")
    values, mask, steps = thinned(volume)
    assert steps == (1, 1, 2)
    np.testing.assert_array_equal(values.ravel(), np.arange(0, 300, 2))
    assert mask.all()


@given(st.tuples(*[st.integers(2, 60)] * 3), st.tuples(*[st.floats(0.2, 20)] * 3), st.integers(200, 900))
def test_panes_share_one_physical_scale_and_do_not_touch(shape, spacing, widest):
    layout = layout_of(Grid(shape, spacing), widest)
    z, y, x = Grid(shape, spacing).extent_um
    for pane, (across, down) in zip(layout.panes, ((x, y), (x, z), (z, y)), strict=True):
        assert abs(pane.width * layout.um_per_px - across) <= layout.um_per_px
        assert abs(pane.height * layout.um_per_px - down) <= layout.um_per_px
    xy, xz, zy = layout.panes
    assert xz.top > xy.top + xy.height
    assert zy.left > xy.left + xy.width
    assert layout.width <= widest + 2
    assert layout.height <= 0.8 * widest + 3


def test_a_single_plane_has_one_pane():
    layout = layout_of(Grid((1, 20, 40), (1, 1, 1)), 400)
    assert [pane.name for pane in layout.panes] == ["xy"]
    assert (layout.width, layout.height) == (400, 200)


def test_planes_run_as_their_names_say():
    data = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    volume = from_array(data, (1, 1, 1), modality="CT")
    np.testing.assert_array_equal(plane(volume, "xy", (1, 2, 3)), data[1])
    np.testing.assert_array_equal(plane(volume, "xz", (1, 2, 3)), data[:, 2])
    np.testing.assert_array_equal(plane(volume, "zy", (1, 2, 3)), data[:, :, 3].T)


def test_what_is_not_valid_is_zero_in_every_plane():
    valid = np.zeros((3, 3, 3), bool)
    valid[1, 1, 1] = True
    volume = from_array(np.full((3, 3, 3), 7.0), (1, 1, 1), modality="CT", valid=valid)
    for name in ("xy", "xz", "zy"):
        assert plane(volume, name, (1, 1, 1)).sum() == 7
    assert brightest(volume).sum() == 7


def test_the_cut_goes_through_the_foreground():
    data = np.zeros((20, 30, 40))
    data[3:6, 20:25, 30:39] = 100
    cut = centre_of(from_array(data, (1, 1, 1), modality="CT"))
    assert cut == (4, 22, 34)


def test_the_cut_of_a_constant_is_its_middle():
    assert centre_of(from_array(np.zeros((4, 6, 8)), (1, 1, 1), modality="CT")) == (2, 3, 4)


def test_the_brightest_along_z_does_not_depend_on_the_block(rng):
    data = rng.normal(size=(11, 5, 6)) - 100
    volume = from_array(data, (1, 1, 1), modality="CT")
    for block in (1, 4, 50):
        np.testing.assert_array_equal(brightest(volume, block=block), data.max(0))


def test_the_first_label_hides_those_behind_it():
    labels = np.zeros((3, 1, 3), np.uint16)
    labels[0, 0, 0], labels[1, 0], labels[2, 0, 2] = 5, (6, 0, 7), 9
    np.testing.assert_array_equal(seen_from_above(from_array(labels, (1, 1, 1), modality="labels")), [[5, 0, 7]])


def test_resizing_labels_makes_no_new_ones():
    labels = np.array([[0, 70001], [3, 0]])
    out = fitted(labels, Pane("xy", 0, 0, 8, 8), nearest=True)
    np.testing.assert_array_equal(out, np.kron(labels, np.ones((4, 4), int)))


def test_composed_puts_every_pane_in_its_place():
    layout = layout_of(Grid((10, 20, 30), (1, 1, 1)), 300)
    value = {"xy": 0.2, "xz": 0.4, "zy": 2.0}
    canvas = composed(layout, lambda pane: np.full((pane.height, pane.width, 3), value[pane.name]))
    for pane, expected in zip(layout.panes, (51, 102, 255), strict=True):
        part = canvas[pane.top : pane.top + pane.height, pane.left : pane.left + pane.width]
        assert (part == expected).all()
    assert (canvas[-1, -1] == 0).all()


def test_a_grey_png_comes_back_exactly_and_a_coloured_one_within_a_step(rng):
    flat = np.repeat(rng.integers(0, 256, (9, 7, 1), np.uint8), 3, -1)
    np.testing.assert_array_equal(opened(png_uri(flat)), flat[..., 0])
    colours = rng.integers(0, 256, (9, 7, 3), np.uint8)
    assert np.abs(opened(png_uri(colours)).astype(int) - colours).max() <= 1
    ends = np.array([[[0, 255, 0], [255, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(opened(png_uri(ends)), ends)


def test_the_scale_bar_is_as_long_as_it_says():
    grid = Grid((10, 100, 200), (4.0, 2.0, 2.0))
    layout = layout_of(grid, 600)
    names = plane_names(layout, grid, (5, 50, 100))
    plate = plate_of(np.zeros((layout.height, layout.width, 3), np.uint8), layout, "nothing", names)
    assert plate.bar.text == "100 µm"
    assert plate.bar.width / 100 * plate.width * layout.um_per_px == pytest.approx(100)
    assert names == ("xy · z = 20 µm", "xz · y = 100 µm", "zy · x = 200 µm")
    assert [mark.text for mark in plate.marks] == [*names[:2], "zy"]


def test_the_close_look_goes_where_the_edges_are(rng):
    data = np.zeros((3, 80, 120))
    data[:, 45:75, 85:115] = rng.uniform(0, 100, (3, 30, 30))
    volume = from_array(data, (1, 1, 1), modality="CT")
    detail = detail_of([volume, volume], (1, 0, 0))
    assert detail is not None
    rows, columns = detail.slices
    assert rows.start <= 46
    assert rows.stop >= 74
    assert columns.start <= 86
    assert columns.stop >= 114
    assert columns.stop <= 120
    layout = detail_layout(volume.grid, detail, 320)
    assert layout.um_per_px == pytest.approx(0.1)
    assert layout.height == 320


def test_a_small_plane_has_no_close_look():
    assert detail_of([from_array(np.zeros((4, 20, 20)), (1, 1, 1), modality="CT")], (0, 0, 0)) is None
