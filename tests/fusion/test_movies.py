"""Fused movies: one scale for all frames, measured on a few of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage

import fusion
from fusion.metrics.flicker import flicker
from fusion.movies import MEASURED, measured_frames, movie_scales, steady
from fusion.ranges import robust_range
from volumes import Channel, TimeLapse, Volume, from_array
from volumes.errors import ConfigError, ContentError

SHAPE = (4, 20, 24)
LAMP = np.array([1.0, 0.6, 1.4, 0.9, 1.1, 0.5, 1.3])
KINDS = [
    fusion.LPFConfig(),
    fusion.LPFConfig(base="entropy"),
    fusion.MeanConfig(),
    fusion.MaxConfig(),
    fusion.WeightedConfig(),
    fusion.DWTConfig(),
]
every_kind = pytest.mark.parametrize("config", KINDS, ids=lambda c: "-".join(map(str, c.model_dump().values())))


class Frames:
    """Loads frames and remembers which."""

    def __init__(self, frames: np.ndarray, channels: Sequence[Channel]) -> None:
        self.frames, self.channels, self.asked = frames, channels, []

    def __call__(self, frame: int) -> Volume:
        self.asked.append(frame)
        return from_array(self.frames[frame], (1.0, 1.0, 1.0), modality="x", channels=self.channels)


def movie(frames: np.ndarray, *names: str) -> TimeLapse:
    load = Frames(frames, [Channel(name, "fluorescence") for name in names])
    return TimeLapse(load(0).grid, load(0).channels, tuple(60.0 * i for i in range(len(frames))), load)


def lit(picture: np.ndarray, factors: np.ndarray = LAMP) -> np.ndarray:
    return factors[:, None, None, None] * picture


@pytest.fixture
def pictures(rng: np.random.Generator) -> list[np.ndarray]:
    """Two specimens on a black ground, so that a factor leaves their lower percentile at 0."""
    blurred = [ndimage.gaussian_filter(rng.normal(size=SHAPE), 1) for _ in range(2)]
    return [size * np.maximum(b, 0) for b, size in zip(blurred, (3.0, 700.0), strict=True)]


@every_kind
def test_a_brighter_frame_stays_brighter_by_as_much(pictures, config) -> None:
    fused = fusion.fuse([movie(lit(p), name) for p, name in zip(pictures, "ab", strict=True)], config)
    frames = [frame.channel() for frame in fused]
    for factor, frame in zip(LAMP, frames, strict=True):
        assert np.abs(frame - factor * frames[0]).max() < 2e-5 * np.abs(frames[0]).max()


@every_kind
def test_a_fused_movie_flickers_no_more_than_its_sources(pictures, config, rng: np.random.Generator) -> None:
    """Each under a lamp of its own, with noise: the fused voxels change no more than the more restless source's."""
    noise = rng.normal(size=(2, len(LAMP), *SHAPE))
    arrays = [lit(p, f) + 0.05 * p.max() * n
              for p, f, n in zip(pictures, (LAMP, LAMP[::-1]), noise, strict=True)]  # fmt: skip
    movies = [movie(array, name) for array, name in zip(arrays, "ab", strict=True)]
    own = [s.to_common(array) for s, array in zip(movie_scales(movies, "percentile"), arrays, strict=True)]
    assert flicker(np.stack([frame.channel() for frame in fusion.fuse(movies, config)]), own) < 1


@every_kind
def test_one_source_s_lamp_does_not_flicker_in_what_the_other_shows(pictures, config) -> None:
    """One source still, the other under a lamp and dark in this half: a scale for each frame would show the lamp."""
    here = np.arange(SHAPE[2]) < 10
    left, right = np.where(here, 200 * pictures[0], 0), np.where(here, 0, pictures[1])
    config = config.model_copy(update={"levels": 1}) if "levels" in type(config).model_fields else config
    movies = [movie(lit(left), "a"), movie(lit(right, np.ones(len(LAMP))), "b")]
    together = np.stack([frame.channel() for frame in fusion.fuse(movies, config)])
    apart = np.stack([fusion.fuse([m[i] for m in movies], config).channel() for i in range(len(LAMP))])
    # One level reaches 7 voxels far at most. Bins of entropies span what both sources do in a frame, so they may move.
    assert np.ptp(together[..., 18:], axis=0).max() < 1e-3 * together.max()
    assert np.ptp(apart[..., 18:], axis=0).max() > 0.2 * together.max()


def test_the_scale_is_that_of_a_few_frames_each_read_once_more(pictures) -> None:
    factors = np.arange(1.0, 42.0)
    a, b = (movie(lit(p, factors), name) for p, name in zip(pictures, "ab", strict=True))
    fused = fusion.fuse([a, b])
    a.load.asked.clear()
    assert a.load.asked == []
    fused[7], fused[8]
    assert a.load.asked == [7, 0, 10, 20, 30, 40, 8]
    mean = np.mean([factors[i] for i in measured_frames(41)])
    ranges = [robust_range(mean * p, "a") for p in pictures]
    span = np.mean([high - low for low, high in ranges])
    for scale, (low, high) in zip(movie_scales([a, b], "percentile"), ranges, strict=True):
        assert scale.gain == pytest.approx(span / (high - low))
        assert scale.offset == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("number", range(1, 30))
def test_measured_frames_are_few_evenly_spaced_and_reach_both_ends(number: int) -> None:
    frames = measured_frames(number)
    assert len(frames) == min(number, MEASURED)
    assert (frames[0], frames[-1]) == (0, number - 1)
    assert number < 3 or np.ptp(np.diff(frames)) <= 1


