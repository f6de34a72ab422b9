"""The fusion benchmark's rows as tables: means, mean ranks, and gains over the pixelwise maximum with intervals.

The unit is the patient. A mean is that over patients of each one's mean over its slices. A gain is relative,
Σ own / Σ maximum − 1 over patients; its 95 % interval is from the 2.5th to the 97.5th percentile when patients are
drawn with replacement, each with both of its means (paired bootstrap; Efron & Tibshirani 1993, chapter 13). Of two or
three patients an interval says little more than which of them was the highest and which the lowest.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from statistics import fmean

import numpy as np

from experiments.bench.fusion_kinds import BASE, ONE_EACH, PYRAMID
from experiments.bench.fusion_pairs import patient_of
from experiments.bench.fusion_rows import FIGURES, Row
from experiments.sweep_summary import interval
from fusion.metrics import EIGHT, mean_rank

RESAMPLES = 10_000
TWO = 2
"""Patients that an interval needs at least."""
SHOWN = ("SCD", "VIF", "Qabf", "SSIM_range2")
"""Whose gains stand in the text; the CSV has all."""
LOST = ("lost_other", "lost_mri")

Means = Mapping[str, float]
"""Patient → mean of a figure over the slices."""


@dataclass(frozen=True)
class Line:
    """One figure of one kind.

    Parameters
    ----------
    other, part : the set, and whose patients: ``reported`` or ``seen``.
    kind, sha, figure : of what.
    patients, pairs : how many.
    mean, mean_of_pairs : over patients, and over all pairs alike, as published tables have it.
    gain, low, high : over the maximum, relative, and its interval; NaN where there is none. Of lost edges it is the
        difference to LP-F.
    """

    other: str
    part: str
    kind: str
    sha: str
    figure: str
    patients: int
    pairs: int
    mean: float
    mean_of_pairs: float
    gain: float
    low: float
    high: float


def lines(rows: Sequence[Row], part: str) -> list[Line]:
    """Every figure of every kind, of rows of one set; each kind must have the same pairs.

    Parameters
    ----------
    rows : of one set and one part.
    part : what it is called.
    """
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    return [_line(by_kind, kind, figure, part) for kind in by_kind for figure in FIGURES]


def means(rows: Sequence[Row], figure: str) -> dict[str, float]:
    """Each patient's mean of a figure over the slices."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(patient_of(row.pair), []).append(getattr(row, figure))
    return {patient: fmean(values) for patient, values in found.items()}


def gain(own: Means, base: Means, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """Σ own / Σ base − 1 over the patients that both have, and its 95 % interval.

    Returns
    -------
    NaN for all where there is no patient or the base's sum is not above 0; NaN for the interval of one patient.
    """
    both = [patient for patient in base if patient in own]
    mine, its = (np.array([of[patient] for patient in both], np.float64) for of in (own, base))
    if not both or its.sum() <= 0:
        return math.nan, math.nan, math.nan
    value = float(mine.sum() / its.sum() - 1)
    if len(both) < TWO:
        return value, math.nan, math.nan
    drawn = np.random.default_rng(0).integers(len(both), size=(resamples, len(both)))
    below = its[drawn].sum(axis=1)
    ratios = np.divide(mine[drawn].sum(axis=1), below, out=np.full(resamples, np.nan), where=below > 0) - 1
    low, high = np.nanpercentile(ratios, (2.5, 97.5))
    return value, float(low), float(high)


def ranks(found: Sequence[Line], kinds: Sequence[str] | None = None) -> dict[str, float]:
    """The mean rank of each kind over the eight figures, by their means; of these kinds alone where some are named."""
    table: dict[str, dict[str, float]] = {}
    for line in found:
        if line.figure in EIGHT and (kinds is None or line.kind in kinds):
            table.setdefault(line.kind, {})[line.figure] = line.mean
    return mean_rank(table, EIGHT) if table else {}


def as_csv(found: Sequence[Line]) -> str:
    """The lines as CSV, with a header; a missing value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Line)])
    for line in found:
        cells = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in astuple(line))
        writer.writerow(["" if cell == "nan" else cell for cell in cells])
    return text.getvalue()


def as_text(found: Sequence[Line]) -> str:
    """One set and part as two Markdown tables: figures with ranks, and gains; nothing where there is no line."""
    if not found:
        return ""
    first = found[0]
    title = f"### {first.other}–MRI, {first.part}: {first.patients} patients, {first.pairs} pairs\n\n"
    return f"{title}{_figures(found)}\n{_gains(found)}\n"


def _line(by_kind: Mapping[str, Sequence[Row]], kind: str, figure: str, part: str) -> Line:
    rows = by_kind[kind]
    own = means(rows, figure)
    if figure in LOST:
        change = _difference(own, means(by_kind.get(PYRAMID, ()), figure))
    else:
        change = gain(own, means(by_kind.get(BASE, ()), figure))
    every = fmean(getattr(row, figure) for row in rows)
    first = rows[0]
    return Line(first.other, part, kind, first.sha, figure, len(own), len(rows), fmean(own.values()), every, *change)


def _difference(own: Means, base: Means) -> tuple[float, float, float]:
    apart = [own[patient] - base[patient] for patient in base if patient in own]
    return (fmean(apart), *interval(apart, RESAMPLES)) if apart else (math.nan,) * 3


def _figures(found: Sequence[Line]) -> str:
    other, kinds = found[0].other, [*dict.fromkeys(line.kind for line in found)]
    value = {(line.kind, line.figure): line.mean for line in found}
    all_kinds, one_each = ranks(found), ranks(found, ONE_EACH)
    names = ["SSIM(2)" if figure == "SSIM_range2" else figure for figure in EIGHT]
    each = [f"{what} of {other} / MRI" for what in ("VIF", "Qabf", "edges lost, %,")]
    head = ["kind", *names, *each, f"mean rank of {len(all_kinds)}", f"of {len(one_each)}, one a kind"]
    cells = []
    for kind in kinds:
        shares = [f"{100 * value[kind, name]:.1f}" for name in LOST]
        both = [" / ".join(f"{value[kind, f'{what}_{of}']:.3f}" for of in ("other", "mri")) for what in ("VIF", "Qabf")]
        own = [f"{one_each[kind]:.2f}" if kind in one_each else "–"]
        eight = [_said(value[kind, figure]) for figure in EIGHT]
        cells.append([kind, *eight, *both, " / ".join(shares), f"{all_kinds[kind]:.2f}", *own])
    return _table(head, cells)


def _gains(found: Sequence[Line]) -> str:
    by = {(line.kind, line.figure): line for line in found}
    kinds = [kind for kind in dict.fromkeys(line.kind for line in found) if kind != BASE]
    names = ["SSIM(2)" if figure == "SSIM_range2" else figure for figure in SHOWN]
    lost = [f"edges of {of} lost, % − LP-F's" for of in (found[0].other, "MRI")]
    head = ["over max, %", *names, *lost]
    return _table(head, [[kind, *(_change(by[kind, figure]) for figure in (*SHOWN, *LOST))] for kind in kinds])


def _change(line: Line) -> str:
    if math.isnan(line.gain):
        return "–"
    value, low, high = (f"{100 * number:+.1f}" for number in (line.gain, line.low, line.high))
    return value if math.isnan(line.low) else f"{value} ({low} to {high})"


def _said(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *cells))
