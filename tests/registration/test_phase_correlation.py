"""The shift between two volumes: a specimen known at every point of space, against the truth and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage
from skimage.registration import phase_cross_correlation

import volumes
from registration.drift.phase_correlation import Spectra, best_shift, padded, shift_between
from registration.drift.views import BlankError, lattice, view
from volumes import Grid
from volumes.errors import ConfigError, ContentError, TransformError

GRID = Grid((16, 36, 40), (2.0, 1.0, 1.0))
REACH = 60.0
"""µm around the field that hold cells too: what leaves on one side comes in at another."""


def cells(grid, shift=(0.0, 0.0, 0.0), *, seed=0, noise=0.02, tone=(1.0, 0.0), move=0.0, count=200):
    """Gaussian cells all over the place, moved by a shift, each a little on its own, in another tone, with noise."""
    rng = np.random.default_rng(seed)
    low, high = GRID.corners_um.min(0) - REACH / 2, GRID.corners_um.max(0) + REACH / 2
    centres, widths = rng.uniform(low, high, (count, 3)), rng.uniform(2.0, 3.5, count)
    heights = rng.uniform(0.4, 1.0, count)
    own = np.random.default_rng([seed, int(1e6 * abs(sum(shift))) + 1])
    centres = centres + shift + move * own.standard_normal(centres.shape)
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    light = np.zeros(len(points))
    for centre, width, height in zip(centres, widths, heights, strict=True):
        light += height * np.exp(-((points - centre) ** 2).sum(1) / (2 * width**2))
    light = tone[0] * (light + noise * own.standard_normal(len(light))) + tone[1]
    return volumes.from_array(
        light.reshape(grid.shape).astype(np.float32),
        grid.spacing_um,
        modality="fluorescence",
        origin_um=grid.origin_um,
        direction=grid.direction,
    )


@pytest.fixture(scope="module")
def fixed():
    return cells(GRID)


def off(found, truth):
    return float(np.linalg.norm(np.subtract(found.um, truth)))


@pytest.mark.parametrize(
    ("shift", "within"),
    [((0, 0, 0), 0.05), ((2.0, -3.0, 5.0), 0.12), ((0.7, 0.35, -0.6), 0.12), ((-5.3, 8.4, 10.7), 0.3)],
    ids=["none", "whole", "part", "far"],
)
def test_a_known_shift_is_found_to_a_part_of_a_voxel(fixed, shift, within):
    found = shift_between(fixed, cells(GRID, shift))
    assert off(found, shift) < within
    assert found.height > 8
    assert found.likeness > 0.8
    sides = 1 - np.abs(shift) / GRID.extent_um
    assert found.overlap == pytest.approx(np.prod(sides), abs=0.06)
    np.testing.assert_allclose(found.transform([[1.0, 2, 3]]), [np.add([1, 2, 3], found.um)])


def test_borders_draw_it_less_to_no_shift_than_the_peer(fixed):
    shift = (-5.3, 8.4, 10.7)
    moving = cells(GRID, shift)
    peer = phase_cross_correlation(fixed.channel(), moving.channel(), upsample_factor=20, normalization=None)[0]
    ours = off(shift_between(fixed, moving), shift)
    assert ours < 0.2 * np.linalg.norm(-peer * GRID.spacing_um - shift)


def test_the_way_back_is_the_opposite(fixed):
    moving = cells(GRID, (1.2, -2.3, 3.4))
    there, back = shift_between(fixed, moving), shift_between(moving, fixed)
    np.testing.assert_allclose(there.um, np.negative(back.um), atol=0.05)


@pytest.mark.parametrize("tone", [(0.2, 0.0), (1.0, 500.0), (3000.0, -7.0)], ids=["bleached", "offset", "scaled"])
def test_the_tone_does_not_count(fixed, tone):
    shift = (1.2, -2.3, 3.4)
    assert off(shift_between(fixed, cells(GRID, shift, tone=tone)), shift) < 0.12


def test_grids_may_differ_in_every_way(fixed):
    shift = (2.0, -3.0, 1.5)
    direction = ((0, 0, -1.0), (0, 1.0, 0), (1.0, 0, 0))
    other = Grid((30, 26, 20), (1.5, 1.25, 1.5), (31.0, 3.0, -2.0), direction)
    found = shift_between(fixed, cells(other, shift))
    assert off(found, shift) < 0.3


def test_a_crop_of_the_field_is_found_by_its_origin(fixed):
    part = Grid((10, 20, 24), GRID.spacing_um, (8.0, 10.0, 9.0))
    found = shift_between(fixed, cells(part, (1.0, 2.0, -1.0)))
    assert off(found, (1, 2, -1)) < 0.5
    assert found.overlap == pytest.approx(1, abs=0.05)


@settings(max_examples=8, deadline=None)
@given(st.tuples(st.integers(-3, 3), st.integers(-6, 6), st.integers(-6, 6)))
def test_whole_voxels_are_met_exactly(step):
    """Cropped from one array at two places, the two agree in every voxel that they share."""
    whole = np.random.default_rng(1).standard_normal((22, 44, 44))
    whole = ndimage.gaussian_filter(whole, 1.5).astype(np.float32)
    at = [slice(4, 18), slice(8, 36), slice(8, 36)]
    there = [slice(a.start - s, a.stop - s) for a, s in zip(at, step, strict=True)]
    one, two = (volumes.from_array(whole[tuple(part)], (1, 1, 1), modality="CT") for part in (at, there))
    np.testing.assert_allclose(shift_between(one, two).um, step, atol=0.25)


def test_the_correlation_is_the_one_that_sums_give():
    """At a handful of shifts, against the definition."""
    rng = np.random.default_rng(3)
    one, two = (volumes.from_array(rng.random(s), (1, 1, 1), modality="CT") for s in ((5, 9, 8), (6, 8, 9)))
    onto = lattice(one.grid, 10_000)
    views = [view(v, onto) for v in (one, two)]
    shape = padded((5, 9, 8), (6, 8, 9), 0.3)
    found = best_shift(*(Spectra(v, shape) for v in views), 0.3)
    a, b = (v.contrast.astype(float) for v in views)
    scores = {}
    for step in np.ndindex(9, 13, 13):
        k = np.subtract(step, (4, 6, 6))
        pairs = [
            (slice(max(0, -s), min(n, m - s)), slice(max(0, s), min(m, n + s)))
            for s, n, m in zip(k, a.shape, b.shape, strict=True)
        ]
        f, m = a[tuple(p[0] for p in pairs)], b[tuple(p[1] for p in pairs)]
        share = f.size / min(a.size, b.size)
        if share >= 0.3:
            scores[tuple(k.tolist())] = (f * m).sum() / np.sqrt((f**2).sum() * (m**2).sum()), share
    best = max(scores, key=lambda k: scores[k][0] * np.sqrt(scores[k][1]))
    assert np.abs(np.subtract(found.um, best)).max() <= 1
    assert (found.likeness, found.overlap) == pytest.approx(scores[best], abs=1e-4)


def test_what_a_mask_leaves_out_does_not_count(fixed):
    shift = (0.8, -3.0, 2.4)
    moving = cells(GRID, shift)
    dirt = moving.channel().copy()
    dirt[:, 20:30, 22:34] += 40 * np.random.default_rng(0).random((16, 10, 12)).astype(np.float32)
    inside = np.ones(GRID.shape, bool)
    inside[:, 20:30, 22:34] = False
    assert off(shift_between(fixed, moving.with_data(dirt), moving_mask=inside), shift) < 0.2
    dirt[:, 20:30, 22:34] = np.nan
    hole = volumes.from_array(dirt, GRID.spacing_um, modality="fluorescence", valid=inside)
    assert off(shift_between(fixed, hole), shift) < 0.2
    assert off(shift_between(hole, fixed), np.negative(shift)) < 0.2


def test_a_single_plane_has_no_shift_in_depth():
    flat = Grid((1, 60, 64), (1.0, 1.0, 1.0))
    found = shift_between(cells(flat, count=400), cells(flat, (0, 3.5, -2.5), count=400))
    assert found.um[0] == 0
    assert off(found, (0, 3.5, -2.5)) < 0.15


def test_large_volumes_are_worked_on_coarsely(fixed):
    shift = (1.2, -2.3, 3.4)
    moving = cells(GRID, shift)
    for settings_ in ({"most_voxels": 6000}, {"finest_um": 2.0}):
        onto = lattice(GRID, settings_.get("most_voxels", 10**9), settings_.get("finest_um"))
        assert onto.spacing_um == (2.0, 2.0, 2.0)
        assert off(shift_between(fixed, moving, **settings_), shift) < 0.3


def test_chance_does_not_stand_high(fixed):
    rng = np.random.default_rng(0)
    for _ in range(4):
        noise = fixed.with_data(rng.standard_normal(GRID.shape).astype(np.float32))
        found = shift_between(fixed, noise)
        assert found.height < 6
        assert found.rival > 0.6
    assert shift_between(fixed, cells(GRID, seed=9)).height < 6


def test_the_error_that_is_told_is_the_error_that_is_made(fixed):
    """Over many draws of noise and of the cells' own ways, within a factor of two."""
    for noise, move in ((0.6, 0.0), (0.02, 0.8)):
        shifts = [(0.1 * k, -0.2 * k, 0.3 * k) for k in range(1, 7)]
        found = [shift_between(fixed, cells(GRID, s, noise=noise, move=move)) for s in shifts]
        made = np.sqrt(np.mean([off(f, s) ** 2 for f, s in zip(found, shifts, strict=True)]))
        told = np.sqrt(np.mean([f.error_um**2 for f in found]))
        assert 0.5 < made / told < 2


