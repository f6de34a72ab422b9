"""One part of a phantom's config changes nothing in another: each draws from a generator of its own."""

import copy

import numpy as np
import pytest

from phantom import build
from phantom.config import PhantomConfig
from volumes.errors import ConfigError

BASE = {
    "name": "parts",
    "seed": 9,
    "anatomy": {"kind": "embryo", "size_um": (60.0, 64.0, 72.0)},
    "cells": {"radius_um": 4.0, "count": 40, "cycle_h": 0.5, "dt_s": 60.0, "motion": {"kind": "flow"}},
    "instruments": {
        "sheet": {
            "kind": "light_sheet",
            "shape": (8, 20, 24),
            "spacing_um": (4.0, 2.5, 2.5),
            "frames": 2,
            "drift_um": 0.5,
            "deformation_um": 0.8,
            "rotation_deg": (5.0, 10.0, -20.0),
        },
        "mri": {"kind": "mri", "shape": (6, 10, 12), "spacing_um": (8.0, 6.0, 6.0)},
    },
}
EXTRA = {"kind": "ct", "shape": (4, 12, 12), "spacing_um": (8.0, 5.0, 5.0), "deformation_um": 0.5}


def changed(*path_and_value, **more):
    """The phantom of the base config with one value put at a path of keys."""
    values = copy.deepcopy(BASE)
    if path_and_value:
        *path, last, value = path_and_value
        at = values
        for key in path:
            at = at[key]
        at[last] = value
    return PhantomConfig.model_validate({**values, **more}).build()


def voxels(phantom, name: str, kind: str) -> list[bytes]:
    return [volume.array.tobytes() for volume in getattr(phantom[name], kind)()]


@pytest.fixture(scope="module")
def base():
    return changed()


def same(one, other, name: str, kinds=("image", "clean", "labels")) -> list[bool]:
    return [voxels(one, name, kind) == voxels(other, name, kind) for kind in kinds]


def same_history(one, other) -> bool:
    pairs = zip(one.history.moments, other.history.moments, strict=False)
    return all(np.array_equal(a.centre_um, b.centre_um) and np.array_equal(a.frame_um, b.frame_um) for a, b in pairs)


@pytest.mark.parametrize("place", ["first", "last"])
def test_another_instrument_leaves_the_bytes_of_the_others(base, place):
    instruments = {**BASE["instruments"], "ct": EXTRA} if place == "last" else {"ct": EXTRA, **BASE["instruments"]}
    more = changed(instruments=instruments)
    assert same(base, more, "sheet") == same(base, more, "mri") == [True] * 3
    np.testing.assert_array_equal(base["sheet"].pose.drift_um, more["sheet"].pose.drift_um)
    alone = changed(instruments={"mri": BASE["instruments"]["mri"]})
    assert same(base, alone, "mri") == [True] * 3


def test_a_change_of_one_instrument_stays_with_it(base):
    for key, value in (("photons", 7.0), ("rotation_deg", (0.0, 0.0, 9.0)), ("drift_um", 3.0), ("frames", 1)):
        other = changed("instruments", "sheet", key, value)
        assert same(base, other, "mri") == [True] * 3
        assert same_history(base, other)
        np.testing.assert_array_equal(base.anatomy.labels.array, other.anatomy.labels.array)


def test_light_and_noise_move_nothing(base):
    darker = changed("instruments", "sheet", "photons", 7.0)
    assert same(base, darker, "sheet") == [False, False, True]
    louder = changed("instruments", "sheet", "read_noise", 9.0)
    assert same(base, louder, "sheet") == [False, True, True]


def test_a_longer_movie_begins_with_the_shorter_one(base):
    longer = changed("instruments", "sheet", "frames", 3)
    assert same_history(base, longer)
    for kind in ("image", "clean", "labels"):
        assert voxels(longer, "sheet", kind)[:2] == voxels(base, "sheet", kind)


def test_a_new_name_is_new_noise_before_the_same_specimen(base):
    spec = BASE["instruments"]["mri"]
    other = changed(instruments={"mri": spec, "again": spec})
    assert voxels(other, "again", "labels") == voxels(base, "mri", "labels")
    assert voxels(other, "again", "image") != voxels(base, "mri", "image")


def test_cells_and_difficulty_leave_the_tissue_and_the_poses(base):
    fewer, harder = changed("cells", "count", 20), changed(difficulty=0.9)
    for other in (fewer, harder):
        np.testing.assert_array_equal(base.anatomy.labels.array, other.anatomy.labels.array)
        np.testing.assert_array_equal(base.anatomy.texture.array, other.anatomy.texture.array)
        corners = base["sheet"].grid.corners_um
        for frame in (0, 1):
            poses = [p["sheet"].pose.specimen(corners, frame) for p in (base, other)]
            np.testing.assert_array_equal(*poses)
    assert len(fewer.history.moments[0]) == 20
    assert not same_history(base, fewer)
    assert same_history(base, harder)


def test_a_seed_changes_every_part(base):
    other = changed(seed=10)
    assert not np.array_equal(base.anatomy.labels.array, other.anatomy.labels.array)
    assert not same_history(base, other)
    assert not np.array_equal(base["sheet"].pose.drift_um, other["sheet"].pose.drift_um)


def timed(**instrument) -> PhantomConfig:
    spec = {**BASE["instruments"]["mri"], "format": "ome.zarr", **instrument}
    return PhantomConfig.model_validate({**BASE, "instruments": {"mri": spec}})


@pytest.mark.parametrize(
    ("instrument", "times", "last"),
    [
        ({}, (0.0,), 0.0),
        ({"frames": 3}, (0.0, 60.0, 120.0), 120.0),
        ({"frames": 3, "dt_s": 25.0, "start_s": 15.0}, (15.0, 40.0, 65.0), 120.0),
        ({"frames": 2, "dt_s": 0.5}, (0.0, 0.5), 60.0),
        ({"start_s": 61.0}, (61.0,), 120.0),
    ],
)
def test_cells_live_until_the_last_frame_is_covered_and_no_moment_longer(instrument, times, last):
    config = timed(**instrument)
    assert config.times_s("mri") == times
    phantom = config.build()
    assert phantom["mri"].times_s == times
    assert phantom.history.times_s.tolist() == list(np.arange(0.0, last + 1, 60.0))


def test_movies_and_slabs_beyond_all_measure_are_refused_before_anything_is_drawn(monkeypatch):
    for more in (
        {"frames": build.MOST_MOMENTS + 1, "dt_s": 1e-6},
        {"frames": 2, "dt_s": 60.0 * build.MOST_MOMENTS + 1},
    ):
        with pytest.raises(ConfigError, match=r"instruments\.mri\.frames, start_s, dt_s"):
            timed(**more).build()
    monkeypatch.setattr(build, "MOST_VOXELS", 6 * 10 * 12)
    timed().build()
    monkeypatch.setattr(build, "MOST_VOXELS", 6 * 10 * 12 - 1)
    with pytest.raises(ConfigError, match=r"instruments\.mri\.shape, spacing_um"):
        timed().build()
