"""The registration benchmark: its rows, tables and processes, with methods of our own making; ours end to end."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import volumes
from experiments.bench import registration as bench_registration
from experiments.bench import registration_growth as bench_growth
from experiments.bench import registration_methods as bench_methods
from experiments.bench import registration_ours, registration_process
from experiments.bench.registration import available, main, measure, scored
from experiments.bench.registration_methods import METHODS, OURS, Method, Worker, known, workers
from experiments.bench.registration_rows import Row, read_rows, write_rows
from experiments.bench.registration_summary import best, groups, summary
from experiments.bench.registration_tasks import TASKS, Case, Task, cases_module, make_case
from volumes.errors import ConfigError, TableError, VolumeFileError
from volumes.grid import Grid

NAN = math.nan
RIGID = Task("T1-T2", "rigid", 2.0, ("rigid",))
PYTHON = Path(sys.executable)
STUBS = """
import os, sys, time
import numpy as np
print("imported")
def shifted(folder):
    def found():
        print("a tool that talks")
        end = time.process_time() + 0.02
        while time.process_time() < end: pass
        return (lambda p: p + (3.0, 4.0, 0.5)), (lambda p: p), "good"
    return found
def raising(folder):
    return lambda: 1 / 0
def dying(folder):
    sys.stderr.write("out of luck\\n"); sys.stderr.flush()
    os._exit(3)
def slow(folder):
    time.sleep(60)
def short(folder):
    return lambda: ((lambda p: p[:1]), None, "")
def lost(folder):
    return lambda: ((lambda p: p * np.nan), None, "")
METHODS = {f"{m.__name__} rigid": m for m in (shifted, raising, dying, slow, short, lost)}
"""


def row(**more) -> Row:
    first = {"pair": "T1-T2", "kind": "rigid", "model": "rigid", "method": OURS, "case": 0, "initial": 20.0}
    figures = {"affine": NAN, "tre": 1.0, "p95": 1.5, "success": True, "cpu_s": 2.0, "wall_s": 3.0, "peak_mb": 100.0}
    return Row(**(first | figures | {"status": "good", "error": ""} | more))


def crashed(**more) -> Row:
    nothing = dict.fromkeys(("tre", "p95", "cpu_s", "wall_s", "peak_mb"), NAN)
    return row(**(nothing | {"success": False, "status": "", "error": "it, fell\n"} | more))


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Gives a method of the stub file by its name."""
    (tmp_path / "stubs.py").write_text(STUBS, encoding="utf-8")
    monkeypatch.setattr(bench_methods, "HERE", tmp_path)
    return lambda name: Method(name, "rigid", "stubs.py", "numpy")


@pytest.fixture
def case(tmp_path) -> Case:
    points = np.arange(12.0).reshape(4, 3)
    folder = tmp_path / "case"
    folder.mkdir()
    np.save(folder / "points.npy", points)
    return Case(folder, points, points + np.array([3.0, 4.0, 0.0]))


@pytest.fixture
def drawn(monkeypatch):
    """Cases of four points that belong (3, 4, 0) further on; gives the list of the seeds that were asked for."""
    seen = []

    def make(_source, _task, seed, folder):
        seen.append(seed)
        folder.mkdir()
        points = np.arange(12.0).reshape(4, 3)
        np.save(folder / "points.npy", points)
        return Case(folder, points, points + np.array([3.0, 4.0, 0.0]))

    monkeypatch.setattr(bench_registration, "make_case", make)
    monkeypatch.setattr(bench_registration, "cases_module", lambda: None)
    return seen


def same(a: Row, b: Row) -> bool:
    return str(asdict(a)) == str(asdict(b))


