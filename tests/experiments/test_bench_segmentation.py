"""The segmentation benchmark: its volumes as they are, its rows the scores of one call, refusals told in a row."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import tracking3d
from experiments.bench import segmentation as bench
from experiments.bench.segmentation_volumes import CASES, Case, read_case
from tracking3d.cell_scores import evaluate
from volumes.errors import ConfigError, ContentError
from volumes.volume import Volume, from_array

CELLS = {"qcanet-8": 8, "bbbc033": 15, "cells3d": 20, "gonuclear-1135": 54}


@pytest.fixture
def balls(rng: np.random.Generator) -> Case:
    """Two frames of six bright balls, and their labels."""
    images, truths = [], []
    for _ in range(2):
        z, y, x = np.indices((16, 40, 60))
        truth = np.zeros(z.shape, np.uint32)
        for k, (cy, cx) in enumerate((y0, x0) for y0 in (10, 30) for x0 in (10, 30, 50)):
            truth[(z - 8) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= 30] = k + 1
        image = 100.0 * (truth > 0) + rng.normal(10, 2, truth.shape)
        images.append(from_array(image.astype(np.float32), (1.0, 1.0, 1.0), modality="fluorescence"))
        truths.append(from_array(truth, (1.0, 1.0, 1.0), modality="labels"))
    return Case(tuple(images), tuple(truths), "drawn")


@pytest.mark.parametrize("name", CASES)
def test_the_real_volumes_are_what_the_manifest_says(name: str, data: Path) -> None:
    case = read_case(name, data)
    assert len(case.images) == len(case.truths) == (5 if name == "CHO" else 1)
    for image, truth in zip(case.images, case.truths, strict=True):
        assert image.grid == truth.grid
        labels = truth.array
        assert len(np.unique(labels[labels > 0])) == CELLS.get(name, len(np.unique(labels[labels > 0])))
        inside, outside = image.array[labels > 0].mean(), image.array[labels == 0].mean()
        assert inside > 1.2 * outside
    assert case.voxels == sum(image.array.size for image in case.images)


def test_a_case_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="qcanet-8"):
        read_case("qcanet", tmp_path)


def test_a_row_holds_the_scores_of_one_call(balls: Case) -> None:
    row = bench.measured("balls", balls, "threshold", bench.segmenter("threshold"), resamples=50)
    movie = [tracking3d.segment(image, "threshold") for image in balls.images]
    once = [evaluate(a, b, bench.MIN_VOXELS, resamples=5) for a, b in zip(balls.truths, movie, strict=True)]
    assert row.scores["SEG"].value == pytest.approx(np.mean([one["SEG"].value for one in once]))
    assert row.scores["AP"].value == 1.0
    assert (row.true_cells, row.found_cells, row.note) == (12, 12, "drawn")
    assert row.cpu_s > 0
    assert row.cells()["AP 95 %"] == "1.00 … 1.00"


def test_a_setting_reaches_its_kind_alone(balls: Case) -> None:
    image = balls.images[0]
    changed = bench.segmenter("watershed", ["watershed.min_volume_um3=1e6", "threshold.smoothing_um=3"])
    assert changed(image).array.max() == 0
    plain = bench.segmenter("watershed", ["threshold.smoothing_um=3"])
    assert np.array_equal(plain(image).array, tracking3d.segment(image, "watershed").array)


def test_a_kind_that_refuses_has_a_row_that_says_why(balls: Case) -> None:
    def refuse(volume: Volume) -> Volume:
        raise ContentError("holds no cell", field="image")

    row = bench.measured("balls", balls, "shy", refuse)
    assert row.scores == {}
    assert row.cells()["note"] == "refused: holds no cell"
    assert row.cells()["AP"] == ""


def test_the_tables_name_their_command(balls: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "read_case", lambda *_: balls)
    arguments = ["--cases", "CHO", "--kinds", "threshold", "--resamples", "20", "--out", str(tmp_path / "s.csv")]
    bench.main(arguments)
    with (tmp_path / "s.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["case"], row["kind"], row["AP"]) == ("CHO", "threshold", "1.000")
    lines = (tmp_path / "s.md").read_text().splitlines()
    assert lines[0].startswith("`python -m experiments.bench.segmentation --cases CHO")
    assert lines[4].startswith("| CHO | threshold | 1.000 |")
