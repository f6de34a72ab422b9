"""Verbs that draw, fuse, segment, link and report in one go: ``run``, ``demo`` and ``phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from experiments.cli.app import Json, Overrides, app, pair, say

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.pipeline import RunResult


@app.command
def run(
    config: Path,
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder; left out: results/NAME.")] = None,
    set_: Overrides = (),
    json: Json = False,
) -> None:
    """Run an experiment: register, fuse, segment, link, evaluate and report, as its YAML asks.

    Parameters
    ----------
    config
        The experiment's YAML file.
    """
    from experiments.config import load

    _run(load(config, dict(pair(item) for item in set_)), out, json)


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder; left out: results/demo.")] = None,
    json: Json = False,
) -> None:
    """Run the demonstration on real data that comes with the package; takes a few minutes."""
    import importlib.resources

    from experiments.config import load

    with importlib.resources.as_file(importlib.resources.files("configs") / "demo.yaml") as path:
        _run(load(path), out, json)


@app.command
def phantom(
    config: Path,
    *,
    out: Path,
    set_: Overrides = (),
    json: Json = False,
) -> None:
    """Draw a phantom: one specimen before several instruments, and the exact truth beside what they record.

    Parameters
    ----------
    config
        The phantom's YAML file.
    out
        A folder that is missing, empty, or holds a phantom, which is then replaced.
    """
    from experiments.phantom_file import load_phantom
    from experiments.progress import drawing
    from phantom.recording import write_phantom

    chosen = load_phantom(config, dict(pair(item) for item in set_))
    with drawing(quiet=json) as watch:
        truth = write_phantom(chosen, out, watch)
    files = [str(recorded.file) for recorded in truth.instruments.values()]
    say({"folder": str(out), "instruments": [*truth.instruments], "files": files}, json)


def _run(config: Config, out: Path | None, as_json: bool) -> None:
    from experiments.pipeline import run as run_pipeline
    from experiments.progress import progress

    folder = out or Path("results") / config.name
    with progress(quiet=as_json) as watch:
        result = run_pipeline(config, folder, watch)
    say(_facts(result), as_json)


def _facts(result: RunResult) -> dict[str, Any]:
    return {"report": str(result.report), "folder": str(result.folder), "stages_run": list(result.worked)}
