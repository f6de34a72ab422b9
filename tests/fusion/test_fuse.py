"""The face of fusion: what is refused and why, movies, channels, and any object as the fuser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

import fusion
from volumes import Channel, TimeLapse, Volume, from_array
from volumes.errors import ConfigError, ContentError, GridError

SHAPE = (4, 18, 20)


@pytest.fixture
def volume(rng: np.random.Generator) -> Volume:
    return from_array(rng.normal(size=SHAPE), (2.0, 0.5, 0.5), modality="MRI", time_s=3.0)


@pytest.fixture
def other(rng: np.random.Generator) -> Volume:
    return from_array(50 * rng.normal(size=SHAPE), (2.0, 0.5, 0.5), modality="CT", time_s=4.0)


class Halves:
    """A fuser of someone else: the plain mean."""

    def fuse(self, volumes: Sequence[Volume]) -> Volume:
        return volumes[0].with_data(np.mean([v.array for v in volumes], axis=0))


def test_the_result_lies_where_and_when_the_first_source_does(volume: Volume, other: Volume) -> None:
    out = fusion.fuse([volume, other])
    assert out.grid == volume.grid
    assert out.time_s == 3
    assert out.channels == (Channel("CT+MRI", "fused"),)
    assert out.array.shape == (1, *SHAPE)


def test_one_source_gives_itself(volume: Volume) -> None:
    assert fusion.fuse([volume]) is volume
    assert fusion.LPF().fuse([volume]) is volume


@pytest.mark.parametrize("fuser", ["lpf", fusion.LPFConfig(), fusion.LPFConfig().build()])
def test_a_name_a_config_and_a_fuser_are_the_same(volume: Volume, other: Volume, fuser) -> None:
    assert np.array_equal(fusion.fuse([volume, other], fuser).array, fusion.LPF().fuse([volume, other]).array)


def test_any_object_that_fuses_will_do(volume: Volume, other: Volume) -> None:
    assert isinstance(Halves(), fusion.Fuser)
    out = fusion.fuse([volume, other], Halves())
    assert np.allclose(out.array, (volume.array + other.array) / 2)


def test_no_source_is_refused() -> None:
    with pytest.raises(ContentError, match="volumes: needs at least one volume"):
        fusion.fuse([])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(volume: Volume, other: Volume, bad: float) -> None:
    data = other.array.copy()
    data[0, 1, 2, 3] = bad
    for fuser in ("lpf", Halves()):
        with pytest.raises(ContentError, match=r"volumes\[1\] \(CT\): 1 voxels are NaN or infinite"):
            fusion.fuse([volume, other.with_data(data)], fuser)
    with pytest.raises(ContentError, match="NaN or infinite"):
        fusion.fuse([other.with_data(data)])


def test_a_constant_source_is_refused(volume: Volume, other: Volume) -> None:
    flat = other.with_data(np.full(SHAPE, 3.0))
    with pytest.raises(ContentError, match=r"volumes\[1\]: is constant.*match='none'"):
        fusion.fuse([volume, flat])
    assert np.isfinite(fusion.fuse([volume, flat], fusion.LPFConfig(match="none")).array).all()


def test_labels_are_refused(volume: Volume) -> None:
    labels = from_array(np.ones(SHAPE, np.uint16), (2.0, 0.5, 0.5), modality="labels")
    with pytest.raises(ContentError, match=r"volumes\[1\] \(labels\): holds labels"):
        fusion.fuse([volume, labels])


def test_values_past_float32_are_refused(volume: Volume, other: Volume) -> None:
    data = volume.array.copy()
    data[0, 0, 0, 0] = 1e39
    for match in ("percentile", "none"):
        with pytest.raises(ContentError, match=r"volumes\[1\]: spans more than 1e\+18"):
            fusion.fuse([other, volume.with_data(data)], fusion.LPFConfig(match=match))


def test_other_grids_are_refused_with_how_far_they_are_off(volume: Volume, rng: np.random.Generator) -> None:
    shifted = from_array(rng.normal(size=SHAPE), (2.0, 0.5, 0.5), modality="CT", origin_um=(0.0, 0.0, 1.5))
    with pytest.raises(GridError, match=r"volumes\[2\]: .*up to 1.5 µm \(3 voxels\).*resample\(volumes\[2\]"):
        fusion.fuse([volume, volume, shifted])
    smaller = from_array(rng.normal(size=(4, 18, 19)), (2.0, 0.5, 0.5), modality="CT")
    with pytest.raises(GridError, match=r"volumes\[1\]: has shape \(4, 18, 19\), volumes\[0\] \(4, 18, 20\)"):
        fusion.fuse([volume, smaller])


def test_a_hair_of_rounding_in_the_grid_is_forgiven(volume: Volume, other: Volume) -> None:
    near = replace(other, grid=replace(other.grid, origin_um=(0.0, 1e-9, 0.0)))
    assert np.array_equal(fusion.fuse([volume, near]).array, fusion.fuse([volume, other]).array)


def test_what_is_not_a_list_of_one_kind_is_refused(volume: Volume) -> None:
    movie = TimeLapse.of([volume])
    for wrong in (volume, movie):
        with pytest.raises(ContentError, match=r"fuse\(\[volume\]\)"):
            fusion.fuse(wrong)
    with pytest.raises(ContentError, match="volumes alone or movies alone"):
        fusion.fuse([volume, movie])


@pytest.mark.parametrize("fuser", ["ldf", 3, None])
def test_no_such_fuser(volume: Volume, other: Volume, fuser) -> None:
    with pytest.raises(ConfigError, match="fuser: "):
        fusion.fuse([volume, other], fuser)


@pytest.mark.parametrize("wrong", [{"detial": "max-abs"}, {"levels": 0}, {"base": "median"}, {"kind": "dmf-lp"}])
def test_a_mistyped_config_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        fusion.LPFConfig.model_validate(wrong)


def test_a_config_survives_json() -> None:
    config = fusion.LPFConfig(base="max", levels=3, match=(fusion.Scale(2.0, -1.0), fusion.Scale()))
    assert fusion.LPFConfig.model_validate_json(config.model_dump_json()) == config


class Shifty:
    """A fuser that gives its result on a grid of its own, or spoils it."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def fuse(self, volumes: Sequence[Volume]) -> Volume:  # noqa: ARG002
        return self.volume