def test_rows_read_back_as_they_were_written(tmp_path):
    rows = [row(), row(case=1, affine=0.1 + 0.2), crashed(case=2), row(method="ConvexAdam", status="", success=False)]
    write_rows(tmp_path / "r.csv", rows)
    back = read_rows(tmp_path / "r.csv")
    assert len(back) == len(rows)
    assert all(same(a, b) for a, b in zip(rows, back, strict=True))
    assert read_rows(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("wall_s", "wall"), "other columns"),
        (lambda _: "", "other columns"),
        (lambda text: text + text.splitlines()[1] + "\n", "twice"),
        (lambda text: text.replace("True", "yes"), "True or False"),
        (lambda text: text.replace(",2.0,", ",fast,"), "fast"),
        (lambda text: text.replace(",2.0,", ",nan,"), "finite"),
        (lambda text: text.replace(",2.0,", ",-2.0,"), "not negative"),
        (lambda text: text.replace("good", "splendid"), "status"),
        (lambda text: text.rstrip("\n") + ",more\n", "needs 15 values"),
        (lambda text: text.replace(OURS + ",0,", OURS + ",0.5,"), "0.5"),
        (lambda text: text.replace(",good,", ',"good,'), "line"),
    ],
)
def test_a_csv_that_was_tampered_with_is_refused(tmp_path, change, said):
    file = tmp_path / "r.csv"
    write_rows(file, [row()])
    file.write_text(change(file.read_text()))
    with pytest.raises(TableError, match=r"r\.csv") as raised:
        read_rows(file)
    assert said in str(raised.value) or said == "line"
    assert "--fresh" in str(raised.value)


@pytest.mark.parametrize(
    "wrong", [{"error": "x"}, {"tre": NAN}, {"initial": NAN}, {"affine": -1.0}, {"case": -1}, {"peak_mb": math.inf}]
)
def test_a_row_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(TableError):
        row(**wrong)


def test_a_line_of_the_summary_has_the_figures_of_its_group():
    rows = [
        row(),
        row(case=1, tre=4.0, success=False, cpu_s=4.0, peak_mb=200.0),
        row(case=2, tre=1.0, cpu_s=3.0, status="doubtful"),
        crashed(case=3),
        row(method="n", status=""),
    ]
    lines = summary(rows).splitlines()
    assert lines[2] == (f"| T1-T2 rigid | rigid | {OURS} | 2/4 | 1 | 2.00 / 1.00 / 4.00 | 3.00 | 200 | 1 | 1 | – | – |")
    assert lines[3] == "| T1-T2 rigid | rigid | n | 1/1 | 0 | 1.00 / 1.00 / 1.00 | 2.00 | 100 | – | – | – | – |"


def test_a_field_that_is_worse_than_its_own_affine_is_counted():
    deform = {"kind": "deform", "model": "deformable"}
    rows = [row(**deform, affine=0.5), row(**deform, case=1, affine=1.5), row(**deform, case=2, affine=1.0)]
    assert groups(rows)[0].cells()[-2:] == ("1.00", "1/3")


def test_groups_keep_their_order_whatever_the_order_of_the_rows():
    rows = [row(method="b", case=1, status=""), row(), row(method="b", status=""), row(case=1)]
    assert [[(r.method, r.case) for r in group.rows] for group in groups(rows)] == [
        [("b", 0), ("b", 1)],
        [(OURS, 0), (OURS, 1)],
    ]


def test_the_best_peer_has_the_most_successes_then_the_least_error_on_the_cases_of_both():
    rows = [row(tre=1.0, cpu_s=1.0), row(case=1, tre=9.0, success=False)]
    rows += [row(method="lucky", tre=0.1, status=""), crashed(method="lucky", case=1)]
    for n, tre in ((0, 2.0), (1, 1.0)):
        rows += [row(method="sure", case=n, tre=tre, cpu_s=4.0, status="")]
        rows += [row(method="surer", case=n, tre=tre - 0.5, cpu_s=4.0, status="")]
    line = best(rows).splitlines()[2]
    assert line == ("| T1-T2 rigid | rigid | surer | 1/2 / 2/2 | 5.00 / 1.00 = 5.00 | 1.50 / 4.00 = 0.38 |")
    assert len(best([row()]).splitlines()) == 2
    assert len(best([row(), crashed(method="x")]).splitlines()) == 2


