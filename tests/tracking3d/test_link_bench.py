"""The linking benchmark on real lineages: no worse than trackpy at its best setting, and divisions found."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.bench import linking


@pytest.fixture(scope="module")
def rows(data: Path, bench: Path, tmp_path_factory) -> dict[tuple[str, str], dict[str, str]]:
    out = tmp_path_factory.mktemp("bench") / "linking.csv"
    tools = ["fusetrack constraint", "trackpy"]
    linking.main(["--out", str(out), "--data", str(data), "--cases", "Pm03", "Pm08:5", "--tools", *tools])
    with out.open() as file:
        found = {(row["case"], row["tool"].split()[0]): row for row in csv.DictReader(file)}
    return found | {("md", ""): out.with_suffix(".md")}


@pytest.mark.parametrize("case", ["Pm03", "Pm08:5"])
def test_links_are_no_worse_than_trackpys_best(rows, case: str):
    ours, theirs = rows[case, "fusetrack"], rows[case, "trackpy"]
    assert float(theirs["F1"]) > 0.88
    assert float(ours["F1"]) >= float(theirs["F1"]) + 0.01
    assert float(ours["LNK"]) >= float(theirs["LNK"]) + 0.02


def test_divisions_are_found(rows):
    assert float(rows["Pm03", "fusetrack"]["Div F1"]) > 0.95
    assert float(rows["Pm08:5", "fusetrack"]["Div F1"]) > 0.75


def test_the_markdown_says_how_it_was_made_and_what_the_rules_did(rows):
    text = rows["md", ""].read_text()
    assert "python -m experiments.bench.linking" in text
    scores, rules = text.split("What each rule of `literal` did:")
    assert scores.count("| Pm03 |") == 2
    assert rules.count("| Pm03 |") == 1
