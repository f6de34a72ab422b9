"""Thresholds against brute force, and what counts as standing out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tracking3d.segment.threshold import cell_level, noise_level, otsu, stands_out


def between_classes(values, level):
    """ω₁ω₂(μ₁ − μ₂)² of the values themselves."""
    low, high = values[values < level], values[values >= level]
    if not len(low) or not len(high):
        return 0.0
    return len(low) * len(high) * (low.mean() - high.mean()) ** 2


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95), gap=st.floats(0.5, 20))
def test_otsu_is_the_argmax_of_the_between_class_variance(seed, share, gap):
    rng = np.random.default_rng(seed)
    # Whole numbers 0 … 255 fall into one bin each, so that the histogram loses nothing.
    values = np.where(rng.random(400) < share, rng.normal(60, 15, 400), rng.normal(60 + 8 * gap, 15, 400))
    values = np.unique(np.concatenate([np.clip(np.rint(values), 1, 254), [0, 255]]), return_inverse=False)
    values = rng.choice(values, 300)
    values = np.concatenate([values, [0.0, 255.0]])
    best = max(between_classes(values, level) for level in np.unique(values))
    assert between_classes(values, otsu(values)) == pytest.approx(best, rel=1e-9)


def test_otsu_parts_two_levels_between_them():
    values = np.array([3.0] * 90 + [11.0] * 10)
    assert otsu(values) == pytest.approx(7.0, abs=0.05)


def test_otsu_of_equal_values_leaves_nothing_above():
    assert otsu(np.full(5, 7.0)) == 7.0


@pytest.mark.parametrize("scale", [0.25, 8.0, 4096.0])
@pytest.mark.parametrize("offset", [-100.0, 0.0, 1000.0])
def test_thresholds_follow_scale_and_offset(rng, scale, offset):
    values = np.concatenate([rng.normal(10, 1, 5000), rng.normal(30, 5, 800)]).astype(np.float32)
    moved = (scale * values + offset).astype(np.float32)
    for level in (otsu, cell_level):
        assert level(moved) == pytest.approx(scale * level(values) + offset, abs=0.3 * scale)


def test_glare_does_not_lift_the_level_over_dim_cells(rng):
    dim = np.concatenate([rng.normal(10, 1, 9000), rng.normal(40, 4, 900)])
    glare = np.full(60, 2000.0)
    values = np.concatenate([dim, glare]).astype(np.float32)
    assert otsu(values) > 50
    assert 13 < cell_level(values) < 32


def test_cells_that_fill_less_than_the_glare_are_still_above_the_level(rng):
    values = np.concatenate([rng.normal(10, 1, 99800), np.full(200, 60.0)]).astype(np.float32)
    level = cell_level(values)
    assert 15 < level < 60
    assert np.count_nonzero(values > level) == 200


def test_noise_level_is_the_standard_deviation_of_white_noise(rng):
    noise = rng.normal(100, 7, (20, 40, 40)).astype(np.float32)
    inside = np.ones(noise.shape, bool)
    assert noise_level(noise, inside) == pytest.approx(7, rel=0.02)
    noise[:, :, 30:] = 1e6
    inside[:, :, 30:] = False
    assert noise_level(noise, inside) == pytest.approx(7, rel=0.02)
    assert noise_level(noise[..., :1], inside[..., :1]) == 0.0


def test_cells_stand_out_and_noise_does_not(rng):
    noise = rng.normal(0, 1, (16, 40, 40)).astype(np.float32)
    cells = noise.copy()
    cells[4:12, 10:20, 10:20] += 3
    for voxels, expected in ((noise, False), (cells, True)):
        smooth = ndimage.gaussian_filter(voxels, 1)
        assert stands_out(smooth, cell_level(smooth), noise_level(voxels, np.ones(voxels.shape, bool))) is expected


def test_nothing_stands_out_of_one_class():
    flat = np.ones((3, 3), np.float32)
    assert not stands_out(flat, 1.0, 0.0)
    assert not stands_out(flat, 0.0, 0.0)
