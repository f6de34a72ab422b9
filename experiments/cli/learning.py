"""Verbs that train networks: ``train``, ``sweep`` and ``mean-weights``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from experiments.cli.app import Json, Overrides, app, pair, say


@app.command
def train(
    config: Path,
    *,
    out: Annotated[Path | None, Parameter(help="The training's folder; left out: results/NAME.")] = None,
    from_: Annotated[
        Path | None, Parameter(name="--from", help="A segmenter's weights to begin from; shipped: the package's own.")
    ] = None,
    freeze: Annotated[str | None, Parameter(help="The part of a segmenter that stays as it is: encoder.")] = None,
    labels: Annotated[
        Path | None, Parameter(help="A folder of NAME_image.* and NAME_labels.* for a segmenter to learn from.")
    ] = None,
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
    from experiments.fine_tuning import fine_tuned
    from experiments.progress import training
    from experiments.training import first_process
    from experiments.training import train as trained
    from experiments.training_config import load_training, resolved

    chosen = fine_tuned(load_training(config, dict(pair(item) for item in set_)), from_, freeze, labels)
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


@app.command
def sweep(
    config: Path,
    *,
    out: Annotated[Path | None, Parameter(help="The sweep's folder; left out: results/NAME.")] = None,
    set_: Overrides = (),
    jobs: Annotated[int, Parameter(help="Trainings at once.")] = 1,
    json: Json = False,
) -> None:
    """Train variants of a network with several seeds, and compare them unit by unit; run again, it goes on.

    Parameters
    ----------
    config
        The sweep's YAML file; --set changes all of its trainings.
    """
    from experiments.progress import training
    from experiments.sweep import sweep as swept
    from experiments.sweep_config import load_sweep
    from experiments.sweep_summary import as_json, as_text
    from volumes.errors import ConfigError

    if jobs < 1:
        raise ConfigError("must be 1 or more", field="--jobs", value=jobs)
    chosen = load_sweep(config)
    with training(quiet=json) as watch:
        done = swept(chosen, out or Path("results") / chosen.name, watch, jobs, dict(pair(item) for item in set_))
    facts = {"folder": str(done.folder), "status": done.status, "finished": done.finished, "trainings": done.trainings}
    say({**facts, "comparisons": as_json(done.comparisons)} if json else facts, json)
    if done.comparisons and not json:
        print(as_text(done.comparisons))


@app.command
def mean_weights(
    weights: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path,
    shares: Annotated[
        tuple[float, ...],
        Parameter(negative="", consume_multiple=True, help="Of each in the mean, in their order; left out: equal."),
    ] = (),
    store: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Parameter(help="Kind of number in the file; left out: that of the weights, or the least that holds them all."),
    ] = None,
    json: Json = False,
) -> None:
    """Average the weights of several trainings of one network, which began from common ones.

    Parameters
    ----------
    weights
        Two or more files that ``fusetrack train`` wrote.
    out
        A new file, .safetensors; none is overwritten.
    """
    from experiments.mean_weights import mean_weights as averaged

    parts = averaged(weights, shares, out, store)
    shown = [vars(part) if json else f"{part.share:.4g} of {part.file} ({part.sha256[:8]}…)" for part in parts]
    say({"weights": str(out), "mean_of": shown}, json)
