"""Every score of a run against results that were made by hand: exact, off by a known amount, or lacking something."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import volumes
from experiments.config import Experiment, load
from experiments.drawn import drawn, recorded_for_truth, truth_of
from experiments.run_folder import RunFolder
from experiments.scoring.fusion import fusion_scores
from experiments.scoring.intensity import intensity_scores
from experiments.scoring.linking import linking_scores, nodes, truth_of_labels
from experiments.scoring.registration import registration_scores, specimen_points
from experiments.scoring.segmentation import frame_pairs, segmentation_scores
from experiments.scoring.table import Figure, as_csv, as_text, figures
from experiments.scoring.true_table import read_true_table
from experiments.stages import detect
from experiments.stages.true_links import parents_of_numbers
from tracking3d import Detections, Tracks
from volumes.errors import ConfigError, GridError, TableError

CELLS = 8 + 8 + 9 + 9


@pytest.fixture
def sketch(specimen: Path, standin, tmp_path: Path) -> tuple[Experiment, RunFolder]:
    """A drawn phantom of which nothing was run, and results that are the truth itself."""
    config, folder = load(specimen), RunFolder(tmp_path / "out")
    assert isinstance(config, Experiment)
    assert config.phantom is not None
    truth = standin(config.phantom.config, folder.phantom)
    for name in ("red", "scan"):
        volumes.write_transform(_exact(truth, name), folder.transform(name))
    shutil.copytree(truth.instruments["sheet"].labels, folder.path / "labels.ome.zarr")
    shutil.copytree(truth.instruments["sheet"].clean, folder.path / "fused.ome.zarr")
    return drawn(config, folder), folder


def _exact(truth, name: str) -> volumes.Affine:
    return truth.poses[name] @ truth.poses["sheet"].inverse()


def relabelled(folder: RunFolder, change) -> None:
    """Replace the found labels by what ``change`` makes of each frame's (frame number, voxels)."""
    path = folder.path / "labels.ome.zarr"
    movie = volumes.read_timelapse(path)
    frames = [frame.with_data(change(k, frame.channel().copy())) for k, frame in enumerate(movie)]
    volumes.write(volumes.TimeLapse.of(frames), path)


def test_an_exact_registration_has_no_error_and_a_shift_is_its_own(sketch) -> None:
    config, folder = sketch
    exact = registration_scores(config, folder)
    assert set(exact) == {"red", "scan"}
    for found in exact.values():
        assert found["max_um"] < 1e-6
        assert found["at_cells"]["max_um"] < 1e-6
        assert found["before_mean_um"] > 1
        assert 3 <= found["points"] <= 2000
        assert found["at_cells"]["points"] <= 8
    truth = truth_of(config, folder)
    off = volumes.Affine.rigid(translation_um=(0.0, 3.0, 4.0)) @ _exact(truth, "red")
    volumes.write_transform(off, folder.transform("red"))
    moved = registration_scores(config, folder)
    for errors in (moved["red"], moved["red"]["at_cells"]):
        assert [errors[key] for key in ("mean_um", "median_um", "max_um")] == pytest.approx([5.0] * 3, abs=1e-6)
    assert moved["red"]["before_mean_um"] == pytest.approx(exact["red"]["before_mean_um"])
    assert moved["scan"] == exact["scan"]


def test_a_transform_that_leads_the_other_way_is_no_success(sketch) -> None:
    config, folder = sketch
    volumes.write_transform(_exact(truth_of(config, folder), "scan").inverse(), folder.transform("scan"))
    assert registration_scores(config, folder)["scan"]["mean_um"] > 1


def test_fields_that_share_nothing_have_no_score(sketch) -> None:
    config, folder = sketch
    index = folder.phantom / "truth" / "truth.json"
    values = json.loads(index.read_text())
    values["instruments"]["scan"]["pose"]["matrix"][2][3] += 1e5
    index.write_text(json.dumps(values))
    assert set(registration_scores(config, folder)) == {"red"}


def test_points_of_the_specimen_are_drawn_from_what_is_bright_and_valid() -> None:
    voxels = np.zeros((6, 10, 12), np.float32)
    voxels[2:4, 3:6, 4:9] = 100
    valid = np.ones(voxels.shape, bool)
    valid[:, :, 7:] = False
    volume = volumes.from_array(voxels, (2, 1, 0.5), modality="CT", valid=valid, origin_um=(10, 0, 0))
    points = specimen_points(volume)
    wanted = volume.grid.to_world(np.argwhere((voxels > 0) & valid))
    assert sorted(map(tuple, points)) == sorted(map(tuple, wanted))
    assert len(specimen_points(volume, 5)) == 5
    np.testing.assert_array_equal(specimen_points(volume, 5), specimen_points(volume, 5))


