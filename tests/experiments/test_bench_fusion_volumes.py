"""The benchmarks of fused volumes, of movies and of speed, on inputs so small that the answer is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.bench import (
    fusion_blobs,
    fusion_flicker,
    fusion_movie,
    fusion_pair_blobs,
    fusion_speed,
    fusion_volumes,
)
from experiments.bench.fusion_kinds import MaxAndMin, Named, named
from experiments.bench.fusion_pairs import pairs


def test_what_no_source_shows_is_beyond_them() -> None:
    a, b = np.zeros((3, 1, 2)), np.zeros((3, 1, 2))
    a[1:, 0, 0] = 4.0
    fused = np.zeros((3, 1, 2))
    assert fusion_flicker.beyond(np.maximum(a, b), [a, b]) == 0.0
    fused[1, 0, 1] = 1.0
    assert fusion_flicker.beyond(fused, [a, b]) == pytest.approx((1 + 1) / 4)
    fused[:, 0, 0] = (0.0, 6.0, 6.0)
    assert fusion_flicker.beyond(fused, [a, b]) == pytest.approx((2 + 1 + 1) / 4)


def test_pixelwise_fusion_is_the_same_slice_by_slice() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0, 255, (6, 16, 16)).astype(np.float32) for _ in range(2)]
    arrays[0][0] = 7.0
    sources = [volumes.from_array(array, (1, 1, 1), modality="CT") for array in arrays]
    found = fusion_flicker.z_flicker(named(["max"])[0], sources)
    assert found["flicker, as a volume"] == found["flicker, slice by slice"] <= 1
    assert found["beyond, as a volume"] == 0.0
    assert found["flicker, slices on own scales"] != found["flicker, slice by slice"]
    assert len(fusion_flicker.z_flicker(Named("x", MaxAndMin()), sources)) == 4


def test_places_are_inside_and_apart_and_blobs_are_of_the_width_that_is_said() -> None:
    inside = np.zeros((30, 40, 40), bool)
    inside[2:-2, 3:, :] = True
    centres = fusion_blobs.places(inside, np.random.default_rng(0))
    assert len(centres) > 10
    apart = np.abs(centres[:, None] - centres[None]).max(axis=-1) + 100 * np.eye(len(centres), dtype=int)
    assert apart.min() >= fusion_blobs.APART
    reach = fusion_blobs.RADIUS
    assert all(inside[tuple(slice(c - reach, c + reach + 1) for c in centre)].all() for centre in centres)
    blobs = fusion_blobs.blobs_at(np.array([[15, 20, 20]]), inside.shape)
    line = blobs[15, 20]
    assert blobs.max() == blobs[15, 20, 20] == 1.0
    assert np.interp(1.5, range(4), line[20:24]) == pytest.approx(0.5, abs=0.05)
    assert line[22] < 0.5 < line[21]


def test_in_a_single_plane_blobs_are_discs_and_patches_are_flat() -> None:
    inside = np.ones((1, 60, 60), bool)
    centres = fusion_blobs.places(inside, np.random.default_rng(0))
    assert len(centres) > 9
    assert set(centres[:, 0]) == {0}
    discs = fusion_blobs.blobs_at(centres, inside.shape)
    assert fusion_blobs.radii(inside.shape) == (0, fusion_blobs.RADIUS, fusion_blobs.RADIUS)
    assert all(discs[tuple(centre)] == 1 for centre in centres)


class First:
    """Shows the first source alone."""

    def fuse(self, given: Sequence[volumes.Volume]) -> volumes.Volume:
        return given[0]


def test_discs_of_a_pair_are_seen_in_what_shows_the_picture_that_has_them(data: Path) -> None:
    """The mean has half of either, wherever it lies; the first source alone has nothing of the other's."""
    chosen = pairs(data, "CT", every=4, parts=("seen",), patients=("41",))[:2]
    mean, first = (
        [fusion_pair_blobs.seen(fuser, chosen, of, 20) for of in ("CT", "MRI")]
        for fuser in (named(["mean"])[0], Named("first", First()))
    )
    assert mean[0].dprime == pytest.approx(mean[1].dprime, rel=1e-4)
    assert first[0].dprime > mean[0].dprime / 2 > first[1].dprime == 0
    assert len({found.places for found in (*mean, *first)}) == 1


