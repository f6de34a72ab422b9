"""Normalised intensities mean the same whatever the scanner's unit: affine invariance and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from fusion.prepare import WhiteStripeConfig, hounsfield, matched_scale, percentile, white_stripe
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError, GridError

SPACING = (2.0, 1.0, 1.0)


def volume(data: np.ndarray, modality: str = "MRI", **more: object) -> Volume:
    return from_array(data, SPACING, modality=modality, **more)


@pytest.fixture
def head(rng: np.random.Generator) -> np.ndarray:
    """Air, CSF, grey and white matter: 20 % white at 100 ± 5, 30 % grey at 70 ± 6, 10 % CSF at 35 ± 6, the rest air."""
    tissue = rng.choice(4, (20, 60, 60), p=[0.4, 0.1, 0.3, 0.2])
    return np.array([2.0, 35, 70, 100])[tissue] + rng.normal(size=tissue.shape) * np.array([1.0, 6, 6, 5])[tissue]


def test_percentiles_are_numpy_s_where_the_volume_is_valid(rng: np.random.Generator) -> None:
    data = rng.gamma(2, 50, (2, 6, 20, 20))
    valid = rng.random((6, 20, 20)) < 0.7
    broken = np.where(valid, data, np.nan)
    out = percentile(volume(broken, valid=valid), 1, 99, clip=False).array
    for before, after in zip(data, out, strict=True):
        low, high = np.percentile(before[valid], [1, 99])
        assert np.allclose(after[valid], (before[valid] - low) / (high - low), atol=1e-5)
        assert (after[~valid] == 0).all()
    clipped = percentile(volume(broken, valid=valid), 1, 99).array
    assert np.allclose(clipped, np.clip(out, 0, 1))


def test_percentiles_do_not_know_the_unit(rng: np.random.Generator) -> None:
    data = rng.normal(size=(4, 30, 30))
    plain, moved = percentile(volume(data)), percentile(volume(300 * data - 7000))
    assert np.allclose(plain.array, moved.array, atol=1e-5)


def test_hounsfield_windows(rng: np.random.Generator) -> None:
    hu = np.array([-1000, 0, 40, 80, 240, 3000], np.int16).reshape(1, 2, 3)
    assert np.allclose(hounsfield(volume(hu, "CT"), "brain").channel().ravel(), [0, 0, 0.5, 1, 1, 1])
    assert np.allclose(hounsfield(volume(hu, "CT")).channel().ravel(), [0, 0.4, 0.5, 0.6, 1, 1])
    assert np.allclose(hounsfield(volume(hu, "CT"), (0, 2000)).channel().ravel(), [0, 0.5, 0.52, 0.54, 0.62, 1])


def test_white_matter_is_zero_on_any_scanner(head: np.ndarray) -> None:
    once = white_stripe(volume(head))
    again = white_stripe(volume(head * 41 + 1234))
    assert np.allclose(once.array, again.array, atol=0.02)
    zero = head.ravel()[np.argmin(np.abs(once.array.ravel()))]
    assert abs(zero - 100) < 1.0


def test_the_stripe_of_one_tissue_has_its_closed_form(rng: np.random.Generator) -> None:
    """Of N(m, s) the middle tenth is a normal cut at ±0.1257 s."""
    data = rng.normal(500, 20, (40, 60, 60))
    everywhere = np.ones(data.shape, bool)
    out = white_stripe(volume(data), everywhere, WhiteStripeConfig(smoothing=3))
    unit = truncnorm(-0.12566, 0.12566).std() * 20
    slope = np.polyfit(data.ravel(), out.channel().ravel(), 1)
    assert slope[0] == pytest.approx(1 / unit, rel=0.02)
    assert -slope[1] / slope[0] == pytest.approx(500, abs=2)


def test_a_t2_volume_takes_the_most_frequent_tissue(head: np.ndarray) -> None:
    out = white_stripe(volume(head), head > 20, WhiteStripeConfig(contrast="T2"))
    assert abs(head.ravel()[np.argmin(np.abs(out.array.ravel()))] - 70) < 1.5


def test_sources_on_one_scale_lead_back_to_their_own_units(rng: np.random.Generator) -> None:
    pair = [volume(rng.normal(size=(5, 30, 30)) * 50), volume(rng.normal(size=(5, 30, 30)) * 3000 + 100, "CT")]
    matched, scales = matched_scale(pair)
    spans = [np.subtract(*np.percentile(m.channel(), [99.8, 0.5])) for m in matched]
    assert spans[0] == pytest.approx(spans[1], rel=1e-5)
    for own, common, scale in zip(pair, matched, scales, strict=True):
        assert np.allclose(scale.to_own(common.channel()), own.channel(), rtol=1e-5, atol=0.01)


def test_what_has_no_scale_is_refused(head: np.ndarray) -> None:
    flat = volume(np.full((2, 8, 8), 7.0))
    with pytest.raises(ContentError, match="no range"):
        percentile(flat)
    with pytest.raises(ConfigError, match="low < high"):
        percentile(flat, 50, 50)
    with pytest.raises(ContentError, match="is constant"):
        white_stripe(flat)
    with pytest.raises(GridError, match="mask"):
        white_stripe(volume(head), np.ones((2, 2, 2), bool))
    with pytest.raises(ContentError, match="no valid voxel"):
        white_stripe(volume(head), np.zeros(head.shape, bool))
    with pytest.raises(ContentError, match="a CT's"):
        hounsfield(flat)
    with pytest.raises(ConfigError, match="Known: brain"):
        hounsfield(volume(head, "CT"), "heart")
    with pytest.raises(ConfigError, match="width above 0"):
        hounsfield(volume(head, "CT"), (40, 0))
    nan = volume(np.where(np.arange(64).reshape(1, 8, 8) == 3, np.nan, 1.0))
    for step in (percentile, white_stripe):
        with pytest.raises(ContentError, match="NaN"):
            step(nan)
    with pytest.raises(ContentError, match="one channel"):
        matched_scale([volume(np.ones((2, 2, 8, 8)))])
