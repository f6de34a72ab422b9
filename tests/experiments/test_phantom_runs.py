"""Runs on a phantom: its instruments are the sources, its truth scores every stage, and nothing is drawn twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.config import Experiment, dump, load
from experiments.drawn import drawn
from experiments.pipeline import run
from experiments.rescore import rescored
from experiments.run_folder import RunFolder, read_json
from phantom.truth import read_truth
from volumes.errors import ConfigError, OutputError, StageError, VolumeFileError

LIGHT = {"register": "null", "fuse": "null"}
"""Without the stages that take longest."""
STAGES = ("phantom", "register", "fuse", "segment", "detect", "link", "evaluate", "report")


def test_every_stage_runs_and_a_second_run_draws_nothing(specimen: Path, standin, tmp_path: Path) -> None:
    first = run(load(specimen), tmp_path / "out")
    assert first.worked == tuple(f"pipeline/{stage}" for stage in STAGES)
    assert run(load(specimen), tmp_path / "out").worked == ()
    assert len(standin.drawn) == 1
    again = run(load(specimen, {"fuse.base": "max"}), tmp_path / "out")
    assert again.worked == ("pipeline/fuse", "pipeline/evaluate", "pipeline/report")


def test_another_difficulty_draws_and_runs_all_anew(specimen: Path, standin, tmp_path: Path) -> None:
    run(load(specimen, LIGHT), tmp_path / "out")
    harder = run(load(specimen, LIGHT | {"phantom.config.difficulty": "0.7"}), tmp_path / "out")
    assert "pipeline/phantom" in harder.worked
    assert [config.difficulty for config in standin.drawn] == [0.2, 0.7]


def test_a_phantom_that_could_not_be_drawn_leaves_nothing_that_passes_for_done(
    specimen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(load(specimen, LIGHT), tmp_path / "out")

    def broken(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr("phantom.recording.write_phantom", broken)
    with pytest.raises(OutputError, match="full"):
        run(load(specimen, LIGHT | {"phantom.config.seed": "9"}), tmp_path / "out")
    assert RunFolder(tmp_path / "out").markers() == []
    assert read_json(tmp_path / "out" / "manifest.json")["status"] == "unfinished"


def test_the_phantom_s_own_title_draws_nothing_anew(specimen: Path, standin, tmp_path: Path) -> None:
    run(load(specimen, LIGHT), tmp_path / "out")
    run(load(specimen, LIGHT | {"phantom.config.title": "another"}), tmp_path / "out")
    assert len(standin.drawn) == 1


def test_the_run_s_config_needs_the_phantom_s_file_no_more(specimen: Path, tmp_path: Path) -> None:
    run(load(specimen, LIGHT), tmp_path / "out")
    (specimen.parent / "specimen.yaml").unlink()
    assert run(load(tmp_path / "out" / "experiment.yaml"), tmp_path / "out").worked == ()


def test_the_registration_is_scored_at_cells_and_in_the_specimen(ran: RunFolder, standin) -> None:
    scores = read_json(ran.scores)["registration"]
    assert set(scores) == {"red", "scan"}
    truth = read_truth(ran.phantom)
    for name, found in scores.items():
        assert found["mean_um"] <= found["max_um"]
        assert found["best_rigid_mean_um"] < 1e-6
        points = truth.poses["sheet"](standin.centres)
        inside = _inside(
            volumes.read_timelapse(truth.instruments[name].file).grid, truth.transform("sheet", name)(points)
        )
        inside &= _inside(volumes.read_timelapse(truth.instruments["sheet"].file).grid, points)
        wanted = volumes.read_transform(ran.transform(name))(points[inside]) - truth.transform("sheet", name)(
            points[inside]
        )
        assert found["at_cells"]["points"] == inside.sum() > 3
        assert found["at_cells"]["mean_um"] == pytest.approx(np.linalg.norm(wanted, axis=1).mean())
    assert scores["red"]["at_cells"]["mean_um"] < 1.5


def _inside(grid: volumes.Grid, points: np.ndarray) -> np.ndarray:
    index = grid.to_index(points)
    return ((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)).all(1)


def test_cells_and_links_are_scored_against_the_exact_lineage(ran: RunFolder) -> None:
    scores = read_json(ran.scores)
    assert scores["segmentation"]["true cells"] == 8 + 8 + 9 + 9
    assert scores["segmentation"]["F1 at IoU 0.5"] > 0.8
    assert scores["linking"]["true links"] > 20
    assert scores["linking"]["edge F1"] > 0.9
    assert scores["linking"]["true divisions"] == 1


def test_the_brightness_of_each_cell_is_scored_in_every_source(ran: RunFolder) -> None:
    measured = read_json(ran.scores)["intensity"]
    assert set(measured) == {"sheet", "red", "scan"}
    assert measured["sheet"]["median relative error"] < 0.1
    assert measured["sheet"]["cells"] >= measured["scan"]["cells"] > 10
    assert measured["sheet"]["correlation"] > 0.7


def test_the_fusion_is_held_against_the_noise_free_reference(ran: RunFolder) -> None:
    scores = read_json(ran.scores)["fusion"]
    fused = volumes.read_timelapse(ran.path / "fused.ome.zarr")
    clean = volumes.read_timelapse(ran.phantom / "truth" / "sheet" / "clean.ome.zarr")
    wanted = [np.corrcoef(a.channel().ravel(), b.channel().ravel())[0, 1] for a, b in zip(fused, clean, strict=True)]
    assert scores["correlation with the noise-free reference, fused"] == pytest.approx(np.mean(wanted), abs=1e-6)
    assert 0.5 < scores["correlation with the noise-free reference, raw reference"] < 1


def test_the_table_holds_every_figure_and_the_report_shows_it(ran: RunFolder) -> None:
    with ran.evaluation.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["stage"] for row in rows} == {"registration", "fusion", "segmentation", "linking", "intensity"}
    scores = read_json(ran.scores)
    picked = [row["value"] for row in rows if row["measure"] == "error at true cells, mean" and "red" in row["subject"]]
    assert [float(value) for value in picked] == [scores["registration"]["red"]["at_cells"]["mean_um"]]
    html = ran.report.read_text(encoding="utf-8")
    for heading in ("Evaluation", "Registration: red → sheet", "Intensity: scan", "error at true cells, mean"):
        assert heading in html
    assert "real data" not in html.replace("real data and", "")


def test_evaluate_scores_again_and_runs_nothing_else(ran: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in ran.markers() if path.stem != "evaluate"}
    wanted = ran.scores.read_bytes()
    ran.scores.unlink()
    figures = rescored(ran.path)["pipeline"]
    assert ran.scores.read_bytes() == wanted
    assert len(figures) > 30
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert run(load(ran.config), ran.path).worked == ()


def test_evaluate_refuses_what_cannot_be_scored(pair: Path, specimen: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no run"):
        rescored(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    run(load(pair, LIGHT | {"segment_on": "still", "sources.moved.displaced": "null"}), tmp_path / "plain")
    with pytest.raises(ConfigError, match="no truth"):
        rescored(tmp_path / "plain")
    run(load(specimen, LIGHT), tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(json.dumps({**read_json(manifest), "status": "unfinished"}), encoding="utf-8")
    with pytest.raises(OutputError, match="unfinished"):
        rescored(tmp_path / "out")


def test_movies_are_brought_onto_the_reference_s_frames(ran: RunFolder) -> None:
    """The sheet's four frames at 0, 60, 120, 180 s; the two red ones at 0 and 100 s lend 0, 1, 1, 1."""
    registered = volumes.read_timelapse(ran.path / "registered.ome.zarr")
    red = volumes.read_timelapse(ran.phantom / "red.ome.zarr")
    transform = volumes.read_transform(ran.transform("red"))
    assert registered.times_s == (0.0, 60.0, 120.0, 180.0)
    for frame, lent in enumerate((0, 1, 1, 1)):
        wanted = volumes.resample(red[lent], like=registered.grid, transform=transform)
        np.testing.assert_array_equal(registered[frame].channel("red"), wanted.channel())
    assert read_json(ran.path / "fusion.json")["time_apart_s"] == {"sheet": 0.0, "red": 80.0}
    fused = volumes.read_timelapse(ran.path / "fused.ome.zarr")
    assert fused.times_s == registered.times_s
    assert not np.array_equal(fused[0].array, fused[3].array)