def test_a_set_is_blind_to_what_only_a_source_outside_it_shows() -> None:
    rng = np.random.default_rng(0)
    arrays = {n: rng.normal(100, 5, (32, 60, 60)).astype(np.float32) for n in ("T1", "CT")}
    sources = {n: volumes.from_array(a, (1, 1, 1), modality="MRI") for n, a in arrays.items()}
    mean = named(["mean"])[0]
    inside = np.ones((32, 60, 60), bool)
    found = {(of, what): v for of, what, v, *_ in fusion_blobs.planted(mean, sources, inside, 20)}
    assert found["T1", "d′ of blobs in CT"] == found["CT", "d′ of blobs in T1"] == found["T1", "the least"] == 0
    assert found["T1", "d′ of blobs in T1"] > 2
    least = min(found["T1 + CT", f"d′ of blobs in {n}"] for n in arrays)
    assert found["T1 + CT", "the least"] == found["T1 + CT", "ahead of any fewer"] == least > 0


def test_the_movie_fades_and_one_scale_keeps_it_no_more_restless() -> None:
    first, second = fusion_movie.movie(3)
    means_of = [[float(frame.channel().mean()) for frame in one] for one in (first, second)]
    assert means_of[0][2] / means_of[0][0] == pytest.approx(fusion_movie.FADES**2, rel=0.02)
    assert means_of[1][2] / means_of[1][0] == pytest.approx(1, rel=0.02)
    assert fusion_movie.movie(2, planes=fusion_movie.PLANE)[0][0].channel().shape[0] == 1
    found = fusion_movie.movie_flicker(named(["max"])[0], 3)
    assert found["beyond, one scale"] < 1e-6 < found["beyond, a scale a frame"]
    assert set(fusion_movie.movie_flicker(Named("x", MaxAndMin()), 2)) == {"flicker, one scale", "beyond, one scale"}


def test_figures_stand_in_a_table_for_each_test() -> None:
    figures = [
        fusion_volumes.Figure("z", "lpf", "a + b", "flicker", 0.5),
        fusion_volumes.Figure("d", "lpf", "a + b", "d′", 2.0, 1.5, 2.5),
        fusion_volumes.Figure("d", "lpf", "a + c", "least", math.nan),
    ]
    assert fusion_volumes.as_text(figures).splitlines() == [
        "| z | sources | flicker |",
        "| --- | --- | --- |",
        "| lpf | a + b | 0.500 |",
        "",
        "| d | sources | d′ | least |",
        "| --- | --- | --- | --- |",
        "| lpf | a + b | 2.00 (1.50 to 2.50) | – |",
        "| lpf | a + c | – | – |",
    ]
    assert fusion_volumes.as_csv(figures).splitlines()[1:] == [
        "z,lpf,a + b,flicker,0.5,,",
        "d,lpf,a + b,d′,2,1.5,2.5",
        "d,lpf,a + c,least,,,",
    ]


# Speed


def test_cases_are_every_size_of_every_fuser() -> None:
    found = fusion_speed.cases(("256²", "128³"), (1, 4))
    assert [(c.name, c.size) for c in found[:3]] == [
        ("lpf", "256²"),
        ("lpf", "128³"),
        ("dmf-lp, float32, 1 step(s)", "256²"),
    ]
    assert len(found) == len(set(found)) == 2 * (1 + 2 * 2)


def test_growth_is_the_time_a_voxel_over_that_of_the_size_before() -> None:
    def speed(name: str, size: str, warm: float) -> fusion_speed.Speed:
        return fusion_speed.Speed(name, size, 2 * warm, warm, 100.0, 50.0)

    rows = [speed("a", "256²", 1.0), speed("a", "128³", 1.0), speed("a", "256³", 9.6), speed("b", "256³", 1.0)]
    growth = [line.split(" | ")[5] for line in fusion_speed.table(rows).splitlines()[2:]]
    assert growth == ["–", "–", "1.20", "–"]
    assert speed("a", "256²", 1e-3).ns_a_voxel == pytest.approx(1e6 / 65536)


def test_a_measurement_has_a_first_call_and_warm_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fusion_speed.SHAPES, "tiny", (4, 9, 8))
    monkeypatch.setitem(fusion_speed.WARM, "tiny", 2)
    found = fusion_speed.measure(fusion_speed.Case("lpf", "tiny"), fusion_speed.Where())
    assert (found.name, found.size) == ("lpf", "tiny")
    assert found.peak_mb >= found.idle_mb > 0
    assert min(found.first_s, found.warm_s) > 0
