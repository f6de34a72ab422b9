"""The verb ``evaluate`` and those below it: figures for what is there already."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from experiments.cli.app import Json, app, say

evaluating = App(name="evaluate")
app.command(evaluating)


@evaluating.default
def evaluate(
    run: Path,
    *,
    json: Json = False,
) -> None:
    """Score a run's results again, against the truth that its config carries; nothing else is run.

    Parameters
    ----------
    run
        The folder of a complete run.
    """
    from dataclasses import asdict

    from experiments.progress import progress
    from experiments.rescore import rescored
    from experiments.scoring.table import as_text

    with progress(quiet=json) as watch:
        parts = rescored(run, watch)
    if json:
        say({part: [asdict(row) for row in rows] for part, rows in parts.items()}, json)
        return
    for part, rows in parts.items():
        print(f"{part}\n{as_text(rows)}" if rows else f"{part}\nno figure")
