"""The linking benchmark's own parts: cases by name, tools as processes, what is said of one that fails."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.bench import linking, linking_case, linking_peers, linking_tool
from experiments.bench.linking_case import Named, diameter, made, nearest
from experiments.bench.linking_peers import Tool, interpreters, ours, peers, run
from tracking3d.link.config import KINDS
from tracking3d.link.prediction.config import MOTIONS
from volumes.errors import ConfigError

CASE = {
    "T": np.array([0, 0, 1, 1, 2]),
    "C": np.array([[0.0, 0, 0], [0, 0, 20], [0, 1, 0], [0, 1, 30], [0, 2, 0]]),
    "V": np.full(5, 100.0),
}
UNMEASURED = CASE | {"V": np.full(5, np.nan)}
SCORER = SimpleNamespace(score=lambda _, links: dict.fromkeys(linking.SCORES.values(), len(links) / 4))
ROW = linking.Row("Pm03", 1, "x", "", 5, {})


def fake(tmp_path: Path, body: str) -> str:
    """An interpreter that only pretends: a script that runs ``body`` with the arguments of a tool."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport json, sys, time\nimport numpy as np\n{body}\n")
    script.chmod(0o755)
    return str(script)


def test_a_name_says_what_is_done_to_a_case() -> None:
    assert Named.of("Pm05") == Named("Pm05", 1, False, False, False)
    assert Named.of("Pm05:5+merge-novolume") == Named("Pm05", 5, True, True, False)
    assert Named.of("T-raw") == Named("T", 1, False, False, True)
    for wrong in ("", "Pm05:0", "Pm05-merge", "Pm05+novolume", "Pm05:5:5"):
        with pytest.raises(ConfigError, match=r"--cases: is no case.*Pm05\+merge"):
            Named.of(wrong)


def test_a_case_is_degraded_as_its_name_says(tmp_path: Path) -> None:
    asked = []

    def save(out: Path, *truth: object, **how: object) -> None:
        asked.append((truth, how))
        np.savez(out, T=np.arange(3), V=np.ones(3))

    cases = SimpleNamespace(real=lambda file, every: (file.name, every), synth=lambda seed: ("synth", seed), save=save)
    names = ("Pm05:5", "T-raw", "synthetic", "Pm03+merge-novolume")
    volumes = [made(cases, tmp_path, name, 4)["V"].tolist() for name in names]
    assert volumes[:3] == [[1.0] * 3] * 3
    assert np.isnan(volumes[3]).all()
    assert [truth for truth, _ in asked] == [
        ("phallusia_Pm05.csv.gz", 5),
        ("immune_TCellsRaw.csv.gz", 1),
        ("synth", 5),
        ("phallusia_Pm03.csv.gz", 1),
    ]
    plain = {"drop": 0.05, "fp": 0.02, "jit": 0.5, "seed": 4, "merged": 0}
    assert asked[0][1] == asked[2][1] == plain
    assert asked[1][1] == plain | {"drop": 0.0, "fp": 0.0, "jit": 0.0}
    assert asked[3][1] == plain | {"merged": linking_case.MERGED}


def test_a_missing_data_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="FUSETRACK_DATA"):
        linking.module_at(tmp_path / "none.py")


def test_the_unit_of_settings_is_the_distance_to_the_nearest() -> None:
    assert nearest(CASE) == 25.0
    assert diameter(CASE, "Pm05") is None
    assert diameter(UNMEASURED, "Pm05-novolume") == 25.0
    assert diameter(UNMEASURED, "T-raw") == 8.0


def test_all_our_kinds_run_and_of_the_peers_those_that_are_there() -> None:
    names = [tool.name for tool in ours(CASE, "Pm05", motions=False)]
    assert names == [f"fusetrack {kind}" for kind in KINDS]
    more = [tool for tool in ours(CASE, "Pm05", motions=True) if tool.name not in names]
    assert {tool.settings[0]["motion"]["kind"] for tool in more} | {"constant-velocity"} == {m().kind for m in MOTIONS}
    (literal,) = (tool for tool in ours(UNMEASURED, "B", motions=False) if tool.name == "fusetrack literal")
    assert literal.settings == ({"kind": "literal", "diameter_um": 8.0},)
    found = peers(CASE, {"btrack": "b", "trackpy": "t"})
    assert [(tool.name, tool.python, len(tool.settings)) for tool in found] == [
        ("trackpy", "t", 12),
        ("btrack", "b", 3),
    ]
    assert min(setting["reach"] for setting in found[0].settings) == 0.75 * 25.0
    many = CASE | {"T": np.repeat([0, 1], 3000), "C": np.random.default_rng(0).normal(size=(6000, 3))}
    (longer,) = peers(many, {"motile": "m", "trackpy": "t"})
    assert (longer.name, len(longer.settings)) == ("trackpy", 9)
    assert set(linking_peers.PEERS) <= set(linking_tool.TOOLS)