# processes


def test_a_process_answers_and_what_it_prints_is_no_answer(stub, case, tmp_path):
    out = tmp_path / "o.npz"
    with workers([stub("shifted")], PYTHON) as (worker,):
        answer = worker.ask(case.folder, out)
        number = worker.process.pid
        again = worker.ask(case.folder, out)
        assert worker.process.pid == number
    assert answer.keys() == again.keys() == {"wall_s", "cpu_s", "status", "peak_mb"}
    assert 0.02 <= answer["cpu_s"] < 0.2
    assert 5 < answer["peak_mb"] < 500
    distances = scored(case, out)
    np.testing.assert_allclose(distances["found"], 0.5)
    np.testing.assert_allclose(distances["affine"], 5.0)


def test_the_memory_of_the_process_that_started_it_is_not_counted(stub, case, tmp_path):
    held = np.ones((64, 1024, 1024), np.float32)
    with workers([stub("shifted")], PYTHON) as (worker,):
        answer = worker.ask(case.folder, tmp_path / "o.npz")
    assert answer["peak_mb"] < held.nbytes / 2**20


@pytest.mark.parametrize(
    ("name", "said"),
    [("raising", "ZeroDivisionError: division by zero"), ("dying", "out of luck"), ("none", "KeyError: 'none rigid'")],
)
def test_a_method_that_falls_over_is_an_error_and_the_next_case_is_asked_again(stub, case, tmp_path, name, said):
    with workers([stub(name)], PYTHON) as (worker,):
        for _ in range(2):
            assert said in worker.ask(case.folder, tmp_path / "o.npz")["error"]


def test_a_method_that_never_ends_is_stopped(stub, case, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_methods, "LONGEST_S", 0.5)
    with workers([stub("slow")], PYTHON) as (worker,):
        assert "took more than 0.5 s" in worker.ask(case.folder, tmp_path / "o.npz")["error"]
        assert worker.process is None


@pytest.mark.parametrize("name", ["short", "lost"])
def test_points_that_are_none_are_no_result(stub, case, tmp_path, name):
    with workers([stub(name)], PYTHON) as (worker,):
        worker.ask(case.folder, tmp_path / "o.npz")
    with pytest.raises(ValueError, match="must be finite"):
        scored(case, tmp_path / "o.npz")


# the run


def test_a_run_writes_each_row_and_goes_on_where_it_stopped(stub, drawn, tmp_path):
    out = tmp_path / "r.csv"
    methods = [stub("shifted"), stub("dying"), stub("lost"), replace(stub("slow"), model="affine")]
    rows = measure(RIGID, range(1), methods, PYTHON, [], out)
    assert [(r.method, r.success, round(r.tre, 6), r.affine) for r in rows[:1]] == [("shifted", True, 0.5, 5.0)]
    assert [bool(r.error) for r in rows] == [False, True, True]
    assert "out of luck" in rows[1].error
    more = measure(RIGID, range(2), methods[:1], PYTHON, read_rows(out), out)
    assert [(r.method, r.case) for r in more] == [("shifted", 0), ("dying", 0), ("lost", 0), ("shifted", 1)]
    assert drawn == [0, 1]
    assert all(same(a, b) for a, b in zip(more, read_rows(out), strict=True))


@pytest.mark.parametrize(("limit", "success"), [(0.6, True), (0.4, False), (None, True)])
def test_a_success_is_below_the_limit_of_its_task(stub, drawn, tmp_path, limit, success):
    rows = measure(replace(RIGID, limit=limit), range(1), [stub("shifted")], PYTHON, [], tmp_path / "r.csv")
    assert [(r.initial, r.success) for r in rows] == [(5.0, success)]


