"""Conformance: the published evaluator's figures on registered pairs of the Whole Brain Atlas."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusion.metrics import evaluate, grey, per_source

FIGURES = ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "SSIM_range2", "SSIM_range255", "CC", "PSNR")


def picture(path: Path) -> np.ndarray:
    values = np.asarray(Image.open(path))
    return grey(values) if values.ndim == 3 else values


@pytest.fixture(scope="module")
def golden(data: Path) -> list[dict[str, str]]:
    table = data.parent / "anchors" / "fusion_metric_golden.csv"
    if not table.is_file():
        pytest.skip(f"no golden metrics at {table}")
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def pair_of(data: Path, row: dict[str, str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The fused picture of a row and its two sources."""
    kinds, name = row["pair"].split("/")
    folder = data / "fusion" / "harvard" / kinds
    sources = [picture(folder / kind / name) for kind in kinds.split("-")]
    mean = np.rint(np.mean(sources, axis=0)).astype(np.uint8)
    return (np.maximum(*sources) if row["fused"] == "max" else mean), sources


def test_all_twenty_rows_are_the_evaluators(data: Path, golden: list[dict[str, str]]) -> None:
    assert len(golden) == 20
    for row in golden:
        fused, sources = pair_of(data, row)
        got = evaluate(fused, sources)
        want = {key: float(row[key]) for key in FIGURES}
        assert {key: got[key] for key in FIGURES} == pytest.approx(want, rel=5e-6), row["pair"]


def test_the_parts_of_each_source_make_the_whole(data: Path, golden: list[dict[str, str]]) -> None:
    for row in golden[::5]:
        fused, sources = pair_of(data, row)
        parts = per_source(fused, sources)
        assert sum(parts["VIF"]) == pytest.approx(float(row["VIF"]), rel=5e-6)
        assert min(parts["Qabf"]) < float(row["Qabf"]) < max(parts["Qabf"])


def test_the_maximum_wipes_out_edges_of_mri_under_bone_and_the_mean_does_not(
    data: Path, golden: list[dict[str, str]]
) -> None:
    """The table's own message: the maximum is ahead in VIF and Qabf, while it loses a third of MRI's strong edges."""
    lost = {"max": [], "mean": []}
    for row in golden:
        if row["pair"].startswith("CT-MRI"):
            fused, sources = pair_of(data, row)
            lost[row["fused"]].append(per_source(fused, sources)["edges_lost"][1])
    assert np.mean(lost["max"]) == pytest.approx(0.33, abs=0.04)
    assert np.mean(lost["mean"]) < 0.1
