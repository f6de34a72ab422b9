"""Sources on one grid and at one clock: which way a transform leads, which frame is lent, what a badge says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.aligned import aligned, between, time_apart_s
from experiments.config import Experiment
from experiments.drifts import drift_file
from experiments.entries import Source
from experiments.run_folder import RunFolder
from experiments.sources import as_movie, open_first, open_image, open_volume, origin
from registration.drift.drift import Drift, DriftConfig
from registration.drift.file import write_drift
from registration.quality import Status
from volumes.errors import ConfigError, ContentError, TableError

SHIFTS = {"moved": (0.0, 2.0, -3.0), "late": (2.0, 0.0, 4.0)}
"""Where each source sees what the still one has at the origin, µm."""


def blob(middle: tuple[float, float, float], time_s: float = 0.0) -> volumes.Volume:
    """A soft ball in 10 × 20 × 24 voxels of (2, 1, 1) µm."""
    axes = np.indices((10, 20, 24)) * np.array([2.0, 1.0, 1.0]).reshape(3, 1, 1, 1)
    away = sum((a - c) ** 2 for a, c in zip(axes, middle, strict=True))
    return volumes.from_array(
        (100 * np.exp(-away / 20)).astype(np.float32), (2, 1, 1), modality="fluorescence", time_s=time_s
    )


@pytest.fixture
def experiment(tmp_path: Path) -> tuple[Experiment, RunFolder]:
    """A still movie of three frames, a moved volume and a moved movie of two, with the exact transforms."""
    still = [blob((9, 9, 10 + k), 60.0 * k) for k in range(3)]
    volumes.write(volumes.TimeLapse.of(still), tmp_path / "still.ome.zarr")
    volumes.write(blob((9, 11, 7)), tmp_path / "moved.nrrd")
    volumes.write(volumes.TimeLapse.of([blob((11, 9, 14)), blob((11, 9, 16), 110.0)]), tmp_path / "late.ome.zarr")
    folder = RunFolder(tmp_path / "out")
    for name, shift in SHIFTS.items():
        volumes.write_transform(volumes.Affine.rigid(translation_um=shift), folder.transform(name))
    values = {
        "still": {"file": tmp_path / "still.ome.zarr", "modality": "fluorescence", "movie": True},
        "moved": {"file": tmp_path / "moved.nrrd", "modality": "fluorescence"},
        "late": {"file": tmp_path / "late.ome.zarr", "modality": "fluorescence", "movie": True},
    }
    return Experiment.model_validate({"name": "x", "sources": values, "register": {"kind": "rigid"}}), folder


def brightest(volume: volumes.Volume) -> tuple[float, ...]:
    voxels = np.where(volume.mask(), volume.channel(), -1)
    return tuple(volume.grid.to_world([np.unravel_index(int(voxels.argmax()), voxels.shape)])[0].tolist())


def test_every_source_comes_to_lie_on_the_reference(experiment) -> None:
    movies = aligned(*experiment)
    assert [*movies] == ["still", "moved", "late"]
    assert {movie.times_s for movie in movies.values()} == {(0.0, 60.0, 120.0)}
    place = brightest(movies["still"][0])
    assert brightest(movies["moved"][0]) == place
    assert brightest(movies["late"][0]) == place
    assert not movies["moved"][0].mask().all()
    assert np.array_equal(movies["still"][0].mask(), np.ones((10, 20, 24), bool))


def test_the_frame_nearest_in_time_is_lent(experiment) -> None:
    late = aligned(*experiment)["late"]
    first, second, third = (brightest(frame) for frame in late)
    assert first[2] + 2 == second[2] == third[2]


def test_a_source_of_one_frame_is_resampled_once(experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("experiments.aligned.resample", lambda volume, **_: calls.append(1) or volume)
    assert len([*aligned(*experiment)["moved"]]) == 3
    assert len(calls) == 1


def test_all_may_be_brought_onto_another_source(experiment) -> None:
    movies = aligned(*experiment, "late")
    assert {movie.times_s for movie in movies.values()} == {(0.0, 110.0)}
    place = brightest(movies["late"][0])
    assert brightest(movies["still"][0]) == place
    assert brightest(movies["moved"][0]) == place


def test_points_go_by_way_of_the_reference(experiment) -> None:
    points = np.array([[1.0, 2.0, 3.0]])
    shift = {"still": (0.0, 0.0, 0.0), **SHIFTS}
    for start in shift:
        for end in shift:
            wanted = points + np.subtract(shift[end], shift[start])
            np.testing.assert_allclose(between(*experiment, start, end)(points), wanted, atol=1e-9)


def test_turns_are_undone_before_they_are_done(experiment) -> None:
    """Turns do not commute: the way from one moving source leads back to the reference first."""
    _, folder = experiment
    turns = {
        name: volumes.Affine.rigid(turn, SHIFTS[name]) for name, turn in (("moved", (1, 0, 0)), ("late", (0, 1, 0)))
    }
    for name, turn in turns.items():
        volumes.write_transform(turn, folder.transform(name))
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 0.0, 9.0]])
    through = between(*experiment, "moved", "late")
    np.testing.assert_allclose(through(turns["moved"](points)), turns["late"](points), atol=1e-9)


def test_without_a_registration_sources_keep_their_grids(experiment, tmp_path: Path) -> None:
    config, folder = experiment
    small = volumes.from_array(np.ones((3, 4, 5), np.float32), (1, 1, 1), modality="CT")
    volumes.write(small, tmp_path / "small.nrrd")
    sources = {**config.sources, "small": Source(file=tmp_path / "small.nrrd", modality="CT")}
    movies = aligned(config.model_copy(update={"register_": None, "sources": sources}), folder)
    assert movies["small"].grid.shape == (3, 4, 5)
    assert brightest(movies["moved"][2]) == brightest(open_volume("moved", sources["moved"]).image)


def test_a_movie_is_no_single_volume_but_has_a_first_one(experiment) -> None:
    config, _ = experiment
    with pytest.raises(ConfigError, match="this is a movie") as caught:
        open_volume("still", config.sources["still"])
    assert caught.value.field == "sources.still"
    first = open_first("late", config.sources["late"])
    assert first.truth is None
    assert brightest(first.image)[2] == 14
    assert len(as_movie(open_image("late", config.sources["late"]))) == 2
    assert as_movie(first.image)[0].grid == first.image.grid


def test_a_displaced_source_comes_with_its_truth(experiment) -> None:
    config, _ = experiment
    moved = {"rotation_deg": (0, 0, 0), "shift_um": (0, 4.0, -2.0), "noise": 0.0}
    source = Source.model_validate({**config.sources["moved"].model_dump(), "displaced": moved})
    opened = open_first("moved", source)
    assert opened.truth is not None
    np.testing.assert_allclose(opened.truth([[0.0, 0, 0]]), [[0, 4, -2]], atol=1e-9)
    was = brightest(open_volume("moved", config.sources["moved"]).image)
    assert brightest(opened.image) == (was[0], was[1] + 4, was[2] - 2)
    assert brightest(open_image("moved", source)) == brightest(opened.image)


def test_what_a_source_says_of_its_file_reaches_the_reader(tmp_path: Path) -> None:
    voxels = np.ones((3, 4, 5), np.float32)
    voxels[1, 2, 3] = np.nan
    volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="CT"), tmp_path / "hole.nrrd")
    with pytest.raises(ContentError):
        open_volume("a", Source(file=tmp_path / "hole.nrrd", modality="CT"))
    masked = open_image("a", Source(file=tmp_path / "hole.nrrd", modality="CT", nonfinite="mask"))
    assert int((~masked.mask()).sum()) == 1


REAL, MADE = {"file": "a", "modality": "CT"}, {"file": "b", "modality": "CT", "simulated": True}
TURNED = {**REAL, "displaced": {"rotation_deg": (1, 0, 0), "shift_um": (0, 0, 0), "noise": 0.05}}
ORIGINS = {
    "real": ((REAL, REAL), "real", "measured voxels"),
    "real, with a note": (({**REAL, "note": "a head"}, REAL), "real", "one: a head"),
    "simulated": ((MADE, MADE), "simulated", "simulated voxels"),
    "simulated, with a note": ((MADE, {**MADE, "note": "seed 3"}), "simulated", "two: seed 3"),
    "one of each": ((REAL, MADE), "mixed", "measured beside simulated voxels"),
    "moved": ((REAL, TURNED), "mixed", "two: moved by a known rigid transform, 5% noise added"),
}


@pytest.mark.parametrize("case", ORIGINS)
def test_the_badge_says_where_the_voxels_come_from(case: str) -> None:
    (one, two), badge, note = ORIGINS[case]
    config = Experiment.model_validate({"name": "x", "sources": {"one": one, "two": two}})
    assert origin(config, ("one", "two")) == (badge, note)


def test_the_badge_is_of_the_sources_shown_alone() -> None:
    config = Experiment.model_validate({"name": "x", "sources": {"one": REAL, "two": MADE}})
    assert origin(config, ("one",))[0] == "real"
    assert origin(config, ("two",))[0] == "simulated"


DRIFTS = {"still": [(0, 0, 0), (0, 1, -1), (2, 0, 3)], "late": [(0, 0, 0), (0, -2, 1)]}
"""Where each movie's stage stood in each frame, µm."""


