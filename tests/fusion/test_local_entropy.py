"""Entropy in a sliding window, against brute force and against scikit-image's rank filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters.rank import entropy as rank_entropy

from fusion.local_entropy import PARTS, local_entropy


def bits(share: np.ndarray) -> float:
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def brute(data: np.ndarray, low: float, high: float, radius: int, bins: int, mask=None) -> np.ndarray:
    """The entropy of the window's mean shares less the mean entropy of each voxel's; x to 1/PARTS of a bin."""
    place = np.clip((data.astype(float) - low) / (high - low), 0, 1) * (bins - 1)
    place = np.floor(place * PARTS + 0.5) / PARTS
    out = np.empty(data.shape)
    for z, y, x in np.ndindex(*data.shape):
        around = tuple(slice(max(c - radius, 0), c + radius + 1) for c in (z, y, x))
        window = (place[around] if mask is None else place[around][mask[around]]).ravel()
        if window.size == 0:
            out[z, y, x] = 0
            continue
        shares = np.maximum(0, 1 - np.abs(window[:, None] - np.arange(bins)))
        out[z, y, x] = bits(shares.mean(axis=0)) - np.mean([bits(share) for share in shares])
    return out


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 9, 13), (7, 6, 11), (4, 1, 5), (1, 1, 1), (2, 3, 2)])
def test_brute_force_agrees(rng: np.random.Generator, shape: tuple[int, int, int], radius: int) -> None:
    data = (40 * rng.normal(size=shape)).astype(np.float32)
    for bins in (2, 7, 32):
        got = local_entropy(data, -50.0, 60.0, None, radius, bins)
        assert np.abs(got - brute(data, -50, 60, radius, bins)).max() < 1e-5


def test_voxels_without_data_are_left_out(rng: np.random.Generator) -> None:
    data = rng.normal(size=(4, 9, 12)).astype(np.float32)
    mask = rng.random(data.shape) < 0.5
    mask[:, :, 8:] = mask[:, 0, :4] = False
    got = local_entropy(data, -2.0, 2.0, mask, 1)
    hidden = local_entropy(np.where(mask, data, 9.0), -2.0, 2.0, mask, 1)
    filled = ndimage.maximum_filter(mask, 3)
    assert np.array_equal(got, hidden)
    assert np.abs(got - brute(data, -2, 2, 1, 32, mask))[filled].max() < 1e-5
    assert (got[~filled] == 0).all()
    assert (~filled).any()


def test_on_whole_bins_it_is_the_plain_entropy_of_scikit_image(rng: np.random.Generator) -> None:
    levels = rng.integers(0, 32, (6, 20, 24)).astype(np.uint8)
    expected = rank_entropy(levels, np.ones((5, 5, 5), np.uint8))
    assert np.abs(local_entropy(levels, 0, 31) - expected).max() < 1e-5


def test_values_between_bins_have_less_by_what_the_bins_blur(rng: np.random.Generator) -> None:
    """Against the plain histogram of continuous values: ∫ h(f) df = 1 / (2 ln 2) = 0.72 bit, less what sharing adds."""
    data = rng.random((9, 30, 30))
    plain = rank_entropy(np.rint(data * 31).astype(np.uint8), np.ones((5, 5, 5), np.uint8))
    less = plain[2:-2, 2:-2, 2:-2] - local_entropy(data, 0, 1)[2:-2, 2:-2, 2:-2]
    assert 0.6 < less.mean() < 0.73


@pytest.mark.parametrize("level", [0.0, 0.016, 0.5, 0.7777, 1.0])
def test_what_is_flat_has_none_wherever_it_lies_between_two_bins(level: float) -> None:
    assert local_entropy(np.full((3, 9, 9), level), 0, 1).max() < 1e-5


def test_flat_regions_have_none_and_an_edge_has_a_bit() -> None:
    data = np.zeros((5, 12, 12), np.float32)
    data[:, :, 6:] = 1
    got = local_entropy(data, 0, 1, radius=1)
    assert (got[:, :, :5] == 0).all()
    third = -(1 / 3 * np.log2(1 / 3) + 2 / 3 * np.log2(2 / 3))
    assert np.allclose(got[:, :, 5:7], third)


def test_a_range_of_one_value_has_none() -> None:
    assert (local_entropy(np.full((3, 4, 5), 7.0), 7.0, 7.0) == 0).all()


def test_outliers_count_as_the_ends(rng: np.random.Generator) -> None:
    data = rng.random((3, 8, 8))
    wild = np.where(data > 0.9, 1e30, data)
    assert np.array_equal(local_entropy(wild, 0, 0.9), local_entropy(np.minimum(data, 0.9), 0, 0.9))


def test_gain_and_offset_leave_it(rng: np.random.Generator) -> None:
    data = rng.normal(size=(4, 15, 15))
    plain, moved = local_entropy(data, -2, 2), local_entropy(3000 * data + 500, -5500, 6500)
    assert np.abs(plain - moved).max() < 0.02