def test_true_labels_score_one_and_lost_cells_are_missed(sketch) -> None:
    config, folder = sketch
    assert segmentation_scores(config, folder) == {
        "AP at IoU 0.5": 1.0, "F1 at IoU 0.5": 1.0, "SEG": 1.0, "DET": 1.0, "true cells": CELLS,
    }  # fmt: skip
    relabelled(folder, lambda _, labels: np.where(labels == 3, 0, labels + 100 * (labels > 0)))
    found = segmentation_scores(config, folder)
    assert found["true cells"] == CELLS
    assert found["SEG"] == pytest.approx((CELLS - 4) / CELLS)
    assert found["AP at IoU 0.5"] == pytest.approx((CELLS - 4) / CELLS)
    assert found["F1 at IoU 0.5"] == pytest.approx(2 * (CELLS - 4) / (2 * CELLS - 4))


def test_no_true_cell_is_said_in_words(sketch, tmp_path: Path) -> None:
    config, folder = sketch
    movie = volumes.read_timelapse(config.truth_labels.file)
    empty = [frame.with_data(np.zeros_like(frame.channel())) for frame in movie]
    volumes.write(volumes.TimeLapse.of(empty), tmp_path / "empty.ome.zarr")
    nothing = config.truth_labels.model_copy(update={"file": tmp_path / "empty.ome.zarr"})
    found = segmentation_scores(config.model_copy(update={"truth_labels": nothing}), folder)
    assert (found["SEG"], found["DET"], found["true cells"]) == ("no true cell", "no true cell", 0)


def test_labels_of_other_frames_or_none_are_refused(sketch, tmp_path: Path) -> None:
    config, folder = sketch
    movie = volumes.read_timelapse(config.truth_labels.file)
    volumes.write(volumes.TimeLapse.of([movie[0], movie[1]]), tmp_path / "short.ome.zarr")
    short = config.truth_labels.model_copy(update={"file": tmp_path / "short.ome.zarr"})
    with pytest.raises(GridError, match="2 true frames for 4"):
        next(frame_pairs(config.model_copy(update={"truth_labels": short}), folder))
    with pytest.raises(ConfigError) as caught:
        next(frame_pairs(config.model_copy(update={"truth_labels": None}), folder))
    assert caught.value.field == "truth_labels"


def test_brightness_is_held_against_each_source_s_own_signal_at_the_frame_it_lent(sketch) -> None:
    """Red lends its frame at 100 s to 120 and 180 s: the daughters that the sheet saw then are not born in it."""
    config, folder = sketch
    found = intensity_scores(config, folder)
    assert found["sheet"]["cells"] == CELLS
    assert found["red"]["cells"] <= 8 + 8 + 7 + 7
    assert found["sheet"]["median relative error"] < 0.05
    dim = found["red"]["median relative error"]  # what its coarser voxels take from a small cell
    assert dim < 0.25
    table = folder.phantom / "truth" / "red" / "cells.csv"
    rows = pd.read_csv(table)
    rows["signal"] *= 2
    rows.loc[rows["number"] == 1, "signal"] = np.nan
    rows.to_csv(table, index=False)
    doubled = intensity_scores(config, folder)
    assert doubled["sheet"] == found["sheet"]
    assert doubled["red"]["cells"] < found["red"]["cells"]
    assert doubled["red"]["median relative error"] == pytest.approx((1 + dim) / 2, abs=0.05)


def test_only_the_segmented_source_is_measured_where_none_was_registered(sketch) -> None:
    config, folder = sketch
    assert set(intensity_scores(config.model_copy(update={"register_": None}), folder)) == {"sheet"}


def test_what_brightness_cannot_say_is_left_out(sketch) -> None:
    config, folder = sketch
    relabelled(folder, lambda frame, labels: np.where((labels == 2) & (frame < 2), labels, 0))
    found = intensity_scores(config, folder)["sheet"]
    assert found["cells"] == 2
    assert "correlation" not in found
    relabelled(folder, lambda _, labels: labels * 0)
    assert intensity_scores(config, folder)["sheet"] == {"cells": 0}