def test_the_command_writes_both_files_and_fresh_forgets(stub, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_registration, "METHODS", (stub("shifted"),))
    out = tmp_path / "r.csv"
    write_rows(out, [row(method="old", status="")])
    command = ["--out", str(out), "--tasks", "ZF:still", "--first", "4"]
    main(command)
    assert [(r.method, r.pair, r.case) for r in read_rows(out)] == [("old", "T1-T2", 0), ("shifted", "ZF", 4)]
    main([*command, "--fresh", "--methods", "shifted"])
    read = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(r["method"], r["case"]) for r in read] == [("shifted", "4")]
    assert "| ZF still | rigid | shifted | 1/1 |" in out.with_suffix(".md").read_text()


def test_a_peer_that_is_not_installed_is_left_out_unless_it_was_named(monkeypatch):
    monkeypatch.setattr(bench_registration, "METHODS", (*METHODS[:1], Method("p", "rigid", "x.py", "no_such_package")))
    assert [method.name for method in available(None, PYTHON)] == [OURS]
    assert available([OURS], PYTHON) == available(None, PYTHON)
    with pytest.raises(ConfigError, match="cannot run"):
        available(["p"], PYTHON)
    with pytest.raises(ConfigError, match="--peers"):
        known(Path("/no/such/python"), ["numpy"])
    assert known(PYTHON, ["numpy", "no_such_package"]) == {"numpy"}


def test_each_method_and_task_is_told_apart_and_each_file_is_there():
    assert len({method.key for method in METHODS}) == len(METHODS)
    assert len({task.name for task in TASKS}) == len(TASKS)
    assert all((bench_methods.HERE / method.file).is_file() for method in METHODS)
    assert {model for task in TASKS for model in task.models} == {method.model for method in METHODS}
    assert {method.key for method in METHODS if method.name == OURS} == set(registration_ours.METHODS)
    assert [task.seeds(3, 7) for task in (TASKS[0], TASKS[-1])] == [range(7, 10), range(7, 8)]


# ours


def test_an_itk_image_keeps_its_place_in_the_world():
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.arange(24.0).reshape(2, 3, 4))
    image.SetSpacing((0.5, 0.7, 2.0))
    image.SetOrigin((1.0, -2.0, 3.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.3, -0.2, 0.5, (0.0, 0.0, 0.0))
    image.SetDirection(turn.GetMatrix())
    volume = registration_ours.as_volume(image, 1000.0)
    for index in ((0, 0, 0), (3, 2, 1)):
        theirs = np.array(image.TransformIndexToPhysicalPoint(index))[::-1] * 1000
        np.testing.assert_allclose(volume.grid.to_world([index[::-1]])[0], theirs, rtol=1e-9)
        assert volume.array[0][index[::-1]] == image[index]


def test_points_go_through_in_itk_s_order_and_the_case_s_unit():
    move = volumes.Affine.rigid(translation_um=(1000.0, 2000.0, 3000.0))
    there = registration_ours.mapping(move, 1000.0)(np.array([[10.0, 20.0, 30.0]]))
    np.testing.assert_allclose(there, [[13.0, 22.0, 31.0]])


def test_the_affine_part_of_a_deformable_result():
    from volumes.displacement import DisplacementField
    from volumes.transform import Composite

    affine = volumes.Affine.rigid(translation_um=(1.0, 2.0, 3.0))
    field = DisplacementField(np.zeros((2, 2, 2, 3)), Grid((2, 2, 2), (1.0, 1.0, 1.0)))
    assert registration_ours.linear_part(Composite((affine, field))) == affine
    assert registration_ours.linear_part(affine) == affine
    assert registration_ours.linear_part(field) is None
    assert registration_ours.linear_part(Composite((field, affine))) is None


def test_missing_cases_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("FUSETRACK_DATA", str(tmp_path / "data"))
    with pytest.raises(VolumeFileError, match="FUSETRACK_DATA"):
        cases_module()


def test_a_case_on_disk_is_what_was_drawn_and_hides_its_truth(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((4, 5, 6), np.float32))
    image.SetSpacing((0.1, 1 / 3, 2.0))
    image.SetOrigin((math.pi, -1.0, 7.0))
    points = np.arange(6.0).reshape(2, 3)
    source = SimpleNamespace(make_case=lambda *_: (image, image * 2, points, points + 1))
    case = make_case(source, TASKS[2], 3, tmp_path / "c")
    back = sitk.ReadImage(str(tmp_path / "c" / "moving.nrrd"))
    assert (back.GetSpacing(), back.GetOrigin()) == (image.GetSpacing(), image.GetOrigin())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), 2 * sitk.GetArrayFromImage(image))
    assert json.loads((tmp_path / "c" / "case.json").read_text()) == {"unit_um": 1000.0, "modalities": ["MRI", "CT"]}
    assert sorted(p.name for p in case.folder.iterdir()) == ["case.json", "fixed.nrrd", "moving.nrrd", "points.npy"]
    assert case.initial == pytest.approx(math.sqrt(3))