def test_frames_without_anything_to_measure_are_passed_over(pictures) -> None:
    """A frame that failed is refused when it is asked for, not before, and has no say in the scale of the others."""
    arrays = [lit(p) for p in pictures]
    good = [movie(array, name) for array, name in zip(arrays, "ab", strict=True)]
    broken = arrays[0].copy()
    broken[3] = np.nan
    fused = fusion.fuse([movie(broken, "a"), good[1]])
    assert np.isfinite(fused[0].array).all()
    with pytest.raises(ContentError, match="NaN"):
        fused[3]
    ranges = np.array([robust_range(arrays[0][i], "a") for i in measured_frames(len(LAMP)) if i != 3])
    assert movie_scales([movie(broken, "a")] * 2, "percentile")[0].gain == 1
    other = np.mean([robust_range(arrays[1][i], "b") for i in measured_frames(len(LAMP))], axis=0)
    gains = [s.gain for s in movie_scales([movie(broken, "a"), good[1]], "percentile")]
    assert gains[0] / gains[1] == pytest.approx(np.ptp(other) / np.ptp(ranges.mean(axis=0)))


def test_a_frame_that_is_constant_is_fused_like_the_others(pictures) -> None:
    """A closed shutter in one frame: it has no scale of its own, and needs none."""
    dark = lit(pictures[0])
    dark[4] = 0
    fused = fusion.fuse([movie(dark, "a"), movie(lit(pictures[1]), "b")])
    assert np.isfinite(fused[4].array).all()
    never = movie(np.zeros((3, *SHAPE)), "a")
    with pytest.raises(ContentError, match=r"volumes\[0\]: is constant"):
        fusion.fuse([never, movie(lit(pictures[1])[:3], "b")])[0]
    with pytest.raises(ContentError, match=r"volumes\[1\]: has no valid voxel in any of its frames \(0, 1\)"):
        movie_scales([movie(lit(pictures[0])[:2], "a"), movie(np.full((2, *SHAPE), np.nan), "b")], "percentile")


def test_channels_each_have_a_scale_for_the_movie(pictures) -> None:
    two = [np.stack([lit(p, f) for f in (LAMP, 50 * LAMP[::-1])], axis=1) for p in pictures]
    first, second = movie(two[0], "GFP", "RFP"), movie(two[1][:, ::-1], "RFP", "GFP")
    fused = fusion.fuse([first, second])
    assert [c.name for c in fused[0].channels] == ["GFP", "RFP"]
    for position, (name, factors) in enumerate((("GFP", LAMP), ("RFP", 50 * LAMP[::-1]))):
        alone = fusion.fuse([movie(lit(p, factors), name) for p in pictures])
        for i in (0, 3):
            assert np.array_equal(fused[i].array[position], alone[i].array[0])
    by_name = [movie_scales([first, second], "percentile", name) for name in ("GFP", "RFP")]
    assert by_name[0] != by_name[1]
    assert by_name[0] == movie_scales([first, second], "percentile", "GFP")


class Own:
    """A fuser of someone else, which matches each frame anew."""

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        return fusion.LPF().fuse(volumes)


def test_a_fuser_of_ones_own_is_called_as_it_is(pictures) -> None:
    movies = [movie(lit(p), name) for p, name in zip(pictures, "ab", strict=True)]
    fused = fusion.fuse(movies, Own())
    for i in (0, 2):
        assert np.array_equal(fused[i].array, fusion.fuse([m[i] for m in movies]).array)


def test_a_name_a_config_and_a_fuser_are_held_alike(pictures) -> None:
    movies = [movie(lit(p), name) for p, name in zip(pictures, "ab", strict=True)]
    first = fusion.fuse(movies)[2].array
    for fuser in ("lpf", fusion.LPFConfig(), fusion.LPF()):
        assert np.array_equal(fusion.fuse(movies, fuser)[2].array, first)
    given = fusion.LPFConfig(match=movie_scales(movies, "percentile"))
    assert np.array_equal(fusion.fuse(movies, given)[2].array, first)


def test_a_held_fuser_tells_the_scale_that_it_holds(pictures) -> None:
    movies = [movie(lit(p), name) for p, name in zip(pictures, "ab", strict=True)]
    held = steady(fusion.LPF(), movies)
    frames = [m[5] for m in movies]
    for channel in (0, "a"):
        assert held.scales(frames, channel) == movie_scales(movies, "percentile") != fusion.LPF().scales(frames)
    two = movie(np.stack([lit(p) for p in pictures], axis=1), "GFP", "RFP")
    other = movie(np.stack([lit(p) for p in pictures[::-1]], axis=1), "GFP", "RFP")
    both = steady(fusion.LPF(), [two, other])
    for position, name in enumerate(("GFP", "RFP")):
        expected = movie_scales([two, other], "percentile", name)
        assert both.scales([two[1], other[1]], name) == both.scales([two[1], other[1]], position) == expected


def test_what_is_given_is_not_measured(pictures) -> None:
    movies = [movie(lit(p), name) for p, name in zip(pictures, "ab", strict=True)]
    movies[0].load.asked.clear()
    assert movie_scales(movies, "none") == (fusion.Scale(),) * 2
    assert movie_scales(movies, (fusion.Scale(2.0), fusion.Scale())) == (fusion.Scale(2.0), fusion.Scale())
    assert movie_scales(movies[:1], "percentile") == (fusion.Scale(),)
    with pytest.raises(ConfigError, match="1 scales for 2 sources"):
        movie_scales(movies, (fusion.Scale(),))
    assert movies[0].load.asked == []


def test_a_movie_of_one_frame_is_that_frame(pictures) -> None:
    movies = [movie(p[None], name) for p, name in zip(pictures, "ab", strict=True)]
    frames = [m[0] for m in movies]
    assert np.array_equal(fusion.fuse(movies)[0].array, fusion.fuse(frames).array)
    assert movie_scales(movies, "percentile") == fusion.LPF().scales(frames)