def test_a_single_reference_gives_a_single_fused_volume(specimen: Path, tmp_path: Path) -> None:
    run(load(specimen, {"reference": "scan", "segment_on": "scan"}), tmp_path / "out")
    assert volumes.read(tmp_path / "out" / "fused.ome.zarr").grid.shape == (20, 24, 24)


def test_a_fused_movie_is_scored_against_the_reference_s_cells(specimen: Path, tmp_path: Path) -> None:
    run(load(specimen, {"segment_on": "fused"}), tmp_path / "out")
    scores = read_json(tmp_path / "out" / "scores.json")
    assert scores["segmentation"]["true cells"] == 34
    assert set(scores["intensity"]) == {"sheet", "red", "scan"}


def test_a_failed_registration_stops_a_phantom_s_run(specimen: Path, tmp_path: Path, monkeypatch) -> None:
    from registration.quality import Status

    monkeypatch.setattr(
        "experiments.stages.register._facts",
        lambda *_: {
            "status": Status.FAILED.value,
            "reasons": ["x"],
            "quality": {},
            "path": ["sheet", "red"],
            "loops": [],
        },
    )
    with pytest.raises(StageError, match="failed"):
        run(load(specimen, {"allow_failed": "false"}), tmp_path / "out")
    assert not (tmp_path / "out" / "fused.ome.zarr").exists()


