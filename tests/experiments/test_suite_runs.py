"""Suites whose parts fail, runs whose inputs vanish, and what the report says of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.config import Experiment, load
from experiments.pipeline import parts_of, plan, run
from experiments.provenance import entries, input_files, versions
from experiments.rescore import has_truth, rescored
from experiments.run_folder import RunFolder, read_json, write_json
from experiments.stages import evaluate, register
from experiments.stages.report import report_stage
from volumes.errors import ConfigError, OutputError, StageError, TableError, VolumeFileError

SUITE = """
name: both
parts:
  first: {name: one, cells: {file: cells.csv, attribution: Somebody 2020, note: a toy}, link: {kind: constraint}}
  second:
    name: two
    cells: {file: lineage.csv.gz, dt_s: 60.0, observed: {drop: 0.0, spurious: 0.0, jitter_um: 0.1}}
    link: {kind: constraint}
"""


def lineage(cells: int, frames: int) -> str:
    rows = [
        (c + cells * t, t, 30.0 * c, 2.0 * t, 0.0, c + cells * (t - 1) if t else -1, 5)
        for t in range(frames)
        for c in range(cells)
    ]
    return "id,t,z,y,x,parent,radius\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two parts that link tables; the second knows its truth."""
    (tmp_path / "cells.csv").write_text("t,z,y,x\n0,0,0,0\n1,0,1,0\n0,50,0,0\n1,50,1,0\n")
    (tmp_path / "lineage.csv.gz").write_bytes(gzip.compress(lineage(4, 5).encode(), mtime=0))
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path / "suite.yaml"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the parts whose link stage fails; empty at first."""
    from experiments.stages import link

    names: list[str] = []
    whole = link._link

    def failing(experiment: Experiment, folder: RunFolder) -> None:
        if experiment.name in names:
            raise StageError(f"{experiment.name} cannot be linked <b>", field="link")
        whole(experiment, folder)

    monkeypatch.setattr(link, "_link", failing)
    return names


def test_one_part_s_failure_leaves_the_other_whole(suite: Path, broken: list[str], tmp_path: Path) -> None:
    broken.append("one")
    with pytest.raises(StageError, match="one cannot be linked"):
        run(load(suite), tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    assert not (folder.part("first").path / "tracks.csv").exists()
    assert (folder.part("second").path / "tracks.csv").exists()
    manifest = read_json(folder.manifest)
    assert manifest["status"] == "failed"
    assert manifest["failure"] == "link: one cannot be linked <b>"
    assert set(manifest["stages"]) == {"two/detect", "two/link", "two/evaluate", "both/report"}
    html = folder.report.read_text(encoding="utf-8")
    assert "This run stopped: one cannot be linked &lt;b&gt;." in html
    assert "two" in html
    with pytest.raises(OutputError, match="failed"):
        rescored(folder.path)
    broken.clear()
    mended = run(load(suite), tmp_path / "out")
    assert mended.worked == ("one/link", "one/evaluate", "both/report")
    assert read_json(folder.manifest)["failure"] is None
    assert "This run stopped" not in folder.report.read_text(encoding="utf-8")


def test_of_two_failures_the_first_is_told(suite: Path, broken: list[str], tmp_path: Path) -> None:
    broken += ["one", "two"]
    with pytest.raises(StageError, match="one cannot be linked"):
        run(load(suite), tmp_path / "out")
    assert read_json(tmp_path / "out" / "manifest.json")["status"] == "failed"


def test_the_manifest_holds_every_input_stage_and_version(suite: Path, tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    result = run(load(suite), tmp_path / "out", lambda *what: told.append(what))
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert {name: facts["file"] for name, facts in manifest["inputs"].items()} == {
        "one/cells": "cells.csv",
        "two/cells": "lineage.csv.gz",
    }
    assert manifest["versions"] == versions()
    assert manifest["stages"] == {f"{part}/{done.stage}": done.key for part, done in result.done}
    assert [(part, stage) for part, stage, state in told if state == "start"] == [
        (part, done.stage) for part, done in result.done
    ]
    assert [path.name for path in sorted((tmp_path / "out").iterdir()) if path.is_dir()] == [
        "first",
        "second",
        "stages",
    ]


def test_the_report_of_a_suite_names_inputs_and_timings_of_each_part(suite: Path, tmp_path: Path) -> None:
    html = run(load(suite), tmp_path / "out").report.read_text(encoding="utf-8")
    for words in (
        "one: cells",
        "two: cells",
        "Somebody 2020",
        "a toy",
        "0.1 µm jitter",
        "<h4>one</h4>",
        "<h4>two</h4>",
    ):
        assert words in html
    assert html.count('<p class="eyebrow">Tracking</p>') == 2
    assert html.count('<p class="eyebrow">Evaluation</p>') == 1


def test_only_a_part_with_a_truth_is_scored_again(suite: Path, tmp_path: Path) -> None:
    run(load(suite), tmp_path / "out")
    figures = rescored(tmp_path / "out")
    assert [*figures] == ["two"]
    values = {row.measure: row.value for row in figures["two"]}
    assert values["edge F1"] == 1.0
    assert values["true links"] == 4 * 4
    assert {row.subject for row in figures["two"]} == {"two"}
    RunFolder(tmp_path / "out" / "second").marker("link").write_text("{}")
    with pytest.raises(OutputError, match="stage link is not done"):
        rescored(tmp_path / "out")


def test_a_vanished_input_leaves_the_earlier_run_as_it_was(suite: Path, tmp_path: Path) -> None:
    """Neither a complete manifest beside another config, nor a config of which nothing was run."""
    run(load(suite), tmp_path / "out")
    kept = {name: (tmp_path / "out" / name).read_bytes() for name in ("manifest.json", "experiment.yaml")}
    suite.write_text(SUITE.replace("cells.csv", "none.csv").replace("name: both", "name: other"))
    with pytest.raises(VolumeFileError, match="no such file"):
        run(load(suite), tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in kept} == kept


def test_an_error_that_is_no_verdict_leaves_the_run_unfinished(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("t,z,y\n0,0,0\n")
    with pytest.raises(TableError):
        run(load(suite), tmp_path / "out")
    assert read_json(tmp_path / "out" / "manifest.json")["status"] == "unfinished"
    assert not (tmp_path / "out" / "report.html").exists()


def test_the_plan_holds_what_is_asked_for_in_its_order(suite: Path, tmp_path: Path) -> None:
    config = load(suite)
    folder = RunFolder(tmp_path / "out")
    parts = parts_of(config, folder)
    assert [(part.experiment.name, part.folder.path.name) for part in parts] == [("one", "first"), ("two", "second")]
    stages = plan(parts[0].experiment, parts[0].folder)
    assert [stage.name for stage in stages] == ["detect", "link", "evaluate"]
    assert stages[-1].after == ("detect", "link")
    assert parts_of(parts[0].experiment, folder) == [type(parts[0])(parts[0].experiment, folder)]


def test_what_an_experiment_reads_is_listed_once_each(tmp_path: Path) -> None:
    source = {"file": tmp_path / "a", "modality": "CT"}
    config = Experiment.model_validate(
        {
            "name": "x",
            "sources": {"a": source},
            "segment": {"kind": "watershed"},
            "truth_labels": {**source, "file": "t"},
        }
    )
    assert input_files(config) == {"a": tmp_path / "a", "truth_labels": Path("t")}
    assert entries(config)["truth_labels"] is config.truth_labels
    assert has_truth(config)
    assert not has_truth(config.model_copy(update={"truth_labels": None}))


def test_a_package_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.provenance.PACKAGES", ("numpy", "no-such-package-anywhere"))
    assert versions()["numpy"] == np.__version__
    assert versions()["no-such-package-anywhere"] == "not installed"


def test_scores_of_an_earlier_registration_are_not_shown_beside_a_new_one(pair: Path, tmp_path: Path) -> None:
    """The scores' file outlives its stage: without the stage's marker it speaks of something else."""
    config, folder = load(pair, {"fuse": "null", "segment": "null"}), RunFolder(tmp_path / "out")
    assert isinstance(config, Experiment)
    volumes.write_transform(volumes.Affine.identity(), folder.transform("moved"))
    facts = {"status": "failed", "reasons": ["too far <i>"], "quality": {}}
    way = {"path": ["still", "moved"], "loops": [], "frames": [0, 0]}
    write_json(folder.registration("moved"), facts | way)
    errors = {"before_mean_um": 9.0, "mean_um": 7.77, "median_um": 1.0, "max_um": 2.0, "points": 5, "note": ""}
    write_json(folder.scores, {"registration": {"moved": errors}})
    folder.marker(register.NAME).parent.mkdir(parents=True)
    folder.marker(register.NAME).touch()
    failure = StageError("the registration failed")
    stage = report_stage(config, [(config, folder)], folder, failure, [])
    stage.work()
    html = folder.report.read_text(encoding="utf-8")
    assert "too far &lt;i&gt;" in html
    assert "7.77" not in html
    assert "Error against the truth" not in html
    folder.marker(evaluate.NAME).touch()
    stage.work()
    assert "7.77" in folder.report.read_text(encoding="utf-8")


def test_a_report_is_made_again_when_what_it_shows_changes(suite: Path, tmp_path: Path) -> None:
    config, folder = load(suite), RunFolder(tmp_path)
    settings = [
        report_stage(config, [], folder, failure, keys).settings
        for failure, keys in ((None, ["a"]), (None, ["b"]), (StageError("x"), ["a"]), (None, ["a", "b"]))
    ]
    settings.append(report_stage(load(suite, {"title": "another"}), [], folder, None, ["a"]).settings)
    assert len(set(settings)) == len(settings)


def test_no_link_and_no_cell_are_met_with_advice(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells.csv").write_text("t,z,y,x\n0,0,0,0\n0,50,0,0\n")
    html = run(load(suite), tmp_path / "out").report.read_text(encoding="utf-8")
    assert html.count("No link was made: is the unit of the positions right?") == 1
    monkeypatch.setattr("tracking3d.segment", lambda image, _: image.with_data(np.zeros(image.grid.shape, np.uint16)))
    light = np.arange(6.0 * 24 * 24, dtype=np.float32).reshape(6, 24, 24)
    volumes.write(volumes.from_array(light, (2, 1, 1), modality="fluorescence"), tmp_path / "light.nrrd")
    values = {"name": "x", "sources": {"a": {"file": "light.nrrd", "modality": "fluorescence"}}}
    (tmp_path / "x.yaml").write_text(json.dumps({**values, "segment": {"kind": "watershed"}}))
    html = run(load(tmp_path / "x.yaml"), tmp_path / "none").report.read_text(encoding="utf-8")
    assert "No cell was found" in html


def test_a_lineage_that_nobody_degrades_is_no_truth(suite: Path) -> None:
    from experiments.stages.true_links import lineage_and_view

    config = load(suite, {"parts.second.cells.unit": "mm"})
    degraded, plain = config.parts["second"].cells, config.parts["first"].cells
    true, seen = lineage_and_view(degraded)
    assert true.zyx[:, 0].max() == 90_000
    np.testing.assert_allclose(seen.zyx_um, true.zyx[seen.node], atol=1.0)
    np.testing.assert_allclose(seen.volume_um3, 4 / 3 * np.pi * 5000.0**3, rtol=0.5)
    with pytest.raises(ConfigError) as caught:
        lineage_and_view(plain)
    assert caught.value.field == "cells.observed"
