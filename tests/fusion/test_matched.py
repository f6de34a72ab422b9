"""What all fusers share: what a rule is given, and what becomes of the voxels that it gives."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.matched import fused_on_common_scale, matched_scales
from fusion.scales import Scale, matching_scales
from volumes import Channel, Volume, from_array
from volumes.errors import ContentError, GridError

SHAPE = (3, 12, 14)
SPACING = (3.0, 0.5, 0.5)


class Recorder:
    """A rule that remembers its calls and gives the first source."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __call__(self, sources, masks, spacing_um, channel):
        self.calls.append((sources, masks, spacing_um, channel))
        return sources[0]


@pytest.fixture
def pair(rng: np.random.Generator) -> list[Volume]:
    return [from_array(size * rng.normal(size=SHAPE), SPACING, modality=name, time_s=4.0)
            for size, name in ((1, "MRI"), (300, "CT"))]  # fmt: skip


def test_the_rule_is_given_float32_on_the_common_scale(pair: list[Volume]) -> None:
    rule = Recorder()
    out = fused_on_common_scale(pair, "percentile", rule)
    ((sources, masks, spacing, channel),) = rule.calls
    assert (masks, spacing, channel) == (None, SPACING, 0)
    scales = matching_scales([v.channel() for v in pair], None, "percentile")
    for got, volume, scale in zip(sources, pair, scales, strict=True):
        assert got.dtype == np.float32
        assert np.allclose(got, scale.gain * volume.channel() + scale.offset, rtol=1e-6, atol=1e-4)
    assert np.array_equal(out.channel(), sources[0])
    assert (out.grid, out.time_s, out.valid) == (pair[0].grid, 4.0, None)
    assert out.channels == (Channel("CT+MRI", "fused"),)
    assert matched_scales(pair, "percentile") == scales


def test_gaps_are_filled_for_the_rule_and_cleared_after_it(pair: list[Volume]) -> None:
    first, second = np.ones(SHAPE, bool), np.ones(SHAPE, bool)
    first[:, :5] = False
    second[:, 3:] = False
    holed = [from_array(np.where(mask, v.channel(), np.nan), SPACING, modality=v.modality, valid=mask)
             for v, mask in zip(pair, (first, second), strict=True)]  # fmt: skip
    rule = Recorder()
    out = fused_on_common_scale(holed, "none", rule)
    ((sources, masks, *_),) = rule.calls
    assert all(np.array_equal(a, b) for a, b in zip(masks, (first, second), strict=True))
    assert np.allclose(sources[0][second], pair[1].channel()[second])
    assert np.isfinite(sources).all()
    assert np.array_equal(out.valid, first | second)
    assert (out.channel()[~(first | second)] == 0).all()


def test_the_rule_is_called_once_a_shared_channel_each_on_its_own_scale(pair: list[Volume]) -> None:
    names = [Channel("GFP", "fluorescence"), Channel("RFP", "fluorescence")]
    first = pair[0].with_data(np.concatenate([pair[0].array, 7 * pair[0].array]), names)
    second = pair[1].with_data(np.concatenate([pair[1].array, pair[1].array]), names[::-1])
    rule = Recorder()
    out = fused_on_common_scale([first, second], "percentile", rule)
    assert [call[3] for call in rule.calls] == ["GFP", "RFP"]
    assert out.array.shape == (2, *SHAPE)
    assert [c.name for c in out.channels] == ["GFP", "RFP"]
    for (sources, *_), name in zip(rule.calls, ("GFP", "RFP"), strict=True):
        scales = matched_scales([first, second], "percentile", name)
        assert np.allclose(sources[1], scales[1].to_common(second.channel(name)))
    assert matched_scales([first, second], "percentile", "GFP") != matched_scales([first, second], "percentile", "RFP")


def test_given_scales_are_told_again(pair: list[Volume]) -> None:
    given = (Scale(2.0, 1.0), Scale(0.5))
    assert matched_scales(pair, given) == given


def test_one_source_never_meets_the_rule(pair: list[Volume]) -> None:
    rule = Recorder()
    assert fused_on_common_scale(pair[:1], "percentile", rule) is pair[0]
    assert rule.calls == []


def test_what_cannot_be_fused_never_meets_the_rule(pair: list[Volume]) -> None:
    rule = Recorder()
    with pytest.raises(ContentError, match="at least one"):
        fused_on_common_scale([], "percentile", rule)
    moved = from_array(pair[1].channel(), SPACING, modality="CT", origin_um=(0.0, 9.0, 0.0))
    for call in (lambda v: fused_on_common_scale(v, "percentile", rule), lambda v: matched_scales(v, "percentile")):
        with pytest.raises(GridError, match=r"volumes\.resample\(volumes\[1\]"):
            call([pair[0], moved])
    assert rule.calls == []
