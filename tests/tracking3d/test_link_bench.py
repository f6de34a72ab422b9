"""The linking benchmark on real lineages: no worse than trackpy at its best setting, and divisions found."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.bench import linking


@pytest.fixture(scope="module")
def rows(data: Path, bench: Path, tmp_path_factory) -> dict[tuple[str, str], dict[str, str]]:
    out = tmp_path_factory.mktemp("bench") / "linking.csv"
    linking.main(["--out", str(out), "--data", str(data), "--cases", "Pm03", "Pm08:5"])
    with out.open() as file:
        return {(row["case"], row["tool"]): row for row in csv.DictReader(file)} | {("md", ""): out.with_suffix(".md")}


@pytest.mark.filterwarnings("ignore::Warning:trackpy")
@pytest.mark.parametrize("case", ["Pm03", "Pm08:5"])
def test_links_are_no_worse_than_trackpys_best(rows, case: str):
    ours, theirs = rows[case, "fusetrack"], rows[case, "trackpy, adaptive"]
    assert float(theirs["F1"]) > 0.88
    assert float(ours["F1"]) >= float(theirs["F1"]) + 0.01
    assert float(ours["LNK"]) >= float(theirs["LNK"]) + 0.02


def test_divisions_are_found(rows):
    assert float(rows["Pm03", "fusetrack"]["Div F1"]) > 0.95
    assert float(rows["Pm08:5", "fusetrack"]["Div F1"]) > 0.75


def test_the_markdown_says_how_it_was_made(rows):
    text = rows["md", ""].read_text()
    assert "python -m experiments.bench.linking" in text
    assert text.count("| Pm03 |") == 2
