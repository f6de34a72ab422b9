"""The benchmark of the segmenter's growth: cubes without a seam, and rows of what processes told."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.bench import segmentation_growth as bench
from experiments.bench.segmentation_process import lazy


def test_a_cube_is_mirrored_without_a_seam(rng: np.random.Generator) -> None:
    tile = rng.integers(0, 99, (3, 3, 3))
    whole = bench.Mirrored(tile, 8)[0, :, :, :]
    assert whole.shape == (8, 8, 8)
    assert np.array_equal(whole[:3, :3, :3], tile)
    assert np.array_equal(whole[3:6], whole[2::-1])
    assert np.array_equal(whole[6:], whole[:2])
    part = bench.Mirrored(tile, 8)[slice(0, 1), slice(2, 7), slice(0, 8), slice(5, 6)]
    assert np.array_equal(part, whole[None, 2:7, :, 5:6])


def test_nothing_of_a_lazy_volume_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    voxels = rng.integers(0, 99, (6, 7, 8)).astype(np.uint16)
    image = volumes.from_array(voxels, (1.0, 2.0, 3.0), modality="fluorescence")
    volumes.write(image, tmp_path / "a.ome.zarr")
    found = lazy(tmp_path / "a.ome.zarr")
    assert not isinstance(found.data, np.ndarray)
    assert np.array_equal(found.data[0, 1:4, 2:3, :], voxels[1:4, 2:3])
    assert found.grid.is_close(image.grid)


def test_each_cube_has_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"cpu_s": 2.0, "peak_mb": 500.0, "cells": 7}
    monkeypatch.setattr(bench, "TILE", 16)
    monkeypatch.setattr(bench, "WHOLE", 0)
    monkeypatch.setattr(bench, "_told", lambda *_: told)
    bench.main(["--sides", "100", "32", "--out", str(tmp_path / "g.csv"), "--scratch", str(tmp_path)])
    with (tmp_path / "g.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["side"] for row in rows] == ["100"] * 4 + ["32"]
    assert rows[-1]["way"] == "blocks of 64³"
    assert {row["peak_mb"] for row in rows} == {"500.000"}
    assert "segmentation_growth --sides 100 32" in (tmp_path / "g.md").read_text()
