"""Whole runs: what is left behind, what a second run does, what a killed one leaves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fusion
import fusion.colour
import volumes
from experiments.config import load
from experiments.pipeline import run
from experiments.run_folder import RunFolder, read_json
from fusion.metrics import edges_kept
from volumes.errors import FusetrackError, OutputError, StageError

REPEATABLE = ("*.csv", "*.tfm", "experiment.yaml")


def fingerprints(folder: Path) -> dict[str, str]:
    """sha256 of every table, linear transform and resolved config, and of the voxels of every volume."""
    found = {}
    for pattern in REPEATABLE:
        for path in sorted(folder.rglob(pattern)):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.glob("*.ome.zarr")):
        for frame in volumes.read_timelapse(path, modality="optical"):
            voxels = np.ascontiguousarray(frame.array).tobytes() + frame.mask().tobytes()
            found[f"{path.name}@{frame.time_s}"] = hashlib.sha256(voxels).hexdigest()
    return found


def test_a_pair_is_registered_fused_and_segmented(pair: Path, tmp_path: Path) -> None:
    result = run(load(pair), tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    error = read_json(folder.scores)["registration"]["moved"]
    assert error["before_mean_um"] > 3
    assert error["mean_um"] < 0.5
    registered = volumes.read(folder.path / "registered.ome.zarr", modality="fluorescence")
    assert [c.name for c in registered.channels] == ["still", "moved"]
    still, moved = (registered.channel(n)[registered.mask()].astype(float) for n in ("still", "moved"))
    assert np.corrcoef(still, moved)[0, 1] > 0.98
    for name in ("fused.ome.zarr", "labels.ome.zarr", "detections.csv", "manifest.json", "timings.json"):
        assert (folder.path / name).exists()
    assert result.report.stat().st_size > 10_000
    assert read_json(folder.manifest)["status"] == "complete"
    assert set(read_json(folder.manifest)["inputs"]) == {"pair/still", "pair/moved"}


def test_a_second_run_does_no_stage(pair: Path, tmp_path: Path) -> None:
    first = run(load(pair), tmp_path / "out")
    assert len(first.worked) == len(first.done)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.ome.zarr")}
    second = run(load(pair), tmp_path / "out")
    assert second.worked == ()
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_changed_setting_runs_only_what_depends_on_it(pair: Path, tmp_path: Path) -> None:
    run(load(pair), tmp_path / "out")
    again = run(load(pair, {"fuse.base": "max"}), tmp_path / "out")
    assert set(again.worked) == {f"pair/{s}" for s in ("fuse", "segment", "detect", "evaluate", "report")}


def test_a_mended_note_or_a_moved_folder_runs_no_stage_but_the_report(pair: Path, tmp_path: Path) -> None:
    run(load(pair), tmp_path / "out")
    (tmp_path / "moved").mkdir()
    (tmp_path / "cells.nrrd").rename(tmp_path / "moved" / "cells.nrrd")
    text = pair.read_text().replace("cells.nrrd", "moved/cells.nrrd").replace("CT}", "CT, note: new}")
    pair.write_text(text)
    assert run(load(pair), tmp_path / "out").worked == ("pair/report",)


def test_a_run_that_was_cut_short_never_reads_as_complete(pair: Path, tmp_path: Path) -> None:
    run(load(pair), tmp_path / "out")
    (tmp_path / "cells.nrrd").write_bytes(b"NRRD0004\nnonsense")
    with pytest.raises(FusetrackError):
        run(load(pair), tmp_path / "out")
    assert read_json(tmp_path / "out" / "manifest.json")["status"] == "unfinished"


def test_a_movie_is_segmented_linked_and_scored(movie: Path, tmp_path: Path) -> None:
    run(load(movie), tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    scores = read_json(folder.scores)
    assert scores["segmentation"]["F1 at IoU 0.5"] > 0.8
    assert scores["linking"]["edge F1"] > 0.8
    for name in ("tracks.csv", "tracks.geff", "ctc"):
        assert (folder.path / name).exists()


def test_two_runs_give_the_same_bytes(movie: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(load(movie), tmp_path / name)
    assert fingerprints(tmp_path / "a") == fingerprints(tmp_path / "b")
    assert len(fingerprints(tmp_path / "a")) > 6


def test_a_killed_run_is_finished_by_the_next_with_the_same_bytes(pair: Path, tmp_path: Path) -> None:
    """SIGKILL as soon as the fuse stage has begun; the run is then repeated in the same folder."""
    script = (
        "import sys; from pathlib import Path\n"
        "from experiments.config import load\nfrom experiments.pipeline import run\n"
        "def watch(part, stage, state):\n"
        "    sys.stdout.write(stage + ' ' + state + '\\n'); sys.stdout.flush()\n"
        "run(load(Path(sys.argv[1])), Path(sys.argv[2]), watch)\n"
    )
    command = [sys.executable, "-c", script, str(pair), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "fuse start":
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "stages" / "fuse.done").exists()
    resumed = run(load(pair), tmp_path / "killed")
    assert "pair/register" not in resumed.worked
    run(load(pair), tmp_path / "whole")
    assert fingerprints(tmp_path / "killed") == fingerprints(tmp_path / "whole")


def test_a_failed_registration_stops_the_run_and_is_reported(pair: Path, tmp_path: Path) -> None:
    """Two volumes of unrelated noise have nothing to be aligned by."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noise = volumes.from_array(rng.random((16, 24, 24), dtype=np.float32), (2, 1, 1), modality="CT")
        volumes.write(noise, tmp_path / f"{name}.nrrd")
    text = pair.read_text().replace("cells.nrrd", "a.nrrd", 1).replace("cells.nrrd", "b.nrrd", 1)
    config = tmp_path / "noise.yaml"
    config.write_text(text.replace("name: pair", "name: noise"))
    for _ in range(2):
        with pytest.raises(StageError, match="failed"):
            run(load(config), tmp_path / "out")
        folder = RunFolder(tmp_path / "out")
        assert read_json(folder.manifest)["status"] == "failed"
        assert not (folder.path / "fused.ome.zarr").exists()
        assert "failed" in folder.report.read_text(encoding="utf-8")
    done = run(load(config, {"allow_failed": "true"}), tmp_path / "out")
    assert (done.folder / "fused.ome.zarr").exists()