def test_what_a_fuser_gives_is_checked(volume: Volume, other: Volume) -> None:
    moved = replace(volume, grid=replace(volume.grid, origin_um=(9.0, 0.0, 0.0)))
    with pytest.raises(GridError, match="another grid than its sources'"):
        fusion.fuse([volume, other], Shifty(moved))
    with pytest.raises(ContentError, match=r"fused: .* NaN"):
        fusion.fuse([volume, other], Shifty(volume.with_data(np.full(SHAPE, np.nan))))


def several(volume: Volume, names: list[str]) -> Volume:
    data = np.concatenate([volume.array * (i + 1) + i for i in range(len(names))])
    return volume.with_data(data, [Channel(name, "fluorescence", 500.0) for name in names])


def test_channels_are_fused_by_name_not_by_position(volume: Volume, other: Volume) -> None:
    first, second = several(volume, ["GFP", "RFP"]), several(other, ["RFP", "GFP"])
    out = fusion.fuse([first, second])
    assert out.channels == first.channels
    for name in ("GFP", "RFP"):
        alone = [v.with_data(v.channel(name), v.channels[:1]) for v in (first, second)]
        assert np.array_equal(out.channel(name), fusion.fuse(alone).channel())
    assert fusion.LPF().scales([first, second], "RFP") != fusion.LPF().scales([first, second], "GFP")


@pytest.mark.parametrize("names", [["GFP"], ["GFP", "YFP"], ["GFP", "GFP"]])
def test_channels_that_do_not_correspond_are_refused(volume: Volume, other: Volume, names: list[str]) -> None:
    with pytest.raises(ContentError, match=r"volumes\[1\]: its channels do not correspond"):
        fusion.fuse([several(volume, ["GFP", "RFP"]), several(other, names)])


class Counting:
    """Loads frames and remembers which."""

    def __init__(self, volume: Volume) -> None:
        self.volume, self.asked = volume, []

    def __call__(self, frame: int) -> Volume:
        self.asked.append(frame)
        return self.volume.with_data(self.volume.array * (frame + 1))


def movie(volume: Volume, times: tuple[float, ...] = (0.0, 10.0, 20.0)) -> tuple[TimeLapse, Counting]:
    load = Counting(volume)
    return TimeLapse(volume.grid, volume.channels, times, load), load


def test_movies_are_fused_frame_by_frame_when_asked(volume: Volume, other: Volume) -> None:
    (a, asked_a), (b, _) = movie(volume), movie(other)
    unmatched = fusion.LPFConfig(match="none")
    out = fusion.fuse([a, b], unmatched)
    assert isinstance(out, TimeLapse)
    assert out.times_s == a.times_s
    assert asked_a.asked == []
    frame = out[2]
    assert asked_a.asked == [2]
    assert frame.time_s == 20
    assert out.channels == frame.channels == (Channel("CT+MRI", "fused"),)
    assert np.array_equal(frame.array, fusion.fuse([a[2], b[2]], unmatched).array)


def test_one_movie_gives_itself(volume: Volume) -> None:
    one, _ = movie(volume)
    assert np.array_equal(fusion.fuse([one])[1].array, one[1].array)


def test_movies_of_other_times_or_grids_are_refused(volume: Volume, other: Volume) -> None:
    a, _ = movie(volume)
    for times in ((0.0, 10.0), (0.0, 10.0, 21.0)):
        with pytest.raises(GridError, match=r"volumes\[1\]: its . frames are not at the times of the 3"):
            fusion.fuse([a, movie(other, times)[0]])
    far, _ = movie(replace(other, grid=replace(other.grid, origin_um=(9.0, 0.0, 0.0))))
    with pytest.raises(GridError, match="9 µm"):
        fusion.fuse([a, far])