def test_a_fused_volume_that_is_the_truth_correlates_wholly(sketch) -> None:
    config, folder = sketch
    found = fusion_scores(config, folder)
    names = [f"correlation with the noise-free reference, {kind}" for kind in ("fused", "raw reference")]
    assert [*found] == names
    assert found[names[0]] == pytest.approx(1.0)
    assert 0.5 < found[names[1]] < 0.999


def linked(config: Experiment, folder: RunFolder, change=lambda parent: parent) -> dict[str, object]:
    """Scores of tracks whose parents are the true ones, changed."""
    detect.detect_stage(config, folder).work()
    cells = detect.detections(config, folder)
    table = read_true_table(folder.phantom / "truth" / "sheet" / "cells.csv")
    keys = [table.rows[int(t), int(n)] for t, n in zip(cells.t, cells.features["label"], strict=True)]
    row_of = {row: k for k, row in enumerate(keys)}
    parent = np.array([row_of.get(int(table.lineage.parent[row]), -1) for row in keys])
    Tracks(cells, change(parent)).write(folder.path / "tracks.csv")
    return linking_scores(config, folder)


def test_true_links_score_one_and_each_lost_one_counts(sketch) -> None:
    config, folder = sketch
    links = 8 + 9 + 9
    found = linked(config, folder)
    assert (found["true links"], found["true divisions"]) == (links, 1)
    for name in ("edge F1", "division F1", "LNK", "cells with the right parent, share of all"):
        assert found[name] == 1.0
    assert found["false matches, share of links"] == 0.0
    mothers = np.flatnonzero(np.bincount(linked_parents(folder)) == 2)

    def without_a_daughter(parent: np.ndarray) -> np.ndarray:
        parent = parent.copy()
        parent[np.flatnonzero(parent == mothers[0])[0]] = -1
        return parent

    lost = linked(config, folder, without_a_daughter)
    assert lost["edge F1"] == pytest.approx(2 * (links - 1) / (2 * links - 1))
    assert lost["division F1"] == 0.0
    assert lost["right divisions, share of all"] == 0.0
    assert lost["cells with the right parent, share of all"] == pytest.approx((links - 1) / links)


def linked_parents(folder: RunFolder) -> np.ndarray:
    parent = pd.read_csv(folder.path / "tracks.csv")["parent"].to_numpy()
    return parent[parent >= 0]


def test_without_a_truth_nothing_is_scored(sketch) -> None:
    config, folder = sketch
    plain = config.model_copy(update={"phantom": None, "truth_follows_cells": False})
    assert fusion_scores(plain, folder) == {}
    assert intensity_scores(plain, folder) == {}
    assert linking_scores(plain, folder) == {}
    assert registration_scores(plain, folder) == {}


def test_a_fused_volume_is_judged_by_the_reference_s_cells(sketch) -> None:
    config, _ = sketch
    assert recorded_for_truth(config) == "sheet"
    fused = config.model_copy(update={"segment_on": "fused", "reference": "red"})
    assert recorded_for_truth(fused) == "red"
    assert recorded_for_truth(config.model_copy(update={"segment_on": "scan"})) == "scan"


def test_a_phantom_s_sources_say_that_they_are_drawn(sketch) -> None:
    config, folder = sketch
    assert [*config.sources] == ["sheet", "red", "scan"]
    assert [source.is_movie for source in config.sources.values()] == [True, True, False]
    assert all(source.simulated for source in config.sources.values())
    assert config.sources["red"].note == "drawn: phantom specimen, seed 3, difficulty 0.2"
    assert config.truth_labels.file == folder.phantom / "truth" / "sheet" / "labels.ome.zarr"
    alone = Experiment.model_construct(name="x", phantom=config.phantom, sources={}, reference="pet")
    with pytest.raises(ConfigError, match="reference 'pet'") as caught:
        drawn(alone, folder)
    assert caught.value.field == "phantom.sources"


@pytest.mark.parametrize(("drop", "says"), [("signal", "signal"), ("number", "number")])
def test_a_true_table_without_a_column_is_refused(sketch, drop: str, says: str) -> None:
    _, folder = sketch
    path = folder.phantom / "truth" / "sheet" / "cells.csv"
    pd.read_csv(path).drop(columns=drop).to_csv(path, index=False)
    with pytest.raises(TableError, match="lacks columns") as caught:
        read_true_table(path)
    assert (caught.value.field, caught.value.file) == (says, str(path))