def with_drift(experiment: tuple[Experiment, RunFolder], **changes) -> tuple[Experiment, RunFolder]:
    """The experiment with measured drift: written as from the last frame, which must not matter."""
    config, folder = experiment
    for name, steps in DRIFTS.items():
        from_last = [volumes.Affine.rigid(translation_um=np.subtract(step, steps[-1])) for step in steps]
        facts = ((0.0,) * len(steps), len(steps) - 1, (0.0, 0.0, 0.0), (True,) * len(steps), Status.GOOD, ())
        write_drift(drift_file(folder.transforms, name), Drift(tuple(from_last), *facts))
    return config.model_copy(update={"drift": DriftConfig(), **changes}), folder


def drifting(middles: list[tuple[float, ...]], name: str, times: list[float]) -> volumes.TimeLapse:
    return volumes.TimeLapse.of(
        [blob(tuple(np.add(m, step)), t) for m, step, t in zip(middles, DRIFTS[name], times, strict=True)]
    )


def test_drift_is_taken_out_of_every_movie(experiment, tmp_path: Path) -> None:
    """Each lies still where its first frame lay, whichever frame the drift was measured from."""
    volumes.write(drifting([(8, 9, 10)] * 3, "still", [0.0, 60.0, 120.0]), tmp_path / "still.ome.zarr")
    volumes.write(drifting([(10, 9, 14)] * 2, "late", [0.0, 110.0]), tmp_path / "late.ome.zarr")
    movies = aligned(*with_drift(experiment))
    assert {brightest(frame) for name in ("still", "late") for frame in movies[name]} == {(8.0, 9.0, 10.0)}
    assert not movies["still"][2].mask().all()
    onto_late = aligned(*with_drift(experiment), "late")
    assert {brightest(frame) for name in ("still", "late") for frame in onto_late[name]} == {(10.0, 9.0, 14.0)}


