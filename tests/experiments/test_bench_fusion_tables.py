"""The tables of the fusion benchmark, on rows so few that means, ranks and intervals are seen."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from experiments.bench.fusion_kinds import ONE_EACH
from experiments.bench.fusion_pairs import Pair
from experiments.bench.fusion_picture import extremes
from experiments.bench.fusion_rows import FIGURES, Row
from experiments.bench.fusion_summary import as_csv, as_text, gain, lines, means, ranks


def row(pair: str = "20005.png", kind: str = "max", value: float = 1.0, **figures: float) -> Row:
    return Row("CT", pair, kind, "", **{**dict.fromkeys(FIGURES, value), **figures})


def pair(name: str, other: str = "CT") -> Pair:
    return Pair(other, name, (Path("a") / name, Path("b") / name))


def test_the_mean_is_that_of_the_patients_and_the_gain_that_of_their_sums() -> None:
    rows = [row("20001.png", value=1.0), row("20002.png", value=3.0), row("3001.png", value=6.0)]
    assert means(rows, "VIF") == {"20": 2.0, "3": 6.0}
    ours = [row(r.pair, "lpf", value) for r, value in zip(rows, (2.0, 4.0, 9.0), strict=True)]
    line = next(x for x in lines([*rows, *ours], "reported") if (x.kind, x.figure) == ("lpf", "VIF"))
    assert (line.patients, line.pairs, line.mean, line.mean_of_pairs) == (2, 3, 6.0, 5.0)
    assert line.gain == pytest.approx(12 / 8 - 1)


def test_the_interval_of_a_gain_is_that_of_all_draws_of_patients() -> None:
    base, own = {"a": 1.0, "b": 2.0}, {"b": 2.2, "a": 1.5}
    value, low, high = gain(own, base)
    assert value == pytest.approx(3.7 / 3 - 1)
    assert (low, high) == pytest.approx((0.1, 0.5))
    same = gain({p: 1.2 * v for p, v in base.items()}, base)
    assert same == pytest.approx((0.2, 0.2, 0.2))


def test_a_gain_that_says_nothing_is_none() -> None:
    assert gain({"a": 1.5}, {"a": 1.0})[0] == pytest.approx(0.5)
    assert all(math.isnan(v) for v in gain({"a": 1.5}, {"a": 1.0})[1:])
    assert all(math.isnan(v) for v in gain({"a": 1.0}, {"b": 1.0}))
    assert all(math.isnan(v) for v in gain({"a": 1.0, "b": 1.0}, {"a": -1.0, "b": 0.5}))


def test_lost_edges_are_compared_with_the_pyramid() -> None:
    rows = [row(f"{p}001.png", kind, lost_mri=v) for kind, v in (("lpf", 0.1), ("max", 0.3)) for p in (20, 3)]
    line = next(x for x in lines(rows, "reported") if (x.kind, x.figure) == ("max", "lost_mri"))
    assert (line.gain, line.low, line.high) == pytest.approx((0.2, 0.2, 0.2))


def test_ranks_count_every_kind_or_one_of_each() -> None:
    values = {"max": 1.0, "lpf": 2.0, "lpf-max-base": 3.0, "dmf-lp": 4.0}
    found = lines([row(kind=kind, value=value) for kind, value in values.items()], "reported")
    assert ranks(found) == {"max": 4.0, "lpf": 3.0, "lpf-max-base": 2.0, "dmf-lp": 1.0}
    assert ranks(found, ONE_EACH) == {"max": 3.0, "lpf": 2.0, "dmf-lp": 1.0}


def test_the_tables_say_what_the_lines_hold() -> None:
    rows = [row(f"{p}001.png", kind, v) for kind, v in (("max", 1.0), ("lpf", 1.5)) for p in (20, 3)]
    found = lines(rows, "reported")
    text = as_text(found).splitlines()
    assert text[0] == "### CT–MRI, reported: 2 patients, 2 pairs"
    eight = " | ".join(["1.500"] * 8)
    assert f"| lpf | {eight} | 1.500 / 1.500 | 1.500 / 1.500 | 150.0 / 150.0 | 1.00 | 1.00 |" in text
    assert any(line.startswith("| lpf | +50.0 (+50.0 to +50.0) |") for line in text)
    assert not any(line.startswith("| max | +0.0") for line in text)
    widths = {line.count("|") for line in text if line.startswith(("| max", "| lpf", "| kind", "| ---"))}
    assert len(widths) == 2
    read = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(read) == 2 * len(FIGURES)
    assert read[0]["mean"] == "1"
    assert as_text([]) == ""


def test_the_best_and_the_worst_are_those_of_the_gain() -> None:
    gains = {"20001.png": 0.1, "20002.png": -0.2, "3001.png": 0.3}
    rows = [row(name, "max", 1.0) for name in gains]
    rows += [row(name, "lpf", 1.0, VIF=1.0 + g / 2, Qabf=1.0 + g / 2) for name, g in gains.items()]
    chosen = [pair(name) for name in gains]
    found = extremes(rows, [*chosen, pair("9001.png")], "lpf")
    assert [(x.word, x.pair.name) for x in found] == [("best", "3001.png"), ("worst", "20002.png")]
    assert [x.gain for x in found] == pytest.approx([0.3, -0.2])
    assert extremes(rows, chosen, "dmf-lp") == []