def test_a_tool_is_a_process_that_leaves_links_times_and_memory() -> None:
    tool = Tool(
        "fusetrack nearest",
        "fusetrack",
        sys.executable,
        ({"kind": "nearest"}, {"kind": "nearest", "max_distance_um": 0.5}),
    )
    found = run(tool, CASE, limit_s=300)
    assert found.links[0].tolist() == [[0, 2], [1, 3], [2, 4]]
    assert found.links[1].shape == (0, 2)
    assert all(0 < spent < found.process_cpu_s for spent in found.cpu_s)
    assert 50 < found.peak_mb < 5000
    assert found.version


def test_a_tool_that_fails_or_does_not_end_leaves_a_reason(tmp_path: Path) -> None:
    for body, reason in (
        ("sys.exit('no such thing')", "failed: no such thing"),
        ("time.sleep(60)", "stopped after 1 s"),
    ):
        tool = Tool("x", "x", fake(tmp_path, body), ({},))
        row = linking.scored(ROW, tool, CASE, SCORER, limit_s=1.0 if "sleep" in body else 60)
        assert row.setting == reason
        assert {row.cells()[name] for name in (*linking.SCORES, "CPU s", "process CPU s", "MB")} == {"–"}


def test_the_best_setting_is_reported_and_run_again_alone(tmp_path: Path) -> None:
    body = """
settings = json.loads(sys.argv[-1])
links = {f"links_{i}": np.zeros((s["n"], 2)) for i, s in enumerate(settings)}
n = len(settings)
np.savez(sys.argv[-2], cpu_s=np.arange(5.0, 5 - n, -1), process_cpu_s=10.0 * n, peak_mb=7, version="3", **links)
"""
    tool = Tool("x", "x", fake(tmp_path, body), ({"n": 1}, {"n": 3, "reach": 1 / 3}, {"n": 2}))
    cells = linking.scored(ROW, tool, CASE, SCORER, limit_s=60).cells()
    assert (cells["tool"], cells["setting"], cells["F1"]) == ("x 3", "n: 3, reach: 0.333", "0.7500")
    # The second of two runs is the linking alone, and the rest the process: 20 − 4.
    assert (cells["CPU s"], cells["process CPU s"], cells["MB"]) == ("4.00", "16.00", "7")
    one = replace(tool, name="fusetrack x", program="fusetrack", settings=({"kind": "x", "n": 2},))
    cells = linking.scored(ROW, one, CASE, SCORER, limit_s=60).cells()
    assert (cells["tool"], cells["setting"]) == ("fusetrack x", "n: 2")


def test_an_interpreter_is_asked_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking_peers, "PEERS", ("trackpy", "no_such_peer"))
    python, missing = interpreters([])
    assert python == {"trackpy": sys.executable}
    assert missing == {"no_such_peer": "no interpreter of --peers-python has it"}
    has_all = fake(tmp_path, "")
    assert interpreters([has_all])[0] == {"trackpy": sys.executable, "no_such_peer": has_all}


def test_the_table_reads_back_as_csv_and_stands_in_markdown(tmp_path: Path) -> None:
    rows = [replace(ROW, tool=tool, setting="range 1, memory 2", cpu_s=1.234) for tool in ("a", "b")]
    rules = [linking.refused(CASE, "Pm03", 1)]
    linking._write(rows, rules, {"motile": "it is not there"}, tmp_path / "t.csv", "python -m it")
    read = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8"))))
    assert [one["tool"] for one in read] == ["a", "b"]
    assert read[0]["setting"] == "range 1, memory 2"
    assert (read[0]["CPU s"], read[0]["MB"]) == ("1.23", "–")
    text = (tmp_path / "t.md").read_text()
    assert text.startswith("`python -m it`, 20")
    assert "motile is left out: it is not there." in text
    assert text.count("| Pm03 |") == 3


def test_the_rules_of_the_review_are_counted_for_a_case() -> None:
    counted = linking.refused(CASE, "Pm03", 1)
    assert (counted["case"], counted["seed"], counted["D̄"]) == ("Pm03", "1", "5.8")
    assert (counted["candidates"], counted["links"]) == ("2", "2")


def test_links_of_a_chain_are_read_off_its_tracks() -> None:
    row, track = np.array([4, 7, 1, 2, 9]), np.array([0, 0, 3, 3, 3])
    assert linking_tool.chained(row, track).tolist() == [[4, 7], [1, 2], [2, 9]]


@pytest.mark.parametrize("velocity", [False, True])
def test_trackpy_is_called_as_its_documentation_says(velocity: bool, tmp_path: Path) -> None:
    given, out = tmp_path / "case.npz", tmp_path / "out.npz"
    np.savez(given, **CASE)
    settings = json.dumps([{"reach": 12.0, "memory": 1, "velocity": velocity}])
    import logging

    level = logging.root.manager.disable
    try:
        linking_tool.main("trackpy", str(given), str(out), settings)
    finally:
        logging.disable(level)
    with np.load(out) as found:
        assert sorted(found["links_0"].tolist()) == [[0, 2], [1, 3], [2, 4]]