def test_two_runs_are_bit_identical_whatever_the_workers(fixed):
    moving = cells(GRID, (1.2, -2.3, 3.4))
    with fft.set_workers(2):
        two = shift_between(fixed, moving)
    assert two == shift_between(fixed, moving)


def test_a_bound_on_the_shift_is_kept(fixed):
    moving = cells(GRID, (0, 0, 8.0))
    found = shift_between(fixed, moving, largest_um=4.0)
    assert np.linalg.norm(found.um) <= 4 + 2  # the peak may lie a voxel past the last step that is tried
    far = Grid(GRID.shape, GRID.spacing_um, (0, 200.0, 0))
    with pytest.raises(TransformError, match="overlap"):
        shift_between(fixed, cells(far), largest_um=20.0)


def test_what_shows_nothing_is_refused(fixed):
    for empty in (np.zeros, np.ones):
        with pytest.raises(BlankError, match="moving"):
            shift_between(fixed, fixed.with_data(empty(GRID.shape, np.float32) * 1e5))
    with pytest.raises(BlankError, match="mask is empty"):
        shift_between(fixed, fixed, fixed_mask=np.zeros(GRID.shape, bool))
    with pytest.raises(ContentError, match="fixed_mask"):
        shift_between(fixed, fixed, fixed_mask=np.ones((2, 2, 2), bool))
    broken = fixed.channel().copy()
    broken[3, 4, 5] = np.nan
    with pytest.raises(ContentError, match="NaN"):
        shift_between(fixed, fixed.with_data(broken))


@pytest.mark.parametrize("bad", [{"least_overlap": 0.0}, {"least_overlap": 1.0}, {"most_voxels": 0}])
def test_settings_out_of_range_are_refused(fixed, bad):
    with pytest.raises(ConfigError):
        shift_between(fixed, fixed, **bad)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_unit_of_the_voxels_does_not_count(fixed, unit):
    shift = (1.2, -2.3, 3.4)
    pair = [v.with_data(v.array.astype(np.float64) * unit) for v in (fixed, cells(GRID, shift))]
    np.testing.assert_allclose(shift_between(*pair).um, shift_between(fixed, cells(GRID, shift)).um, atol=1e-3)


def test_hot_pixels_do_not_hold_it_back(fixed):
    shift = (1.2, -2.3, 3.4)
    hot = np.random.default_rng(2).integers(0, GRID.shape, (5, 3)).T
    pair = []
    for volume in (fixed, cells(GRID, shift)):
        voxels = volume.channel().copy()
        voxels[tuple(hot)] += 30
        pair.append(volume.with_data(voxels))
    assert off(shift_between(*pair), shift) < 0.3
