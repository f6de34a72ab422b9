"""Scores the results in a run's folder again, without running anything that made them."""

from __future__ import annotations

from pathlib import Path

from experiments.config import Experiment, load
from experiments.drawn import drawn
from experiments.pipeline import Part, parts_of, plan
from experiments.run_folder import RunFolder, read_json
from experiments.scoring.table import Figure
from experiments.stage import Watcher, run_stages, unwatched
from experiments.stages.evaluate import evaluated
from volumes.errors import ConfigError, OutputError


def rescored(path: Path, watch: Watcher = unwatched) -> dict[str, tuple[Figure, ...]]:
    """The figures of each part of a complete run that has a truth, made anew; its tables are replaced.

    Parameters
    ----------
    path : the run's folder.
    watch : told of every stage's start and end.

    Raises
    ------
    OutputError : the folder holds no run, one that did not come to its end, or one that is running.
    ConfigError : nothing in it has a truth to be scored against.
    """
    folder = RunFolder(path)
    if not (folder.config.is_file() and folder.manifest.is_file()):
        raise OutputError("holds no run", file=path, remedy="Give the folder that fusetrack run wrote")
    with folder.locked():
        status = read_json(folder.manifest).get("status")
        if status != "complete":
            raise OutputError(
                f"the run is {status}, so there is nothing whole to score",
                file=path,
                field="status",
                remedy="Finish it with fusetrack run",
            )
        parts = [Part(drawn(p.experiment, p.folder), p.folder) for p in parts_of(load(folder.config), folder)]
        scored = [part for part in parts if has_truth(part.experiment)]
        if not scored:
            raise ConfigError("holds no truth to score against", file=path, remedy="See docs/run.md for what is one")
        return {part.experiment.name: _rescored(part, watch) for part in scored}


def has_truth(experiment: Experiment) -> bool:
    """Whether anything in an experiment is known better than by its own stages."""
    lineage = experiment.cells is not None and experiment.cells.observed is not None
    displaced = any(source.displaced for source in experiment.sources.values())
    return bool(experiment.phantom or experiment.truth_labels or lineage or displaced)


def _rescored(part: Part, watch: Watcher) -> tuple[Figure, ...]:
    *before, scoring = plan(part.experiment, part.folder)
    earlier = {stage.name: _key(part.folder, stage.name) for stage in before}
    part.folder.marker(scoring.name).unlink(missing_ok=True)
    run_stages(part.experiment.name, [scoring], part.folder, watch, earlier)
    return evaluated(part.experiment, part.folder)


def _key(folder: RunFolder, stage: str) -> str:
    key = read_json(folder.marker(stage)).get("key")
    if not isinstance(key, str):
        raise OutputError(f"stage {stage} is not done", file=folder.path, remedy="Finish it with fusetrack run")
    return key
