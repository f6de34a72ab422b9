"""What a sweep found: every score in one table, and each variant's difference to the first with its interval."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Score:
    """One unit's value in one training; NaN where the unit has none."""

    variant: str
    seed: int
    metric: str
    unit: str
    value: float


@dataclass(frozen=True)
class Comparison:
    """A variant by one metric.

    Parameters
    ----------
    variant, metric : of what.
    mean : over units, of their means over the seeds.
    seed_sd : standard deviation of the seeds' means over units; NaN for one seed.
    units : those that have a value with every seed, here and in the first variant.
    difference : mean over those units of variant − first.
    low, high : its 95 % interval; NaN with fewer than two units.
    """

    variant: str
    metric: str
    mean: float
    seed_sd: float
    units: int
    difference: float
    low: float
    high: float


def scores_of(variant: str, seed: int, validation: Mapping[str, Mapping[str, float | None]]) -> list[Score]:
    """The rows of one training, from what its ``model.json`` says."""
    return [
        Score(variant, seed, metric, unit, math.nan if value is None else value)
        for metric, units in validation.items()
        for unit, value in units.items()
    ]


def compared(scores: Sequence[Score], resamples: int) -> list[Comparison]:
    """Every variant by every metric, against the first variant, in the order of the rows."""
    variants, metrics = (_distinct(getattr(row, key) for row in scores) for key in ("variant", "metric"))
    return [_compared(scores, metric, variants[0], variant, resamples) for metric in metrics for variant in variants]


def interval(differences: Sequence[float], resamples: int) -> tuple[float, float]:
    """The 95 % interval of a mean of paired differences, by the percentile bootstrap over units.

    Units are drawn with replacement, ``resamples`` times, from a fixed seed; the interval is from the 2.5th to the
    97.5th percentile of the means (Efron & Tibshirani 1993, chapter 13).
    """
    import numpy as np
    from scipy.stats import bootstrap

    if len(differences) < 2:
        return math.nan, math.nan
    given = (np.asarray(differences, np.float64),)
    found = bootstrap(given, np.mean, n_resamples=resamples, method="percentile", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def as_csv(rows: Sequence[Score]) -> str:
    """The table as CSV, with a header; a missing value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Score)])
    for row in rows:
        writer.writerow([row.variant, row.seed, row.metric, row.unit, "" if math.isnan(row.value) else repr(row.value)])
    return text.getvalue()


def as_text(rows: Sequence[Comparison]) -> str:
    """The comparisons in columns, for a terminal."""
    head = ("metric", "variant", "mean", "sd of seeds", "units", "difference", "95 % interval")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(pairs)).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    )


def as_json(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as JSON can hold them: None in the place of NaN."""
    return [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in vars(row).items()
        }
        for row in rows
    ]


def _compared(scores: Sequence[Score], metric: str, first: str, variant: str, resamples: int) -> Comparison:
    theirs, own = (_by_unit(scores, metric, name) for name in (first, variant))
    paired = [unit for unit in own if unit in theirs]
    differences = [fmean(own[unit].values()) - fmean(theirs[unit].values()) for unit in paired]
    seeds = [fmean(values) for values in zip(*(own[unit].values() for unit in paired), strict=True)]
    low, high = interval(differences, resamples) if variant != first else (0.0, 0.0)
    return Comparison(
        variant,
        metric,
        mean=fmean(seeds) if seeds else math.nan,
        seed_sd=stdev(seeds) if len(seeds) > 1 else math.nan,
        units=len(paired),
        difference=fmean(differences) if differences else math.nan,
        low=low,
        high=high,
    )


def _by_unit(scores: Sequence[Score], metric: str, variant: str) -> dict[str, dict[int, float]]:
    """Unit → seed → value, of the units that have one with every seed."""
    found: dict[str, dict[int, float]] = {}
    for row in scores:
        if row.metric == metric and row.variant == variant:
            found.setdefault(row.unit, {})[row.seed] = row.value
    seeds = max((len(values) for values in found.values()), default=0)
    return {
        unit: values
        for unit, values in found.items()
        if len(values) == seeds and all(map(math.isfinite, values.values()))
    }


def _cells(row: Comparison) -> tuple[str, ...]:
    values = (row.mean, row.seed_sd, row.difference, row.low, row.high)
    mean, spread, difference, low, high = ("–" if math.isnan(value) else f"{value:.4g}" for value in values)
    return row.metric, row.variant, mean, spread, str(row.units), difference, f"{low} to {high}"


def _distinct(values: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(values)]
