"""The registration benchmark's rows as Markdown: each method on each task, then ours beside the best peer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from experiments.bench.registration_methods import OURS
from experiments.bench.registration_rows import Row

HEAD = (
    "task",
    "looked for",
    "method",
    "success",
    "errors",
    "TRE mean / median / max",
    "CPU s mean",
    "peak MB",
    "not good",
    "good but no success",
    "own affine, mean",
    "worse than it",
)
BEST = ("task", "looked for", "best peer", "success, ours / its", "TRE mean, ours / its", "CPU s, ours / its")


@dataclass(frozen=True)
class Group:
    """All rows of one method on one task."""

    rows: tuple[Row, ...]

    @property
    def ended(self) -> tuple[Row, ...]:
        """Those that did not end in an error."""
        return tuple(row for row in self.rows if not row.error)

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(row.success for row in self.rows)

    def mean(self, figure: str) -> float:
        """Of the rows without an error; NaN when there is none."""
        values = [float(getattr(row, figure)) for row in self.ended]
        return float(np.mean(values)) if values else math.nan

    def cells(self) -> tuple[str, ...]:
        """One line of the table."""
        first, tre = self.rows[0], [row.tre for row in self.ended]
        spread = f"{np.mean(tre):.2f} / {np.median(tre):.2f} / {max(tre):.2f}" if tre else "–"
        own = [row for row in self.ended if not math.isnan(row.affine)]
        ours = first.method == OURS
        return (
            f"{first.pair} {first.kind}",
            first.model,
            first.method,
            f"{self.successes}/{len(self.rows)}",
            str(len(self.rows) - len(tre)),
            spread,
            _figure(self.mean("cpu_s")),
            f"{max(row.peak_mb for row in self.ended):.0f}" if tre else "–",
            str(sum(row.status != "good" for row in self.ended)) if ours else "–",
            str(sum(row.status == "good" and not row.success for row in self.ended)) if ours else "–",
            _figure(float(np.mean([row.affine for row in own]))) if own else "–",
            f"{sum(row.tre > row.affine for row in own)}/{len(own)}" if own else "–",
        )


def summary(rows: Sequence[Row]) -> str:
    """Both tables; lengths in the pair's unit, mm or (ZF) µm."""
    return f"{_table(HEAD, [group.cells() for group in groups(rows)])}\nOurs beside the best peer:\n\n{best(rows)}"


def groups(rows: Sequence[Row]) -> list[Group]:
    """The rows of each method on each task, in the order in which they first stand."""
    order = {_part(row): n for n, row in reversed([*enumerate(rows)])}
    by_group = sorted(rows, key=lambda row: (order[_part(row)], row.case))
    return [Group(tuple(members)) for _, members in groupby(by_group, _part)]


def best(rows: Sequence[Row]) -> str:
    """For each task the best peer, and ours over it: below 1 is better for error and time.

    The best has the most successes, then the least mean error; both are compared on the cases that both have ended.
    """
    lines = []
    found = groups(rows)
    for task in dict.fromkeys(_part(group.rows[0])[:3] for group in found):
        members = [group for group in found if _part(group.rows[0])[:3] == task]
        ours = [group for group in members if group.rows[0].method == OURS]
        peers = [group for group in members if group.rows[0].method != OURS and group.ended]
        if ours and peers:
            lines.append(_beside(ours[0], min(peers, key=lambda peer: (-peer.successes, peer.mean("tre")))))
    return _table(BEST, lines)


def _beside(ours: Group, peer: Group) -> tuple[str, ...]:
    both = {row.case for row in ours.ended} & {row.case for row in peer.ended}
    mine, its = (Group(tuple(row for row in group.rows if row.case in both)) for group in (ours, peer))
    first = peer.rows[0]
    return (
        f"{first.pair} {first.kind}",
        first.model,
        first.method,
        f"{ours.successes}/{len(ours.rows)} / {peer.successes}/{len(peer.rows)}",
        *(_ratio(mine.mean(figure), its.mean(figure)) for figure in ("tre", "cpu_s")),
    )


def _ratio(ours: float, its: float) -> str:
    return f"{_figure(ours)} / {_figure(its)} = {_figure(ours / its) if its > 0 else '–'}"


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _part(row: Row) -> tuple[str, ...]:
    return row.pair, row.kind, row.model, row.method


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))
