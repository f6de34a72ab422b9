"""LP-F on registered CT–MRI pairs of the Whole Brain Atlas, against the known scores of simple fusers."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fusion
from volumes import from_array


def scores(image: np.ndarray) -> dict[str, float]:
    """Entropy in bits, standard deviation and spatial frequency of an 8-bit picture."""
    share = np.bincount(image.ravel(), minlength=256) / image.size
    share = share[share > 0]
    grey = image.astype(float)
    rows, columns = np.diff(grey, axis=0), np.diff(grey, axis=1)
    frequency = np.sqrt((rows**2).mean() + (columns**2).mean())
    return {"EN": -(share * np.log2(share)).sum(), "SD": grey.std(), "SF": frequency}


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def fused(pair: list[np.ndarray], config: fusion.LPFConfig) -> np.ndarray:
    volumes = [from_array(p, (1.0, 1.0, 1.0), modality=m) for p, m in zip(pair, ("CT", "MRI"), strict=True)]
    return np.clip(np.rint(fusion.fuse(volumes, config).channel()[0]), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def golden(data: Path) -> list[dict[str, str]]:
    table = data.parent / "anchors" / "fusion_metric_golden.csv"
    if not table.is_file():
        pytest.skip(f"no golden metrics at {table}")
    with table.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["pair"].startswith("CT-MRI")]


@pytest.fixture(scope="module")
def pairs(data: Path) -> dict[str, list[np.ndarray]]:
    """CT and MRI slices by name; the first two digits are the patient."""
    folder = data / "fusion" / "harvard" / "CT-MRI"
    return {path.name: [picture(folder / kind / path.name) for kind in ("CT", "MRI")]
            for path in sorted((folder / "CT").glob("*.png"))}  # fmt: skip


def average(pictures: Iterable[np.ndarray]) -> dict[str, float]:
    rows = [scores(p) for p in pictures]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def test_the_three_scores_are_the_evaluators(golden: list[dict[str, str]], pairs: dict[str, list[np.ndarray]]) -> None:
    assert len(golden) == 8
    for row in golden:
        ct, mri = pairs[Path(row["pair"]).name]
        image = np.maximum(ct, mri) if row["fused"] == "max" else np.rint((ct.astype(float) + mri) / 2).astype(np.uint8)
        got = scores(image)
        assert got == pytest.approx({key: float(row[key]) for key in got}, abs=2e-5)


def test_two_patients_score_as_the_known_table_says(pairs: dict[str, list[np.ndarray]]) -> None:
    """Table: EN 3.93, SD 88.7, SF 30.6 over six slices of patients 28 and 41; here over all 36 of them."""
    config = fusion.LPFConfig(detail="local-energy", base="max", match="none")
    got = average(fused(pair, config) for name, pair in pairs.items() if name[:2] in ("28", "41"))
    assert got == pytest.approx({"EN": 3.93, "SD": 88.7, "SF": 30.6}, rel=0.04)


@pytest.mark.parametrize(
    ("detail", "base", "deviation", "frequency"),
    [
        ("max-abs", "mean", 74.0 / 84.2, 36.0 / 33.5),
        ("max-abs", "max", 82.5 / 84.2, 36.8 / 33.5),
        ("local-energy", "mean", 76.8 / 84.2, 35.7 / 33.5),
    ],
)
def test_against_the_maximum_it_stands_as_in_the_table(
    pairs: dict[str, list[np.ndarray]], detail, base, deviation: float, frequency: float
) -> None:
    """SD and SF over those of the pixelwise maximum; the table's 21 pairs are others, with other levels."""
    some = list(pairs.values())[::7]
    config = fusion.LPFConfig(detail=detail, base=base, match="none")
    got, most = average(fused(pair, config) for pair in some), average(np.maximum(*pair) for pair in some)
    assert got["SD"] / most["SD"] == pytest.approx(deviation, rel=0.07)
    assert got["SF"] / most["SF"] == pytest.approx(frequency, rel=0.07)
