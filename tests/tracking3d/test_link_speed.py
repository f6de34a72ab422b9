"""The benchmark of speed: its cases, its processes and its table; not the speed itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import linking_speed
from experiments.bench.linking_speed import Run, crowd, table, write

RUNS = [
    Run("a", "fusetrack", 2000, 1.0, 100.0),
    Run("a", "trackpy", 2000, 4.0, 200.0),
    Run("b", "fusetrack", 10, 0.5, 90.4),
]


def test_a_crowd_has_its_cells_in_every_frame_and_they_step_a_micrometre():
    case = crowd("crowd:500:6", seed=0)
    assert np.bincount(case["T"]).tolist() == [500] * 6
    steps = np.diff(case["C"].reshape(6, 500, 3), axis=0)
    assert np.sqrt((steps**2).sum(axis=2).mean()) == pytest.approx(1.0, rel=0.05)
    assert np.ptp(case["C"][:500], axis=0).prod() / 500 == pytest.approx(1000, rel=0.1)


def test_times_stand_beside_trackpys_where_it_ran():
    rows = table(RUNS)
    assert [row["of trackpy's"] for row in rows] == ["0.25", "1.00", "–"]
    assert [row["µs a detection"] for row in rows] == ["500.0", "2000.0", "50000.0"]


def test_the_table_is_written_twice_and_says_how_it_was_made(tmp_path: Path):
    write(RUNS, tmp_path / "speed.csv", "python -m a.b --c 1")
    with (tmp_path / "speed.csv").open() as file:
        assert [row["peak MB"] for row in csv.DictReader(file)] == ["100", "200", "90"]
    text = (tmp_path / "speed.md").read_text()
    assert text.startswith("`python -m a.b --c 1`")
    assert "| b | fusetrack | 10 | 0.50 |" in text


def test_a_run_is_a_process_whose_time_and_memory_are_its_own(tmp_path: Path):
    linking_speed.main(["--out", str(tmp_path / "s.csv"), "--cases", "crowd:30:3", "--repeats", "1"])
    with (tmp_path / "s.csv").open() as file:
        rows = {row["tool"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"fusetrack", "trackpy"}
    assert 0.1 < float(rows["fusetrack"]["CPU s"]) < 100
    assert 30 < float(rows["fusetrack"]["peak MB"]) < 2000
