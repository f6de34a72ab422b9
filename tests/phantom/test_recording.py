"""A phantom on disk: what its instruments wrote, and the truth that is read back."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import volumes
from phantom import PhantomConfig, read_lineage, read_truth, write_phantom
from phantom.true_cells import COLUMNS
from volumes.errors import ConfigError, OutputError, VolumeFileError

SMALL = {
    "name": "tiny",
    "seed": 5,
    "anatomy": {"kind": "embryo", "size_um": (60.0, 64.0, 72.0)},
    "cells": {"radius_um": 4.0, "density": 0.1, "cycle_h": 0.5, "motion": {"kind": "flow"}},
    "instruments": {
        "light_sheet": {"kind": "light_sheet", "shape": (12, 24, 28), "spacing_um": (3.0, 2.0, 2.0), "frames": 3},
        "tiff": {
            "kind": "brightfield",
            "shape": (8, 20, 20),
            "spacing_um": (4.0, 2.5, 2.5),
            "frames": 2,
            "drift_um": 0.5,
            "format": "ome.tif",
        },
        "ct": {
            "kind": "ct",
            "shape": (10, 20, 20),
            "spacing_um": (5.0, 3.0, 3.0),
            "axes": ("x", "-z", "y"),
            "rotation_deg": (10.0, 20.0, -5.0),
            "deformation_um": 1.0,
        },
        "mri": {"kind": "mri", "shape": (8, 10, 12), "spacing_um": (7.0, 6.0, 6.0)},
    },
}


def tiny(**more) -> PhantomConfig:
    return PhantomConfig.model_validate({**SMALL, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "tiny"
    write_phantom(tiny(), out)
    return out


def test_every_file_is_read_back_as_it_was_drawn(folder):
    phantom, truth = tiny().build(), read_truth(folder)
    assert list(truth.instruments) == list(phantom.acquisitions)
    for name, recorded in truth.instruments.items():
        drawn = phantom[name]
        stated = None if recorded.file.suffix == ".zarr" else recorded.modality
        for file, movie, modality in (
            (recorded.file, drawn.image(), stated),
            (recorded.labels, drawn.labels(), None),
            (recorded.clean, drawn.clean(), None),
        ):
            read = volumes.read_timelapse(file, modality=modality)
            assert len(read) == len(movie) == len(recorded.times_s)
            assert read.grid.is_close(movie.grid)
            for one, other in zip(read, movie, strict=True):
                np.testing.assert_array_equal(one.array, other.array)
        assert recorded.movie == (len(recorded.times_s) > 1)


def test_the_transform_that_is_read_back_is_exact_and_the_files_agree_with_it(folder, rng):
    phantom, truth = tiny().build(), read_truth(folder)
    for fixed, seen in phantom.acquisitions.items():
        points = seen.grid.to_world(rng.random((300, 3)) * (np.asarray(seen.grid.shape) - 1))
        for moving in phantom.acquisitions:
            if moving == fixed:
                continue
            exact = phantom.transform(fixed, moving)(points)
            np.testing.assert_array_equal(truth.transform(fixed, moving)(points), exact)
            (file,) = (folder / "truth" / "transforms").glob(f"{fixed}_to_{moving}.*")
            off = np.abs(volumes.read_transform(file)(points) - exact).max()
            assert off < (1e-6 if file.suffix == ".tfm" else 0.2)


def test_the_table_of_cells_is_a_lineage_in_the_instruments_own_world(folder):
    phantom, truth = tiny().build(), read_truth(folder)
    for name in ("light_sheet", "tiff", "ct"):
        drawn = phantom[name]
        path = truth.instruments[name].cells
        assert tuple(path.read_text().splitlines()[0].split(",")) == COLUMNS
        lineage = read_lineage(path)
        for frame in range(len(drawn.times_s)):
            cells = drawn.cells(frame)
            world = drawn.pose.world(cells.centre_um, frame)
            rows = lineage.zyx[lineage.t == frame]
            assert len(rows) > 0
            assert np.linalg.norm(rows[:, None] - world[None], axis=-1).min(1).max() < 1e-9


def test_the_drift_is_written_down(folder):
    drift = np.loadtxt(folder / "truth" / "tiff" / "drift.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(drift[:, 1:], tiny().build()["tiff"].pose.drift_um)
    assert drift[1, 1:].any()


def test_the_same_seed_writes_the_same_voxels_and_tables(folder, tmp_path):
    write_phantom(tiny(), tmp_path / "again")
    wanted = ["truth/truth.json", "truth/phantom.json", "ct.nii.gz", "mri.nii.gz"]
    wanted += [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix in (".csv", ".tfm")]
    wanted += [str(p.relative_to(folder)) for p in (folder / "light_sheet.ome.zarr").rglob("*") if p.is_file()]
    assert len(wanted) > 12
    for name in wanted:
        both = [hashlib.sha256((root / name).read_bytes()).hexdigest() for root in (folder, tmp_path / "again")]
        assert both[0] == both[1], name


def test_a_folder_of_something_else_is_left_alone_and_a_phantom_is_replaced(tmp_path):
    mine = tmp_path / "thesis.txt"
    mine.write_text("mine")
    with pytest.raises(OutputError, match="no phantom"):
        write_phantom(tiny(), tmp_path)
    assert mine.read_text() == "mine"
    one = {"mri": SMALL["instruments"]["mri"]}
    for seed in (1, 2):
        truth = write_phantom(tiny(seed=seed, instruments=one), tmp_path / "out")
        assert truth.seed == seed
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["mri.nii.gz", "truth"]


def test_a_run_that_fails_leaves_nothing_behind(tmp_path):
    crowded = {**SMALL["cells"], "count": 5000}
    with pytest.raises(ConfigError):
        write_phantom(tiny(cells=crowded), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_cannot_hold_the_frames_is_refused(tmp_path):
    movie = {**SMALL["instruments"]["mri"], "frames": 2}
    with pytest.raises(ConfigError, match="one volume"):
        write_phantom(tiny(instruments={"mri": movie}), tmp_path / "out")


def test_a_folder_without_a_phantom_and_a_damaged_index_are_named(folder, tmp_path):
    with pytest.raises(VolumeFileError, match="no phantom"):
        read_truth(tmp_path)
    good = json.loads((folder / "truth" / "truth.json").read_text())
    (tmp_path / "truth").mkdir()
    bad = {**good, "version": 99}
    for text in ("{", "[]", json.dumps({"version": 1}), json.dumps(bad)):
        (tmp_path / "truth" / "truth.json").write_text(text)
        with pytest.raises(VolumeFileError, match="damaged"):
            read_truth(tmp_path)
    with pytest.raises(ConfigError, match="no such instrument"):
        read_truth(folder).transform("light_sheet", "pet")
