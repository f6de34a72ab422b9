"""Channels in their display colours: light adds up, hue follows the shares."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from fusion.colour import is_colour, rgb
from fusion.composite import composite
from volumes import Channel, Volume, from_array
from volumes.errors import ConfigError, ContentError

FULL = ((0.0, 100.0),) * 3


def channels(*values: float, colours: tuple[str, ...] = ("FF0000", "00FF00", "0000FF")) -> Volume:
    """Even channels of the given values in a volume of 1 × 2 × 2."""
    described = [Channel(f"c{i}", "fluorescence", None, c) for i, c in enumerate(colours[: len(values)])]
    data = np.repeat(values, 4).reshape(-1, 1, 2, 2)
    return from_array(data, (1, 1, 1), modality="fluorescence", channels=described)


@pytest.mark.parametrize("values", [(20.0, 50.0, 90.0), (-5.0, 0.0, 100.0), (300.0, 0.0, 10.0)])
def test_primary_channels_are_the_picture_s_own(values: tuple[float, ...]) -> None:
    out = rgb(composite(channels(*values), ranges=FULL))
    assert np.allclose(out[:, 0, 0, 0], np.clip(np.array(values) / 100, 0, 1), atol=1e-6)
    assert np.ptp(out, axis=(1, 2, 3)).max() == 0


def test_a_channel_alone_has_its_own_colour() -> None:
    out = rgb(composite(channels(100.0, 0.0, colours=("FF8000", "00FFFF")), ranges=FULL[:2]))
    assert np.allclose(out[:, 0, 0, 0] * 255, [255, 128, 0], atol=1e-3)


def test_light_beyond_white_dims_and_keeps_its_hue() -> None:
    out = rgb(composite(channels(100.0, 80.0, colours=("FF0000", "FF8000")), ranges=FULL[:2]))[:, 0, 0, 0]
    summed = np.array([1 + 0.8, 0.8 * 128 / 255, 0])
    assert out.max() == pytest.approx(1)
    assert colorsys.rgb_to_hsv(*out)[0] == pytest.approx(colorsys.rgb_to_hsv(*summed)[0], abs=1e-6)


def test_ranges_are_measured_where_the_volume_is_valid(rng: np.random.Generator) -> None:
    data = rng.random((2, 4, 30, 30)).astype(np.float32)
    valid = np.ones((4, 30, 30), bool)
    valid[:, :, 20:] = False
    described = [Channel("a", "fluorescence", 488, "00FF00"), Channel("b", "fluorescence", 561, "FF00FF")]
    broken = np.where(valid, data * 900 + 50, np.nan)
    volume = from_array(broken, (1, 1, 1), modality="fluorescence", channels=described, valid=valid)
    out = composite(volume)
    assert is_colour(out.channels)
    assert {c.modality for c in out.channels} == {"fluorescence"}
    low, high = np.quantile(broken[0][valid], [0.005, 0.998])
    expected = np.where(valid, np.clip((broken[0] - low) / (high - low), 0, 1), 0)
    assert np.allclose(rgb(out)[1], expected, atol=1e-5)
    assert (rgb(out)[:, ~valid] == 0).all()


def test_what_cannot_be_drawn_is_refused() -> None:
    two = channels(1.0, 2.0, colours=("00FF00", "00FF00"))
    with pytest.raises(ConfigError, match="cannot be told apart"):
        composite(two, ranges=FULL[:2])
    assert composite(two, ["00FF00", "FF00FF"], FULL[:2]).grid == two.grid
    with pytest.raises(ConfigError, match="RRGGBB"):
        composite(two, ["00FF00", "green!"], FULL[:2])
    with pytest.raises(ConfigError, match="1 colours for 2"):
        composite(two, ["00FF00"])
    with pytest.raises(ConfigError, match="low end"):
        composite(two, ["00FF00", "FF00FF"], ((0.0, 1.0), (1.0, 1.0)))
    with pytest.raises(ConfigError, match="1 ranges for 2"):
        composite(two, ["00FF00", "FF00FF"], ((0.0, 1.0),))
    with pytest.raises(ContentError, match="constant"):
        composite(channels(1.0, 2.0))
    with pytest.raises(ContentError, match="labels"):
        composite(from_array(np.ones((1, 4, 4), np.uint8), (1, 1, 1), modality="labels"))
