"""Verbs that train networks: ``train`` and ``sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from experiments.cli.app import Json, Overrides, app, pair, say


@app.command
def train(
    config: Path,
    *,
    out: Annotated[Path | None, Parameter(help="The training's folder; left out: results/NAME.")] = None,
    set_: Overrides = (),
    dry_run: Annotated[bool, Parameter(negative="", help="Measure one step, and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Train a network; run again, it goes on where it was killed or its budget of time ended.

    Parameters
    ----------
    config
        The training's YAML file.
    """
    from experiments.progress import training
    from experiments.training import first_process
    from experiments.training import train as trained
    from experiments.training_config import load_training, resolved

    chosen = load_training(config, dict(pair(item) for item in set_))
    if dry_run:
        from dataclasses import asdict

        from experiments.rehearsal import rehearse

        found = rehearse(chosen.task.build(), chosen.loop)
        facts = {**asdict(found), "total_s": found.total_s}
        say({name: value if json else f"{value:,.4g}" for name, value in facts.items()}, json)
        return
    folder = out or Path("results") / chosen.name
    with training(quiet=json or not first_process()) as watch:
        done = trained(chosen.task.build(), chosen.loop, folder, watch, resolved(chosen))
    means = done.model.get("means", {})
    say(
        {
            "folder": str(done.folder),
            "status": done.status,
            "step": done.step,
            "steps": chosen.loop.steps,
            **{name: value if json else f"{value:.4g}" for name, value in means.items() if value is not None},
            "weights": str(done.weights or ""),
        },
        json,
    )