def test_ours_registers_a_small_pair_in_this_process(tmp_path):
    truth = bench_growth.synthetic(24, tmp_path / "c")
    request = {"folder": str(tmp_path / "c"), "out": str(tmp_path / "o.npz")}
    answer = registration_process.answer(registration_ours.METHODS[f"{OURS} rigid"], request)
    assert answer["status"] in ("good", "doubtful"), answer
    with np.load(tmp_path / "o.npz") as archive:
        assert [*archive] == ["found"]
        assert np.linalg.norm(archive["found"] - truth, axis=1).mean() < bench_growth.FIELD_UM / 24


def test_growth_is_told_a_voxel_and_other_bytes_are_seen(monkeypatch):
    grown = bench_growth.Grown
    found = [grown("rigid", 64, 0.5, 1.0, 9.0, True), grown("rigid", 128, 0.4, 12.0, 9.0, False)]
    lines = bench_growth.table([*found, grown("deformable", 64, 1.0, 2.0, 9.0)]).splitlines()
    assert lines[2] == "| rigid | 64 | 0.50 | 1.00 | 3815 | – | 9 | yes |"
    assert lines[3] == "| rigid | 128 | 0.40 | 12.00 | 5722 | 1.50 | 9 | NO |"
    assert lines[4] == "| deformable | 64 | 1.00 | 2.00 | 7629 | – | 9 | – |"


@pytest.mark.parametrize(("offset", "agree"), [(0.0, True), (1e-12, False)])
def test_threads_that_change_the_points_are_found_out(monkeypatch, offset, agree):
    def ask(worker: Worker, folder: Path, out: Path) -> dict[str, float]:
        np.savez(out, found=np.load(folder / "points.npy") + worker.threads * offset)
        return {"cpu_s": 1.0, "peak_mb": 2.0}

    monkeypatch.setattr(Worker, "ask", ask)
    assert bench_growth.grown(METHODS[0], 8, 2).agree is agree
    assert bench_growth.grown(METHODS[0], 8, 1).agree is None


def test_a_size_at_which_ours_falls_over_is_a_line_of_the_table(monkeypatch):
    monkeypatch.setattr(Worker, "ask", lambda *_: {"error": "no luck"})
    lines = bench_growth.growth([8, 4], 2).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["4", "8", "4", "8"]
    assert all("no luck" in line for line in lines[2:])


def test_ours_beside_the_truth_of_a_real_pair(bench, data, tmp_path, monkeypatch):
    monkeypatch.setenv("FUSETRACK_DATA", str(data))
    monkeypatch.setattr(bench_registration, "METHODS", METHODS[:1])
    main(["--out", str(tmp_path / "r.csv"), "--tasks", "T1-T2:rigid", "--cases", "1"])
    (only,) = read_rows(tmp_path / "r.csv")
    assert only.success, only
    assert only.status == "good"
    assert only.tre < 1.0 < only.initial