def test_the_way_is_through_the_first_frames_then_along_the_drift(experiment, tmp_path: Path) -> None:
    """Turns and shifts do not commute: out(x) = frame_t(D_t(T(x)))."""
    config, folder = with_drift(experiment)
    turn = volumes.Affine.rigid((0.2, -0.1, 0.15), SHIFTS["late"], (9.0, 9.0, 12.0))
    volumes.write_transform(turn, folder.transform("late"))
    movie = as_movie(open_image("late", config.sources["late"]))
    step = volumes.Affine.rigid(translation_um=DRIFTS["late"][1])
    wanted = volumes.resample(movie[1], like=movie.grid, transform=step @ turn)
    np.testing.assert_allclose(aligned(config, folder)["late"][2].array, wanted.array, atol=1e-3)


def test_between_two_frames_both_are_resampled(experiment) -> None:
    config, folder = experiment
    late = aligned(config.model_copy(update={"time_base": "linear"}), folder)["late"]
    first, last = (aligned(config, folder, "late")["late"][k] for k in range(2))
    through = volumes.Affine.rigid(translation_um=SHIFTS["late"])
    ends = [volumes.resample(frame, like=late.grid, transform=through) for frame in (first, last)]
    share = 60 / 110
    wanted = (1 - share) * ends[0].array + share * ends[1].array
    np.testing.assert_allclose(late[1].array, np.where(late[1].mask(), wanted, 0), atol=1e-3)
    np.testing.assert_array_equal(late[1].mask(), ends[0].mask() & ends[1].mask())
    np.testing.assert_array_equal(late[0].array, ends[0].array)
    np.testing.assert_array_equal(late[2].array, ends[1].array)


def test_labels_keep_their_numbers_on_a_linear_time_base(experiment, tmp_path: Path) -> None:
    config, folder = experiment
    numbers = [
        volumes.from_array(np.full((10, 20, 24), n, np.uint16), (2, 1, 1), modality="labels", time_s=t)
        for n, t in ((3, 0.0), (9, 110.0))
    ]
    volumes.write(volumes.TimeLapse.of(numbers), tmp_path / "cells.ome.zarr")
    late = Source(file=tmp_path / "cells.ome.zarr", modality="labels", movie=True)
    changed = config.model_copy(update={"time_base": "linear", "sources": {**config.sources, "late": late}})
    assert [int(frame.array.max()) for frame in aligned(changed, folder)["late"]] == [3, 9, 9]


def test_how_far_lent_frames_lie_is_told(experiment) -> None:
    config, _ = experiment
    still, late = (as_movie(open_image(name, config.sources[name])) for name in ("still", "late"))
    assert time_apart_s(still, late) == 50.0
    assert time_apart_s(still, late, "linear") == 60.0
    assert time_apart_s(late, volumes.TimeLapse.of([still[1]])) == 0.0


def test_drift_that_was_not_written_is_missed(experiment) -> None:
    config, folder = experiment
    with pytest.raises(TableError, match="cannot be read"):
        aligned(config.model_copy(update={"drift": DriftConfig()}), folder)