def test_the_folder_of_another_run_is_refused(pair: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    with folder.locked(), pytest.raises(OutputError, match="another run"):
        run(load(pair), tmp_path / "out")


def test_a_suite_has_a_folder_for_each_part_and_one_report(pair: Path, movie: Path, tmp_path: Path) -> None:
    import yaml

    parts = {path.stem: yaml.safe_load(path.read_text()) for path in (pair, movie)}
    config = tmp_path / "suite.yaml"
    config.write_text(json.dumps({"name": "both", "parts": parts}))
    result = run(load(config), tmp_path / "out")
    assert (tmp_path / "out" / "pair" / "fused.ome.zarr").exists()
    assert (tmp_path / "out" / "movie" / "tracks.csv").exists()
    assert result.report == tmp_path / "out" / "report.html"
    assert run(load(config), tmp_path / "out").worked == ()


def test_the_edges_kept_are_judged_on_the_fuser_s_own_scale(tmp_path: Path) -> None:
    """Unmatched, the dim source's edges are kept by its own measure; on a common scale most of them would be lost."""
    rng = np.random.default_rng(4)
    for name, gain in (("bright", 100.0), ("dim", 1.0)):
        voxels = (gain * rng.random((8, 24, 24))).astype(np.float32)
        volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="CT"), tmp_path / f"{name}.nrrd")
    config = tmp_path / "unmatched.yaml"
    entries = "bright: {file: bright.nrrd, modality: CT}, dim: {file: dim.nrrd, modality: CT}"
    config.write_text(f"name: unmatched\nsources: {{{entries}}}\nfuse: {{kind: lpf, match: none}}\n")
    run(load(config), tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    sources = [volumes.read(tmp_path / f"{name}.nrrd", modality="CT") for name in ("bright", "dim")]
    fused = volumes.read(folder.path / "fused.ome.zarr")
    kept = read_json(folder.path / "fusion.json")["edges_kept"]["lpf"]
    assert kept == edges_kept(fused, sources, "none")
    assert kept != edges_kept(fused, sources)


@pytest.mark.parametrize("kind", ["mean", "dwt"])
def test_a_run_with_another_fuser_says_what_it_kept_and_its_scales(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for name, gain in (("a", 100.0), ("b", 1.0)):
        voxels = (gain * rng.random((8, 24, 24))).astype(np.float32)
        volumes.write(volumes.from_array(voxels, (1, 1, 1), modality="CT"), tmp_path / f"{name}.nrrd")
    config = tmp_path / "other.yaml"
    entries = "a: {file: a.nrrd, modality: CT}, b: {file: b.nrrd, modality: CT}"
    config.write_text(f"name: other\nsources: {{{entries}}}\nfuse: {{kind: {kind}}}\n")
    assert run(load(config), tmp_path / "out").report.is_file()
    folder = RunFolder(tmp_path / "out")
    sources = [volumes.read(tmp_path / f"{name}.nrrd", modality="CT") for name in "ab"]
    fused = volumes.read(folder.path / "fused.ome.zarr")
    assert np.array_equal(fused.array, fusion.fuse(sources, kind).array)
    facts = read_json(folder.path / "fusion.json")
    assert facts["edges_kept"][kind] == edges_kept(fused, sources)
    gains = [float(line.split(" × ")[0].removeprefix("fused = ")) for line in facts["scales"]]
    assert gains == pytest.approx([scale.gain for scale in fusion.LPF().scales(sources)], rel=1e-3)


def test_a_colour_picture_beside_a_grey_one_is_judged_by_its_luma(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    pet = fusion.colour.picture(rng.integers(0, 256, (3, 6, 24, 24), np.uint8), (1, 1, 1), modality="PET")
    mri = volumes.from_array(rng.random((6, 24, 24)).astype(np.float32), (1, 1, 1), modality="MRI")
    volumes.write(pet, tmp_path / "pet.ome.zarr")
    volumes.write(mri, tmp_path / "mri.nrrd")
    config = tmp_path / "colour.yaml"
    entries = "mri: {file: mri.nrrd, modality: MRI}, pet: {file: pet.ome.zarr, modality: PET}"
    config.write_text(f"name: colour\nsources: {{{entries}}}\nfuse: {{kind: max}}\n")
    run(load(config), tmp_path / "out")
    assert len(volumes.read(tmp_path / "out" / "fused.ome.zarr").channels) == 3
    kept = read_json(tmp_path / "out" / "fusion.json")["edges_kept"]["max"]
    assert kept == pytest.approx(edges_kept("max", [mri, fusion.colour.structure(pet)]), abs=0.02)