def test_a_cell_that_stands_twice_in_a_frame_is_refused(sketch) -> None:
    _, folder = sketch
    path = folder.phantom / "truth" / "sheet" / "cells.csv"
    rows = pd.read_csv(path)
    rows.loc[1, "number"] = rows.loc[0, "number"]
    rows.to_csv(path, index=False)
    with pytest.raises(TableError, match="two rows in one frame"):
        read_true_table(path)


def frames_of(*rows: list[int]) -> volumes.TimeLapse:
    """Labels of one row of voxels each, a frame a row."""
    data = np.array(rows, np.uint16)[:, None, None, :]
    return volumes.TimeLapse.from_array(data, (1, 1, 1), dt_s=1.0, modality="labels")


def test_a_found_cell_is_the_true_one_that_it_overlaps_best() -> None:
    true = frames_of([1, 1, 1, 2, 2, 2, 0, 0], [1, 1, 1, 0, 0, 2, 2, 2])
    found = frames_of([9, 9, 9, 9, 5, 5, 0, 7], [4, 4, 4, 0, 0, 0, 6, 6])
    cells = Detections.of([0, 0, 0, 1, 1], np.arange(15.0).reshape(5, 3), features={"label": [7, 9, 5, 6, 4]})
    rows = {(0, 1): 0, (0, 2): 1, (1, 1): 2, (1, 2): 3}
    assert nodes(zip(true, found, strict=True), cells, rows).tolist() == [-1, 0, 1, 3, 2]
    truth = truth_of_labels(true, found, cells)
    assert truth.tracks.parent[truth.node[[3, 4]]].tolist() == truth.node[[2, 1]].tolist()


def test_daughters_come_from_the_nearest_cell_that_ended_just_before() -> None:
    t = [0, 0, 1, 1, 1, 2, 2, 2]
    numbers = np.array([1, 2, 3, 4, 2, 3, 4, 5])
    x = np.array([0.0, 50, -2, 2, 50, -3, 3, 51])
    cells = Detections.of(t, np.stack([np.zeros(8), np.zeros(8), x], -1))
    assert parents_of_numbers(cells, numbers).tolist() == [-1, -1, 0, 0, 1, 2, 3, -1]
    late = Detections.of([f + (f > 0) for f in t], cells.zyx_um)
    assert parents_of_numbers(late, numbers).tolist() == [-1, -1, -1, -1, 1, 2, 3, -1]


ERRORS = {"before_mean_um": 9.0, "mean_um": 1.0, "median_um": 0.5, "max_um": 2.0, "points": 7}


def test_the_table_s_rows_name_what_they_are_of() -> None:
    scores = {
        "registration": {"ct": {**ERRORS, "note": "x", "best_rigid_mean_um": 0.25}},
        "fusion": {"correlation": 0.5},
        "segmentation": {"SEG": "no true cell", "whole": True, "true cells": 3},
        "linking": {"edge F1": 0.75},
        "intensity": {"ct": {"cells": 2}},
    }
    rows = figures(scores, "mri", "fused")
    assert [(row.stage, row.subject, row.value, row.unit) for row in rows] == [
        ("registration", "ct → mri", 9.0, "µm"),
        ("registration", "ct → mri", 1.0, "µm"),
        ("registration", "ct → mri", 0.5, "µm"),
        ("registration", "ct → mri", 2.0, "µm"),
        ("registration", "ct → mri", 7, ""),
        ("registration", "ct → mri", 0.25, "µm"),
        ("fusion", "mri", 0.5, ""),
        ("segmentation", "fused", 3, ""),
        ("linking", "fused", 0.75, ""),
        ("intensity", "ct", 2, ""),
    ]
    assert [row.measure.rpartition(", ")[2] for row in rows[:4]] == ["mean before", "mean", "median", "largest"]
    assert figures({"registration": {"ct": ERRORS}})[0].subject == "ct"
    assert figures({}) == ()


def test_the_table_is_quoted_and_set_in_columns() -> None:
    rows = [Figure("fusion", 'a, "b"', "é", 0.123456, ""), Figure("registration", "c", "mean", 12345.0, "µm")]
    lines = as_csv(rows).splitlines()
    assert lines[0] == "stage,subject,measure,value,unit"
    assert lines[1] == 'fusion,"a, ""b""",é,0.123456,'
    first, second = as_text(rows).splitlines()
    assert first.index("0.1235") + len("0.1235") == second.index("1.234e+04") + len("1.234e+04")
    assert first.endswith("0.1235")
    assert second.endswith("µm")
    assert as_text([replace(rows[0], value=0.0)]).endswith("  0")
    assert as_text([]) == ""
