"""Every verb in this process: what it prints for people and for machines, and how it ends."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import fusion
import tracking3d
import volumes
from experiments.cli.cells import link as link_verb
from experiments.cli.fusing import fuse as fuse_verb
from experiments.progress import drawing, progress
from fusion.config import KINDS
from tracking3d.formats.table import read_detections
from tracking3d.link.config import KINDS as LINKERS
from volumes.errors import StageError

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tracks_config(tmp_path: Path) -> Path:
    """A run that takes no time: a true lineage, degraded by nothing and linked."""
    rows = [f"{c + 3 * t},{t},{40 * c},{t},0,{c + 3 * (t - 1) if t else -1}" for t in range(4) for c in range(3)]
    (tmp_path / "cells.csv").write_text("id,t,z,y,x,parent\n" + "\n".join(rows) + "\n")
    path = tmp_path / "toy.yaml"
    observed = "{drop: 0.0, spurious: 0.0, jitter_um: 0.0}"
    path.write_text(f"name: toy\ncells: {{file: cells.csv, observed: {observed}}}\nlink: {{kind: constraint}}\n")
    return path


def test_run_prints_where_the_report_is_and_what_it_did(fusetrack: Command, tracks_config: Path) -> None:
    code, out, err = fusetrack("run", tracks_config)
    assert code == 0
    lines = dict(line.strip().split("  ", 1) for line in out.splitlines())
    assert lines["report"] == str(Path("results/toy/report.html"))
    assert Path(lines["report"]).is_file()
    assert lines["stages run"] == "toy/detect, toy/link, toy/evaluate, toy/report"
    assert "link" in err
    code, out, err = fusetrack("run", tracks_config, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"report": "results/toy/report.html", "folder": "results/toy", "stages_run": []}
    assert fusetrack("run", tracks_config)[1].splitlines()[-1].split() == ["stages", "run", "none"]


def test_run_takes_a_folder_and_changes(fusetrack: Command, tracks_config: Path) -> None:
    changes = ("--set", "title=A = B", "--set", "cells.dt_s=30.0")
    code, out, _ = fusetrack("run", tracks_config, "--out", "elsewhere", *changes, "--json")
    assert code == 0
    assert json.loads(out)["folder"] == "elsewhere"
    resolved = Path("elsewhere/experiment.yaml").read_text()
    assert "title: A = B" in resolved
    assert "dt_s: 30.0" in resolved
    assert not Path("results").exists()


def test_evaluate_prints_a_table_or_json(fusetrack: Command, tracks_config: Path) -> None:
    fusetrack("run", tracks_config, "--out", "out", "--json")
    code, out, _ = fusetrack("evaluate", "out")
    assert code == 0
    assert out.splitlines()[0] == "toy"
    (row,) = [line for line in out.splitlines() if "edge F1" in line]
    assert row.split() == ["linking", "toy", "edge", "F1", "1"]
    code, out, err = fusetrack("evaluate", "out", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)["toy"]
    assert {"stage": "linking", "subject": "toy", "measure": "true links", "value": 9, "unit": ""} in rows


def test_a_part_without_a_figure_says_so(fusetrack: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.rescore.rescored", lambda *_: {"a": ()})
    assert fusetrack("evaluate", "x")[1] == "a\nno figure\n"


def test_demo_runs_the_shipped_config(fusetrack: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.pipeline import RunResult

    seen = []

    def run(config, folder, _watch):
        seen.append((config.name, folder))
        return RunResult(folder, folder / "report.html", ())

    monkeypatch.setattr("experiments.pipeline.run", run)
    assert json.loads(fusetrack("demo", "--json")[1])["stages_run"] == []
    fusetrack("demo", "--out", "there", "--json")
    assert seen == [("demo", Path("results/demo")), ("demo", Path("there"))]


def test_a_failed_stage_is_one_message_and_no_trace(
    fusetrack: Command, tracks_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StageError("it failed", file="a.tfm", field="status", remedy="Look at the report")

    monkeypatch.setattr("experiments.pipeline.run", fail)
    code, out, err = fusetrack("run", tracks_config, "--json")
    assert (code, out) == (1, "")
    assert json.loads(err) == {"error": "StageError", "message": "a.tfm: status: it failed. Look at the report"}
    code, out, err = fusetrack("run", tracks_config)
    assert (code, out) == (1, "")
    assert err.strip().splitlines()[-1] == "fusetrack: a.tfm: status: it failed. Look at the report"


def test_an_error_that_nobody_foresaw_is_not_hidden(
    fusetrack: Command, tracks_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("experiments.pipeline.run", fail)
    with pytest.raises(ZeroDivisionError):
        fusetrack("run", tracks_config, "--json")


@pytest.mark.parametrize("change", ["nonsense", "=3", "cells.unit=[1", "cells.unit.x=1", "parts=3", "nme=x"])
def test_a_bad_change_is_a_message(fusetrack: Command, tracks_config: Path, change: str) -> None:
    code, out, err = fusetrack("run", tracks_config, "--set", change, "--json")
    assert (code, out) == (1, "")
    assert json.loads(err)["error"] == "ConfigError"
    assert not Path("results").exists()


def test_an_output_below_a_file_is_a_message(fusetrack: Command, tracks_config: Path) -> None:
    code, _, err = fusetrack("run", tracks_config, "--out", tracks_config / "run", "--json")
    assert code == 1
    assert json.loads(err)["error"] == "OutputError"


def test_phantom_says_what_it_drew(fusetrack: Command, specimen: Path, standin) -> None:
    config = specimen.parent / "specimen.yaml"
    code, out, err = fusetrack("phantom", config, "--out", "drawn", "--set", "difficulty=0.7", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["instruments"] == ["sheet", "red", "scan"]
    assert all(Path(file).exists() for file in facts["files"])
    assert [drawn.difficulty for drawn in standin.drawn] == [0.7]
    assert "sheet, red, scan" in fusetrack("phantom", config, "--out", "again")[1]


def ball(shift: float = 0.0) -> volumes.Volume:
    z, y, x = np.indices((12, 20, 24))
    light = np.exp(-((z - 6) ** 2 + (y - 10) ** 2 + (x - 12 - shift) ** 2) / 12)
    return volumes.from_array((100 * light).astype(np.float32), (1, 1, 1), modality="CT")


def registered(status: str) -> Callable[..., object]:
    from registration import Registered
    from registration.quality import Quality, Status

    quality = Quality(1.0, 1.5, 1.0, 0.8, 0.0, 4.0, 1.0, 1.0, 0.3, 120)
    move = volumes.Affine.rigid(translation_um=(0.0, 0.0, 4.0))
    return lambda *_, **__: Registered(move, quality=quality, status=Status(status), reasons=("Try a mask.",))


@pytest.mark.parametrize(("status", "code"), [("good", 0), ("doubtful", 0), ("failed", 1)])
def test_register_ends_badly_only_when_it_failed(
    fusetrack: Command, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    """What was found is written either way, and the moving volume comes to lie on the fixed one."""
    monkeypatch.setattr("registration.linear.linear.Linear.register", registered(status))
    volumes.write(ball(), "fixed.nrrd")
    volumes.write(ball(4), "moving.nrrd")
    found, out, err = fusetrack("register", "fixed.nrrd", "moving.nrrd", "--kind", "rigid", "--out", "out", "--json")
    assert found == code
    facts = json.loads(out)
    assert (facts["status"], facts["reasons"]) == (status, ["Try a mask."])
    assert json.loads(Path("out/quality.json").read_text()) == facts
    np.testing.assert_allclose(volumes.read_transform("out/transform.tfm")([[0, 0, 0]]), [[0, 0, 4]])
    np.testing.assert_allclose(volumes.read_transform("out/inverse.tfm")([[0, 0, 4]]), [[0, 0, 0]])
    aligned = volumes.read("out/registered.ome.zarr")
    valid = aligned.mask()
    np.testing.assert_allclose(aligned.channel()[valid], ball().channel()[valid], atol=1e-3)
    assert (json.loads(err)["error"] if code else err) == ("StageError" if code else "")


def test_register_gives_each_of_several_a_folder_and_fails_with_any(
    fusetrack: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(("good", "failed"))
    monkeypatch.setattr("registration.linear.linear.Linear.register", lambda *_, **__: registered(next(states))())
    for name in ("fixed", "red", "blue"):
        volumes.write(ball(), f"{name}.nrrd")
    code, out, err = fusetrack(
        "register", "fixed.nrrd", "red.nrrd", "blue.nrrd", "--kind", "affine", "--out", "o", "--json"
    )
    assert code == 1
    assert {name: facts["status"] for name, facts in json.loads(out).items()} == {"o/red": "good", "o/blue": "failed"}
    assert "o/blue" in json.loads(err)["message"]
    assert all((Path("o") / name / "transform.tfm").exists() for name in ("red", "blue"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "rotations=-1"), "rotations"),
        (("--set", "colour=red"), "colour"),
        (("--moving-modality", "CT", "MRI"), "one value for each"),
        (("--start", "absent.tfm"), "absent.tfm"),
        (("--moving-mask", "small.nrrd"), "another grid"),
    ],
)
def test_register_refuses_what_it_cannot_use(fusetrack: Command, options: tuple[str, ...], says: str) -> None:
    volumes.write(ball(), "a.nrrd")
    small = volumes.from_array(np.ones((3, 4, 5), np.uint8), (1, 1, 1), modality="labels")
    volumes.write(small, "small.nrrd")
    code, out, err = fusetrack("register", "a.nrrd", "a.nrrd", "--kind", "rigid", "--out", "o", "--json", *options)
    assert (code, out) == (1, "")
    assert says in json.loads(err)["message"]
    assert not Path("o").exists()


def test_hints_for_one_of_several_are_refused(fusetrack: Command) -> None:
    for name in ("a", "b", "c"):
        volumes.write(ball(), f"{name}.nrrd")
    volumes.write_transform(volumes.Affine.identity(), "t.tfm")
    start = ("--start", "t.tfm", "--kind", "rigid", "--out", "o", "--json")
    code, _, err = fusetrack("register", "a.nrrd", "b.nrrd", "c.nrrd", *start)
    assert code == 1
    assert "single moving volume" in json.loads(err)["message"]


def test_fuse_says_what_it_fused_and_keeps_the_larger(fusetrack: Command) -> None:
    for name, shift in (("a", -5.0), ("b", 5.0)):
        volumes.write(ball(shift), f"{name}.nrrd")
    facts = json.loads(fusetrack("fuse", "a.nrrd", "b.nrrd", "--base", "max", "--out", "c.nrrd", "--json")[1])
    assert facts == {"fused": "c.nrrd", "sources": ["a.nrrd", "b.nrrd"], "kind": "lpf"}
    fused = volumes.read("c.nrrd", modality="CT").channel()
    assert fused[6, 10, 7] > 60
    assert fused[6, 10, 17] > 60
    code, out, _ = fusetrack("fuse", "a.nrrd", "b.nrrd", "--out", "d.nrrd", "--modality", "CT", "MRI")
    assert code == 0
    assert not np.allclose(volumes.read("d.nrrd", modality="CT").channel(), fused, atol=1.0)
    assert "sources  a.nrrd, b.nrrd" in out


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ((), fusion.LPFConfig()),
        (("--set", "base=max", "--set", "levels=2"), fusion.LPFConfig(base="max", levels=2)),
        (("--kind", "mean", "--set", "match=none"), fusion.MeanConfig(match="none")),
        (("--kind", "weighted", "--set", "weights=[1, 3]"), fusion.WeightedConfig(weights=(1.0, 3.0))),
        (("--kind", "dwt", "--set", "wavelet=haar"), fusion.DWTConfig(wavelet="haar")),
    ],
)
def test_fuse_takes_a_kind_and_its_settings(fusetrack: Command, options: tuple[str, ...], config) -> None:
    sources = [ball(-5.0), ball(5.0)]
    for name, volume in zip("ab", sources, strict=True):
        volumes.write(volume, f"{name}.nrrd")
    code, out, _ = fusetrack("fuse", "a.nrrd", "b.nrrd", "--out", "c.nrrd", "--json", *options)
    assert (code, json.loads(out)["kind"]) == (0, config.kind)
    got = volumes.read("c.nrrd", modality="CT").array
    assert np.abs(got - fusion.fuse(sources, config).array).max() < 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "colour=red"), "colour"),
        (("--set", "levels=0"), "levels"),
        (("--kind", "dwt", "--set", "base=max"), "base"),
        (("--kind", "dwt", "--set", "wavelet=ripple"), "no discrete wavelet"),
        (("--kind", "weighted", "--set", "weights=[1, 2, 3]"), "3 weights for 2 sources"),
        (("--kind", "weighted", "--set", "weights=[0, 0]"), "above 0"),
        (("--modality", "CT"), "one value for each of the 2 sources"),
    ],
)
def test_fuse_refuses_what_it_cannot_use(fusetrack: Command, options: tuple[str, ...], says: str) -> None:
    for name in "ab":
        volumes.write(ball(), f"{name}.nrrd")
    code, out, err = fusetrack("fuse", "a.nrrd", "b.nrrd", "--out", "c.nrrd", "--json", *options)
    assert (code, out) == (1, "")
    assert says in json.loads(err)["message"]
    assert not Path("c.nrrd").exists()


def test_fuse_offers_every_kind_that_there_is() -> None:
    offered = get_args(get_args(inspect.get_annotations(fuse_verb, eval_str=True)["kind"])[0])
    assert offered == KINDS


def test_link_counts_tracks_and_divisions(fusetrack: Command) -> None:
    Path("in.csv").write_text("t,z,y,x\n0,0,0,0\n1,0,0.001,0\n0,0.04,0,0\n1,0.04,0.001,0\n")
    code, out, _ = fusetrack("link", "in.csv", "--out", "out.csv", "--unit", "mm", "--json")
    assert (code, json.loads(out)) == (0, {"tracks": 2, "divisions": 0, "out": "out.csv"})
    near = json.loads(fusetrack("link", "in.csv", "--out", "o.csv", "--max-distance-um", "0.0001", "--json")[1])
    assert near["tracks"] == 4


@pytest.mark.parametrize("name", ["tracks.csv.gz", "tracks.geff", "tracks.xml", "tracks.napari.csv"])
def test_link_writes_the_format_that_the_name_says(fusetrack: Command, name: str) -> None:
    Path("in.csv").write_text("t,z,y,x,note\n0,0,0,0,a\n1,0,1,0,b\n0,40,0,0,c\n1,40,1,0,d\n")
    code, out, _ = fusetrack("link", "in.csv", "--out", name, "--dt", "60", "--json")
    assert (code, json.loads(out)) == (0, {"tracks": 2, "divisions": 0, "out": name})
    tracks = tracking3d.read_tracks(name)
    pairs = {tuple(tracks.detections.zyx_um[edge].ravel().tolist()) for edge in tracks.edges}
    assert pairs == {(0, 0, 0, 0, 1, 0), (40, 0, 0, 40, 1, 0)}


def test_hypotheses_are_segmented_linked_and_written_as_a_folder_of_the_challenge(fusetrack: Command, nuclei) -> None:
    pages, truth = nuclei(4)
    described = {"modality": "fluorescence", "dt_s": 60.0}
    volumes.write(volumes.TimeLapse.from_array(pages, (2.0, 1.0, 1.0), **described), "movie.ome.tif")
    code, out, _ = fusetrack(
        "segment", "movie.ome.tif", "--movie", "--hypotheses", "3", "--out", "p.ome.zarr", "--json"
    )
    assert code == 0
    table = read_detections("p.ome.zarr.csv")
    assert {"claims", "confidence"} <= set(table.features)
    assert json.loads(out)["cells"] == len(table)
    code, out, _ = fusetrack(
        "link", "p.ome.zarr.csv", "--out", "01_RES", "--labels", "p.ome.zarr", "--dt", "60", "--json"
    )
    assert code == 0
    tracks = tracking3d.read_tracks("01_RES", spacing_um=(2.0, 1.0, 1.0), dt_s=60.0)
    assert np.bincount(tracks.detections.t).tolist() == [len(np.unique(frame)) - 1 for frame in truth]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("link", "in.csv", "--out", "tracks.xyz"), "no known format"),
        (("link", "in.csv", "--out", "folder"), "--labels"),
        (("link", "in.csv", "--out", "t.csv", "--labels", "l.ome.zarr"), "folder of the Cell Tracking Challenge"),
        (("segment", "v.nrrd", "--out", "l.nrrd", "--hypotheses", "0"), "1 at least"),
        (("segment", "v.nrrd", "--out", "l.nrrd", "--hypotheses", "3", "--kind", "spots"), "no depth"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(fusetrack: Command, arguments, says) -> None:
    Path("in.csv").write_text("t,z,y,x\n0,0,0,0\n")
    volumes.write(ball(), "v.nrrd")
    code, out, err = fusetrack(*arguments, "--json")
    assert (code, out) == (1, "")
    assert says in json.loads(err)["message"]


def test_link_learns_from_a_few_tracks(fusetrack: Command) -> None:
    Path("in.csv").write_text("t,z,y,x\n" + "".join(f"{t},0,{40 * k},0\n" for k in range(9) for t in range(4)))
    Path("few.csv").write_text("t,z,y,x,parent\n0,0,0,0,-1\n1,0,0,1,0\n2,0,0,0,1\n0,0,9,0,-1\n")
    code, out, _ = fusetrack("link", "in.csv", "--out", "o.csv", "--taught-by", "few.csv", "--json")
    assert (code, json.loads(out)["tracks"]) == (0, 9)
    code, out, err = fusetrack(
        "link", "in.csv", "--out", "p.csv", "--taught-by", "few.csv", "--kind", "nearest", "--json"
    )
    assert (code, out) == (1, "")
    assert "does not learn" in json.loads(err)["message"]
    assert not Path("p.csv").exists()


def test_link_offers_every_kind_that_there_is() -> None:
    offered = get_args(get_args(inspect.get_annotations(link_verb, eval_str=True)["kind"])[0])
    assert offered == LINKERS


def test_link_takes_a_kind_and_its_settings(fusetrack: Command) -> None:
    Path("in.csv").write_text("t,z,y,x\n0,0,0,0\n2,0,1,0\n0,40,0,0\n2,40,1,0\n")
    linked = ("link", "in.csv", "--out", "out.csv", "--json", "--kind", "nearest", "--set")
    tracks = {missed: json.loads(fusetrack(*linked, f"max_missed={missed}")[1])["tracks"] for missed in (0, 1)}
    assert tracks == {0: 4, 1: 2}
    code, out, err = fusetrack(*linked, "max_mised=1")
    assert (code, out) == (1, "")
    assert "Did you mean 'max_missed'?" in json.loads(err)["message"]
    code, _, err = fusetrack("link", "in.csv", "--out", "o.csv", "--kind", "psychic")
    assert code == 2
    assert "psychic" in err
    assert "constraint" in err
    assert not Path("o.csv").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--axes", "TZYX", "--sizes", 1, 2, 3, 4, "--spacing-um", 1, 1, 1), "seconds between frames"),
        (("--axes", "ZYX", "--sizes", 2, 3, "--spacing-um", 1, 1, 1), "2 sizes for the 3 axes"),
        (("--axes", "ZYX", "--sizes", 2, 3, 4, "--spacing-um", 0, 1, 1), "--spacing-um"),
    ],
)
def test_a_layout_that_cannot_be_names_its_option(fusetrack: Command, options: tuple[object, ...], says: str) -> None:
    code, _, err = fusetrack("segment", "a.tif", "--out", "b.nrrd", *options, "--json")
    assert code == 1
    assert says in json.loads(err)["message"]
    assert json.loads(err)["error"] == "ConfigError"


def test_progress_is_shown_on_the_terminal_s_error_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as watch:
        watch("embryo", "link", "start")
        watch("embryo", "link", "done")
        watch("embryo", "fuse", "cached")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "embryo  link" in shown.err
    assert "embryo  fuse  unchanged, reused" in shown.err
    with drawing() as tell:
        assert tell is not None
        tell("confocal", 1, 3)
    assert "drawn" in capsys.readouterr().err


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as watch, drawing(quiet=True) as tell:
        watch("embryo", "link", "start")
        assert tell is None
    assert capsys.readouterr() == ("", "")