def test_only_volumes_become_sources_unless_named(specimen: Path, tmp_path: Path) -> None:
    run(load(specimen, LIGHT | {"phantom.sources": "[sheet, red]"}), tmp_path / "out")
    index = tmp_path / "out" / "phantom" / "truth" / "truth.json"
    values = json.loads(index.read_text())
    values["instruments"]["scan"]["projection"] = True
    index.write_text(json.dumps(values))
    config = load(specimen)
    assert isinstance(config, Experiment)
    assert tuple(drawn(config, RunFolder(tmp_path / "out")).sources) == ("sheet", "red")
    with pytest.raises(VolumeFileError, match="no phantom"):
        drawn(config, RunFolder(tmp_path / "elsewhere"))


MISTAKES = {
    "sources beside it": ("sources: {a: {file: a.nrrd, modality: CT}}", "brings its own"),
    "no such instrument": ("reference: pet", "pet"),
    "an instrument that is not there": ("phantom: {config: specimen.yaml, sources: [sheet, pet]}", "pet"),
    "a mistyped key": ("phantom: {config: specimen.yaml, source: [sheet]}", "source"),
    "a missing file": ("phantom: {config: none.yaml}", "none.yaml"),
    "no file at all": ("phantom: {sources: [sheet]}", "missing"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_before_anything_is_drawn(case: str, specimen: Path) -> None:
    line, says = MISTAKES[case]
    key = line.partition(":")[0]
    kept = [text for text in specimen.read_text().splitlines() if not text.startswith(f"{key}:")]
    specimen.write_text("\n".join([*kept, line]))
    with pytest.raises(ConfigError, match=says):
        load(specimen)


def test_a_change_of_a_phantom_that_is_not_there_is_refused(pair: Path) -> None:
    with pytest.raises(ConfigError, match="no phantom"):
        load(pair, {"phantom.config.seed": "3"})


def test_a_mistake_in_the_phantom_s_file_names_that_file(specimen: Path) -> None:
    file = specimen.parent / "specimen.yaml"
    file.write_text(file.read_text().replace("difficulty: 0.2", "difficulty: 7.0"))
    with pytest.raises(ConfigError, match="difficulty") as caught:
        load(specimen)
    assert caught.value.file == str(file)


def test_the_resolved_config_reads_back(specimen: Path, tmp_path: Path) -> None:
    config = load(specimen)
    again = tmp_path / "again.yaml"
    again.write_text(dump(config), encoding="utf-8")
    assert load(again) == config
