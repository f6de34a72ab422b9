"""All figures of a run in one table: a row for each, with what it is of and its unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.record_csv import records_as_csv

DISTANCES = {
    "before_mean_um": "mean before",
    "mean_um": "mean",
    "median_um": "median",
    "max_um": "largest",
}
"""How the distances of a registration are called."""

DRIFT = {
    "before_mean_um": "drift, mean over the frames",
    "before_max_um": "drift, largest",
    "mean_um": "error of the drift, mean over the frames",
    "max_um": "error of the drift, largest",
}
"""How those of a drift are called."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Parameters
    ----------
    stage : what is scored: registration, fusion, segmentation, linking, intensity.
    subject : the source, or sources, that it is of.
    measure : what was measured.
    value : the figure.
    unit : µm, or nothing for shares, scores and counts.
    """

    stage: str
    subject: str
    measure: str
    value: float
    unit: str = ""


def figures(scores: Mapping[str, Any], fixed: str = "", segmented: str = "") -> tuple[Figure, ...]:
    """The rows of a run's scores, as ``scores.json`` holds them; what is no number is left out.

    Parameters
    ----------
    scores : by stage.
    fixed, segmented : names of the reference and of what was segmented.
    """
    rows = list(_registration(scores.get("registration", {}), fixed))
    for name, found in scores.get("drift", {}).items():
        rows += [Figure("registration", name, words, found[key], "µm") for key, words in DRIFT.items()]
    for stage, subject in (("fusion", fixed), ("segmentation", segmented), ("linking", segmented)):
        rows += [Figure(stage, subject, name, value) for name, value in scores.get(stage, {}).items() if _number(value)]
    for source, measured in scores.get("intensity", {}).items():
        rows += [Figure("intensity", source, name, value) for name, value in measured.items()]
    return tuple(rows)


def as_csv(rows: Sequence[Figure]) -> str:
    """The table as CSV, with a header."""
    return records_as_csv(Figure, rows)


def as_text(rows: Sequence[Figure]) -> str:
    """The table in columns, for a terminal."""
    cells = [(row.stage, row.subject, row.measure, f"{row.value:.4g}", row.unit) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if i == 3 else cell.ljust(width) for i, (cell, width) in enumerate(pairs)).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    )


def _registration(scores: Mapping[str, Any], fixed: str) -> Iterator[Figure]:
    for name, found in scores.items():
        subject = f"{name} → {fixed}" if fixed else name
        for where, errors in (("the specimen", found), ("true cells", found.get("at_cells", {}))):
            for key, words in DISTANCES.items():
                if key in errors:
                    yield Figure("registration", subject, f"error at {where}, {words}", errors[key], "µm")
            if "points" in errors:
                yield Figure("registration", subject, f"points of {where}", errors["points"])
        if "best_rigid_mean_um" in found:
            measure = "error at the specimen, mean of the best rigid transform"
            yield Figure("registration", subject, measure, found["best_rigid_mean_um"], "µm")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
