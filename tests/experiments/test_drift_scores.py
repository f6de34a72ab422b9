"""Drift in an experiment: measured on a drawn phantom, scored against where its stage truly went, written and read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.aligned import aligned
from experiments.config import Experiment, load
from experiments.drawn import drawn
from experiments.drifts import drift_facts, drift_file, drift_of, steady, write_drifts
from experiments.run_folder import RunFolder
from experiments.scoring.drift import drift_scores, errors_um, true_drift_um
from experiments.scoring.table import DRIFT, figures
from experiments.scoring.true_table import read_true_table
from phantom.recording import write_phantom
from phantom.truth import read_truth
from volumes import Affine
from volumes.errors import TableError

SPECIMEN = """
name: specimen
seed: 5
difficulty: 0.1
anatomy: {kind: embryo, size_um: [40.0, 50.0, 52.0]}
cells: {count: 40, radius_um: 3.5}
instruments:
  sheet: {kind: light_sheet, shape: [18, 36, 38], spacing_um: [2.5, 1.6, 1.6], frames: 4, dt_s: 20.0, drift_um: 2.5}
  still: {kind: light_sheet, shape: [16, 30, 30], spacing_um: [3.0, 2.0, 2.0], frames: 1, rotation_deg: [3, 0, 5]}
"""
EXPERIMENT = """
name: x
phantom: {config: specimen.yaml}
reference: sheet
drift: {reference: 2}
register: {kind: rigid}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, RunFolder]:
    """The phantom, drawn, and its drift, measured from the third frame."""
    place = tmp_path_factory.mktemp("drifting")
    (place / "specimen.yaml").write_text(SPECIMEN, encoding="utf-8")
    text = (
        "name: x\nphantom: {config: specimen.yaml}\nreference: sheet\ndrift: {reference: 2}\nregister: {kind: rigid}\n"
    )
    (place / "x.yaml").write_text(text, encoding="utf-8")
    config, folder = load(place / "x.yaml"), RunFolder(place / "out")
    assert isinstance(config, Experiment)
    assert config.phantom is not None
    write_phantom(config.phantom.config, folder.phantom)
    experiment = drawn(config, folder)
    write_drifts(experiment, folder.transforms)
    exact = read_truth(folder.phantom).transform("sheet", "still")
    volumes.write_transform(Affine(np.linalg.multi_dot([p.matrix for p in exact.parts])), folder.transform("still"))
    return experiment, folder


def test_the_drift_of_each_movie_is_written(ran) -> None:
    experiment, folder = ran
    assert drift_file(folder.transforms, "sheet").is_file()
    assert not drift_file(folder.transforms, "still").exists()
    facts = json.loads(drift_facts(folder.transforms, "sheet").read_text())
    assert (facts["status"], facts["reference"], len(facts["frames"])) == ("good", 2, 4)
    assert drift_of(experiment, folder, "still") is None
    assert drift_of(experiment.model_copy(update={"drift": None}), folder, "sheet") is None


def test_the_scores_count_from_the_first_frame_and_are_small(ran) -> None:
    scores = drift_scores(*ran)
    assert [*scores] == ["sheet"]
    found = scores["sheet"]
    assert found["before_mean_um"] > 2
    assert found["mean_um"] < 0.25 * found["before_mean_um"]
    assert found["mean_um"] <= found["max_um"]
    rows = figures({"drift": scores})
    assert [row.measure for row in rows] == [*DRIFT.values()]
    assert {row.unit for row in rows} == {"µm"}


def test_the_true_transforms_have_no_error(ran) -> None:
    _, folder = ran
    true = true_drift_um(read_truth(folder.phantom).instruments["sheet"])
    exact = tuple(Affine.rigid(translation_um=step) for step in true.tolist())
    points = np.random.default_rng(0).uniform(0, 50, (30, 3))
    assert errors_um(points, exact, true)["max_um"] == pytest.approx(0, abs=1e-12)
    none = errors_um(points, (Affine.identity(),) * 4, true)
    assert none["mean_um"] == pytest.approx(none["before_mean_um"])
    assert none["max_um"] == pytest.approx(np.linalg.norm(true, axis=1).max())
    with pytest.raises(TableError, match="3 frames"):
        errors_um(points, exact[:3], true)


def test_a_cell_of_any_frame_is_where_the_drift_leads_from_the_first(ran) -> None:
    """The convention: points of frame 0 → points of frame t, checked on the true cells that the phantom wrote."""
    experiment, folder = ran
    transforms = drift_of(experiment, folder, "sheet")
    table = read_true_table(read_truth(folder.phantom).instruments["sheet"].cells)
    cells = {
        t: {int(n): table.lineage.zyx[row] for (frame, n), row in table.rows.items() if frame == t} for t in (0, 3)
    }
    shared = sorted(cells[0].keys() & cells[3].keys())
    start, end = (np.array([cells[t][n] for n in shared]) for t in (0, 3))
    assert len(shared) > 10
    before = np.median(np.linalg.norm(end - start, axis=1))
    assert np.median(np.linalg.norm(end - transforms[3](start), axis=1)) < 0.5 * before


def test_aligned_sources_stand_still(ran) -> None:
    """What the moving source shows was taken with the first frame: in each frame the reference must lie as there."""
    experiment, folder = ran
    movies = aligned(experiment, folder)
    loose = aligned(experiment.model_copy(update={"drift": None}), folder)
    assert movies["sheet"].times_s == movies["still"].times_s

    def unlike(sources) -> float:
        first, last = sources["sheet"][0], sources["sheet"][3]
        both = first.mask() & last.mask()
        return float(np.corrcoef(first.channel()[both], last.channel()[both])[0, 1])

    assert unlike(movies) > unlike(loose) + 0.05
    np.testing.assert_array_equal(movies["sheet"][0].array, loose["sheet"][0].array)


def test_true_labels_are_held_still_as_their_movie_is(ran) -> None:
    experiment, folder = ran
    labels = volumes.read_timelapse(read_truth(folder.phantom).instruments["sheet"].labels, modality="labels")
    still = steady(experiment, folder, "sheet", labels)
    wanted = volumes.resample(labels[3], like=labels.grid, transform=drift_of(experiment, folder, "sheet")[3])
    np.testing.assert_array_equal(still[3].array, wanted.array)
    assert still[3].array.dtype == labels[3].array.dtype
    assert steady(experiment, folder, "still", labels) is labels


def test_a_damaged_truth_is_refused(ran, tmp_path: Path) -> None:
    recorded = read_truth(ran[1].phantom).instruments["sheet"]
    other = type(recorded)(**{**vars(recorded), "cells": tmp_path / "cells.csv"})
    with pytest.raises(TableError, match="drift"):
        true_drift_um(other)
    for text in ("", "t,z_um,y_um,x_um\n0,0,0,0\n", "t,z,y,x\n" + "0,0,0,0\n" * 4, "t,z_um,y_um,x_um\n0,0,0,a\n"):
        (tmp_path / "drift.csv").write_text(text)
        with pytest.raises(TableError, match="drift"):
            true_drift_um(other)
