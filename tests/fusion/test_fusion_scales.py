"""The common scale: robust ranges against numpy's percentiles, and what gains and offsets must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fusion
from fusion.ranges import robust_range
from fusion.scales import Scale, matching_scales
from volumes import from_array
from volumes.errors import ConfigError, ContentError

finite = st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6)


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, st.integers(1, 400), elements=finite))
def test_the_range_is_numpys_percentiles(values: np.ndarray) -> None:
    low, high = np.percentile(values.astype(float), [0.5, 99.8])
    if low == high:
        low, high = values.min(), values.max()
    assert robust_range(values, "A") == pytest.approx((low, high), rel=1e-9, abs=1e-9)


def test_hot_voxels_do_not_stretch_the_range(rng: np.random.Generator) -> None:
    values = rng.normal(size=20_000).astype(np.float32)
    quiet = robust_range(values, "A")
    values[:20] = 1e6
    assert robust_range(values, "A") == pytest.approx(quiet, rel=0.1)


def test_a_range_of_specks_falls_back_to_the_extremes() -> None:
    values = np.zeros(10_000)
    values[7] = 5
    assert robust_range(values, "A") == (0, 5)


@pytest.mark.parametrize("far", [[0, 1e-20], [-1e308, 1e308], [0, 1e25], [1, 1 + 2e-16]])
def test_spans_past_float32_are_refused(far: list[float]) -> None:
    with pytest.raises(ContentError, match=r"A: spans more than 1e\+18 or less than 1e-15.*unit"):
        robust_range(np.array(far), "A")


def test_sources_share_their_range_and_its_mean(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(4, 20, 20)), 700 + 30 * rng.normal(size=(4, 20, 20))
    scales = matching_scales([a, b], None, "percentile")
    (low_a, high_a), (low_b, high_b) = robust_range(a, "A"), robust_range(b, "B")
    for scale, low, high in zip(scales, (low_a, low_b), (high_a, high_b), strict=True):
        assert scale.gain * low + scale.offset == pytest.approx((low_a + low_b) / 2)
        assert scale.gain * high + scale.offset == pytest.approx((high_a + high_b) / 2)


def test_invalid_voxels_do_not_count(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 4, 20, 20))
    mask = np.ones(a.shape, bool)
    mask[0] = False
    spoilt = a.copy()
    spoilt[0] = 1e9
    everywhere = np.ones(a.shape, bool)
    assert matching_scales([spoilt, b], [mask, everywhere], "percentile") == matching_scales(
        [a, b], [mask, everywhere], "percentile"
    )


def test_a_fused_value_goes_back_to_each_own_unit(rng: np.random.Generator) -> None:
    """Of a volume and a rescaled copy, the fused values say both again."""
    a = rng.normal(size=(6, 24, 24))
    volumes = [from_array(v, (1, 1, 1), modality=m) for v, m in ((a, "MRI"), (50 * a - 1000, "CT"))]
    own, copy = fusion.LPF().scales(volumes)
    out = fusion.fuse(volumes).channel()
    assert np.allclose(own.to_own(out), a, atol=1e-5)
    assert np.allclose(copy.to_own(out), 50 * a - 1000, atol=1e-3)
    assert copy.gain * 50 == pytest.approx(own.gain)


def test_given_scales_are_used_unmeasured(rng: np.random.Generator) -> None:
    """A frame three times as bright comes out three times as bright."""
    a, b = rng.normal(size=(2, 4, 20, 20))
    held = fusion.LPFConfig(match=(Scale(2.0), Scale(0.5)))
    dark, bright = (
        fusion.fuse([from_array(g * v, (1, 1, 1), modality="MRI") for v in (a, b)], held).channel() for g in (1, 3)
    )
    assert np.allclose(bright, 3 * dark, atol=1e-5)


def test_scales_measured_once_can_be_held(rng: np.random.Generator) -> None:
    volumes = [from_array(g * rng.normal(size=(4, 20, 20)), (1, 1, 1), modality="MRI") for g in (1, 40)]
    held = fusion.LPFConfig(match=fusion.LPF().scales(volumes))
    assert np.array_equal(fusion.fuse(volumes, held).channel(), fusion.fuse(volumes).channel())


def test_a_constant_source_has_no_scale(rng: np.random.Generator) -> None:
    with pytest.raises(ContentError, match=r"volumes\[1\]: is constant.*found 7"):
        matching_scales([rng.normal(size=(2, 3, 4)), np.full((2, 3, 4), 7.0)], None, "percentile")
    with pytest.raises(ContentError, match="constant"):
        matching_scales([np.full((2, 3, 4), 5.0), np.full((2, 3, 4), 7.0)], None, "percentile")


def test_one_constant_in_all_sources_has_nothing_to_match() -> None:
    assert matching_scales([np.full((2, 3, 4), 7.0)] * 2, None, "percentile") == (Scale(), Scale())


def test_scales_must_be_one_for_each_source_and_above_zero() -> None:
    with pytest.raises(ConfigError, match="1 scales for 2 sources"):
        matching_scales([np.ones((1, 2, 2))] * 2, None, (Scale(),))
    for gain, offset in ((0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)):
        with pytest.raises(ConfigError, match="gain above zero"):
            Scale(gain, offset)
