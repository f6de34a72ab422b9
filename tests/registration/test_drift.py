"""Drift of whole movies: against the path that is known, with frames that are blank, bleached, masked or foreign."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

import volumes
from registration.drift.drift import Drift, DriftConfig, drift, steadied
from registration.drift.file import COLUMNS, read_drift, write_drift
from registration.quality import Status
from volumes import Affine, Grid, TimeLapse
from volumes.errors import ConfigError, ContentError, GridError, TableError

GRID = Grid((12, 28, 32), (2.0, 1.0, 1.0), (-3.0, 5.0, 7.0))
FRAMES = 9


def walk(frames=FRAMES, seed=0, step_um=0.8):
    """The path of the stage, (frames, 3), from 0."""
    steps = step_um * np.random.default_rng(seed).standard_normal((frames, 3))
    steps[0] = 0
    return np.cumsum(steps, axis=0)


def seen(transforms, *, move_um=0.15, bleach=0.93, divide=True, noise=0.03, count=150):
    """Voxels (t, z, y, x) of cells that wander, divide and bleach, where transforms (frame 0 → t) put them."""
    rng = np.random.default_rng(4)
    low, high = GRID.corners_um.min(0) - 20, GRID.corners_um.max(0) + 20
    centres, widths = rng.uniform(low, high, (count, 3)), rng.uniform(2.0, 3.2, count)
    heights = rng.uniform(0.4, 1.0, count)
    points = GRID.to_world(np.indices(GRID.shape).reshape(3, -1).T)
    out = []
    for t, transform in enumerate(transforms):
        light = np.full(len(points), 0.3)
        for centre, width, height in zip(transform(centres), widths, heights, strict=True):
            light += height * bleach**t * np.exp(-((points - centre) ** 2).sum(1) / (2 * width**2))
        out.append((light + noise * rng.standard_normal(len(light))).reshape(GRID.shape))
        centres = centres + move_um * rng.standard_normal(centres.shape)
        if divide and t % 3 == 1:
            apart = 2.5 * rng.standard_normal((3, 3))
            centres = np.concatenate([centres, centres[t : t + 3] + apart])
            centres[t : t + 3] -= apart
            widths, heights = (np.concatenate([a, a[t : t + 3]]) for a in (widths, heights))
    return np.stack(out).astype(np.float32)


def movie_of(voxels, valid=None):
    frames = [
        volumes.from_array(
            v,
            GRID.spacing_um,
            modality="fluorescence",
            origin_um=GRID.origin_um,
            time_s=30.0 * t,
            valid=None if valid is None else valid[t],
        )
        for t, v in enumerate(voxels)
    ]
    return TimeLapse.of(frames)


def shifts(found: Drift):
    return np.array([one.matrix[:3, 3] for one in found.transforms])


def off(found: Drift, path):
    return np.linalg.norm(shifts(found) - path, axis=1)


PATH = walk()


@pytest.fixture(scope="module")
def voxels():
    return seen([Affine.rigid(translation_um=p) for p in PATH.tolist()])


@pytest.fixture(scope="module")
def movie(voxels):
    return movie_of(voxels)


@pytest.fixture(scope="module")
def found(movie):
    return drift(movie)


def test_the_path_is_found_though_cells_wander_divide_and_bleach(found):
    assert found.status is Status.GOOD, found.reasons
    assert np.linalg.norm(PATH, axis=1).max() > 1.5
    assert off(found, PATH).max() < 0.35
    assert found.transforms[0] == Affine.identity()
    assert all(found.placed)


def test_the_error_told_is_near_the_error_made(found):
    told = np.array(found.errors_um)
    assert told[0] == 0
    assert np.isfinite(told).all()
    made = np.sqrt(np.mean(off(found, PATH)[1:] ** 2))
    assert 0.4 < made / np.sqrt(np.mean(told[1:] ** 2)) < 2.5


def test_the_corrected_movie_stands_still(movie, found):
    still = found.corrected(movie)
    assert still.times_s == movie.times_s
    assert drift(still).status is Status.GOOD
    assert off(drift(still), np.zeros((FRAMES, 3))).max() < 0.2
    frame = still[FRAMES - 1]
    assert not frame.mask().all()
    wanted = volumes.resample(movie[FRAMES - 1], like=GRID, transform=found.transforms[-1])
    np.testing.assert_array_equal(frame.array, wanted.array)
    np.testing.assert_array_equal(still[0].array, movie[0].array)


def test_correcting_loads_only_the_frame_asked_for(movie, found):
    loaded = []
    lazy = TimeLapse(GRID, movie.channels, movie.times_s, lambda t: loaded.append(t) or movie[t])
    still = found.corrected(lazy)
    assert loaded == []
    assert still[3].time_s == 90.0
    assert loaded == [3]


def test_labels_of_the_movie_move_with_it(movie, found):
    numbers = [
        volumes.from_array(
            v.channel() > 0.8, GRID.spacing_um, modality="labels", origin_um=GRID.origin_um, time_s=v.time_s
        )
        for v in movie
    ]
    numbers = [v.with_data(v.array.astype(np.uint16) * 7) for v in numbers]
    still = found.corrected(TimeLapse.of(numbers))
    assert set(np.unique(still[5].array)) == {0, 7}
    with pytest.raises(GridError, match="frames"):
        found.corrected(TimeLapse.of(numbers[:4]))


def test_another_reference_only_moves_the_origin(movie, found):
    middle = drift(movie, DriftConfig(reference="middle"))
    assert middle.reference == FRAMES // 2
    assert middle.transforms[FRAMES // 2] == Affine.identity()
    np.testing.assert_allclose(shifts(middle) - shifts(middle)[0], shifts(found), atol=1e-6)
    again = middle.since(0)
    np.testing.assert_allclose([one.matrix[:3, 3] for one in again], shifts(found), atol=1e-6)


@pytest.mark.parametrize("chain", ["previous", "reference"])
def test_other_chains_find_it_too(movie, chain):
    found = drift(movie, DriftConfig(chain=chain))
    assert off(found, PATH).max() < 0.6
    assert np.isfinite(found.errors_um).all()


def test_two_runs_are_bit_identical(movie, found):
    assert drift(movie) == found


def test_a_frame_that_shows_nothing_is_bridged_and_told(voxels):
    holes = voxels.copy()
    holes[4] = 0.3
    holes[-1] = np.random.default_rng(0).standard_normal(GRID.shape)
    found = drift(movie_of(holes))
    assert found.status is Status.DOUBTFUL
    assert "frames 4, 8 show nothing" in found.reasons[0]
    assert [t for t, placed in enumerate(found.placed) if not placed] == [4, 8]
    assert np.isnan(found.errors_um[4])
    seen_ = list(found.placed)
    assert off(found, PATH)[seen_].max() < 0.35
    path = shifts(found)
    np.testing.assert_allclose(path[4], (path[3] + path[5]) / 2)
    np.testing.assert_allclose(path[8], path[7])


def test_a_movie_of_strangers_has_failed(voxels):
    other = voxels.copy()
    other[5:] = np.random.default_rng(1).standard_normal((FRAMES - 5, *GRID.shape))
    found = drift(movie_of(other))
    assert found.status is Status.FAILED
    assert "5, 6, 7, 8" in found.reasons[0]


def test_what_is_not_valid_is_not_looked_at(voxels):
    dirty, valid = voxels.copy(), np.ones(voxels.shape, bool)
    valid[:, :, :8, :9] = False
    dirty[:, :, :8, :9] = np.nan
    found = drift(movie_of(dirty, valid))
    assert off(found, PATH).max() < 0.4
    assert not found.corrected(movie_of(dirty, valid))[2].mask().all()


def test_one_frame_does_not_drift(movie):
    found = drift(TimeLapse.of([movie[0]]))
    assert (found.transforms, found.errors_um, found.status) == ((Affine.identity(),), (0.0,), Status.GOOD)


def test_nan_is_refused_with_its_frame(voxels):
    broken = voxels.copy()
    broken[6, 3, 4, 5] = np.nan
    with pytest.raises(ContentError, match="frame 6"):
        drift(movie_of(broken))


def test_a_reference_that_cannot_be_is_refused(movie, voxels):
    with pytest.raises(ConfigError, match="none of the 9"):
        drift(movie, DriftConfig(reference=9))
    with pytest.raises(ContentError, match="channel"):
        drift(movie, DriftConfig(channel="red"))
    blank = voxels.copy()
    blank[0] = 1
    with pytest.raises(ContentError, match="reference shows nothing"):
        drift(movie_of(blank))


def test_a_path_that_leaves_the_field_is_doubtful(movie):
    away = [Affine.rigid(translation_um=(0, 0, 17.0 * (t == 2))) for t in range(FRAMES)]
    voxels = seen(away, divide=False)[:4]
    found = drift(movie_of(voxels))
    assert found.status is Status.DOUBTFUL
    assert "2 share less than 50%" in " ".join(found.reasons)


TURNS = [Affine.rigid((0.05 * t, 0.02 * t, -0.03 * t), p, GRID.centre_um[0]) for t, p in enumerate(PATH[:4].tolist())]


def test_turns_are_found_where_they_are_asked_for():
    voxels = seen(TURNS, move_um=0.05, divide=False)
    movie = movie_of(voxels)
    found = drift(movie, DriftConfig(motion="rigid"))
    corners = GRID.corners_um
    errors = [
        np.linalg.norm(a(corners) - b(corners), axis=1).mean() for a, b in zip(found.transforms, TURNS, strict=True)
    ]
    before = [np.linalg.norm(b(corners) - corners, axis=1).mean() for b in TURNS]
    assert max(errors) < 0.3 * max(before)
    assert found.transforms[3].rotation_deg == pytest.approx(TURNS[3].rotation_deg, rel=0.35)
    shifted = drift(movie)
    assert max(errors) < np.linalg.norm(shifted.transforms[3](corners) - TURNS[3](corners), axis=1).mean()
    assert found.table()[3]["rotation_deg"] == found.transforms[3].rotation_deg


def test_the_table_tells_the_shift_of_the_middle(found):
    rows = found.table()
    assert [row["t"] for row in rows] == list(range(FRAMES))
    np.testing.assert_allclose([[row["dz_um"], row["dy_um"], row["dx_um"]] for row in rows], shifts(found), atol=1e-9)


@pytest.mark.parametrize(
    "bad",
    [{"gaps": ()}, {"gaps": (2, 4)}, {"gaps": (0, 1)}, {"least_overlap": 1.0}, {"motion": "free"}, {"reference": 1.5}],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        DriftConfig(**bad)


def test_a_drift_is_read_back_as_it_was_written(tmp_path, found):
    turned = Drift(tuple(TURNS), (0.0, 0.1, float("nan"), 0.3), 0, (1.0, -2.0, 3.0), (True,) * 4, Status.GOOD, ())
    for one in (found, turned):
        write_drift(tmp_path / "a.drift.csv", one)
        for was, now in zip(one.transforms, read_drift(tmp_path / "a.drift.csv"), strict=True):
            np.testing.assert_allclose(now.matrix, was.matrix, atol=1e-12)


def _without(lines, t):
    return [line for line in lines if not line.startswith(f"{t},")]


DAMAGES = {
    "another header": lambda lines: [lines[0].replace("dz_um", "dz"), *lines[1:]],
    "a frame missing": lambda lines: _without(lines, 3),
    "no frame": lambda lines: lines[:1],
    "a row cut short": lambda lines: [*lines[:-1], lines[-1][:10]],
    "no number": lambda lines: [*lines[:-1], lines[-1].replace("-3.0", "x").replace(",", ",x", 1)],
    "not finite": lambda lines: [*lines[:2], "1," + ",".join(["inf"] * (len(COLUMNS) - 1)), *lines[3:]],
    "empty": lambda _: [],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(tmp_path, found, damage):
    path = tmp_path / "a.drift.csv"
    write_drift(path, found)
    path.write_text("\n".join(DAMAGES[damage](path.read_text().splitlines())))
    with pytest.raises(TableError) as caught:
        read_drift(path)
    assert caught.value.file == str(path)
    with pytest.raises(TableError, match="cannot be read"):
        read_drift(tmp_path / "none.csv")


def test_steadying_needs_a_transform_a_frame(movie):
    with pytest.raises(GridError, match="9 frames, the drift 1"):
        steadied(movie, [Affine.identity()])


def test_a_known_path_in_a_real_movie_is_found(data):
    """Real nuclei, moved by whole voxels on top of what they do themselves: the difference is the path."""
    images = np.load(data / "tracking/movies/HL60_3D_synthesized_data.npz")["images"][:6].astype(np.float32)
    steps = np.array([[0, 0, 0], [0, 2, -3], [1, 1, 4], [0, -3, 2], [1, 4, -4], [0, 0, 3]])
    spacing = (1.0, 0.5, 0.5)
    still = images[:, 1:-1, 4:-4, 4:-4]
    moved = np.stack(
        [f[1 - z : 11 - z, 4 - y : 40 - y, 4 - x : 76 - x] for f, (z, y, x) in zip(images, steps.tolist(), strict=True)]
    )
    one, two = (drift(TimeLapse.from_array(v, spacing, dt_s=60.0, modality="fluorescence")) for v in (still, moved))
    assert np.linalg.norm(shifts(two) - shifts(one) - steps * spacing, axis=1).max() < 0.25
