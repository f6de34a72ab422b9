"""Methods ranked over several figures at once. A sanity check, never a goal: the pixelwise maximum does well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from volumes.errors import TableError

if TYPE_CHECKING:
    from pandas import DataFrame

EIGHT = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM_range2")
"""The figures of most published tables; higher is better in all eight. Their "SSIM" is SSIM_range2."""
LOWER_IS_BETTER = frozenset({"edges_lost", "unexplained_gradient", "flicker", "colour_difference"})
"""What is better when low; whatever else stands in a table is better when high."""


def mean_rank(
    table: Mapping[str, Mapping[str, float]] | DataFrame, metrics: Sequence[str] | None = None
) -> dict[str, float]:
    """The mean, over the figures, of each method's rank, 1 for the best; equal values share the mean of their ranks.

    Parameters
    ----------
    table : method → figure → value, or a DataFrame of one row a method. EN, SD, SF, MI, SCD, VIF, Qabf and SSIM, as
        all of :func:`evaluate`, are better when high; ``LOWER_IS_BETTER`` holds those that are not.
    metrics : which figures to take, for instance ``EIGHT``; left out: all of the table.

    Raises
    ------
    TableError : no method or no figure; a figure that a method lacks, or that is NaN.
    """
    from scipy.stats import rankdata

    if not isinstance(table, Mapping):
        table = {str(method): {str(k): float(v) for k, v in row.items()} for method, row in table.iterrows()}
    names = list(metrics) if metrics is not None else list(dict.fromkeys(key for row in table.values() for key in row))
    if not table or not names:
        raise TableError("holds nothing to rank", field="table")
    ranks = dict.fromkeys(table, 0.0)
    for name in names:
        values = [_value(table, method, name) for method in table]
        signed = [value if name in LOWER_IS_BETTER else -value for value in values]
        for method, rank in zip(table, rankdata(signed, method="average"), strict=True):
            ranks[method] += float(rank) / len(names)
    return ranks


def _value(table: Mapping[str, Mapping[str, float]], method: str, name: str) -> float:
    value = table[method].get(name, math.nan)
    if math.isnan(value):
        raise TableError("is missing or NaN", field=f"{method}.{name}", remedy="Rank methods by what all of them have")
    return value
