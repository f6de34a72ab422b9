"""Runs an experiment or a suite: its stages in order, what is written down about them, and the report at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments import fingerprint
from experiments.config import Config, Experiment, Suite, dump
from experiments.drawn import drawn
from experiments.provenance import input_files, versions
from experiments.run_folder import RunFolder, write_json
from experiments.stage import Done, Stage, Watcher, run_stages, unwatched
from experiments.stages.detect import detect_stage
from experiments.stages.evaluate import evaluate_stage
from experiments.stages.fuse import fuse_stage
from experiments.stages.link import link_stage
from experiments.stages.phantom import phantom_stage
from experiments.stages.register import register_stage
from experiments.stages.report import report_stage
from experiments.stages.segment import segment_stage
from volumes.atomic import write_text
from volumes.errors import StageError


@dataclass(frozen=True)
class Part:
    """One experiment and the folder it runs in."""

    experiment: Experiment
    folder: RunFolder


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Parameters
    ----------
    folder : the run's folder.
    report : the report in it.
    done : stage by stage of every part, in order; ``cached`` where nothing had to be done.
    """

    folder: Path
    report: Path
    done: tuple[tuple[str, Done], ...]

    @property
    def worked(self) -> tuple[str, ...]:
        """The stages that did work, as ``part/stage``."""
        return tuple(f"{part}/{done.stage}" for part, done in self.done if not done.cached)


def run(config: Config, out: Path, watch: Watcher = unwatched) -> RunResult:
    """Run every stage that is not done yet, then write the report.

    Parameters
    ----------
    config : an experiment or a suite, as :func:`experiments.config.load` gives it.
    out : the run's folder; created, or gone on with.
    watch : told of every stage's start and end.

    Raises
    ------
    OutputError : the folder is in use by another run, or not a run's.
    StageError : a stage's result may not be used; what came before it is kept and shown in the report.
    """
    folder = RunFolder(out)
    with folder.locked():
        parts = parts_of(config, folder)
        _write_manifest(config, folder, parts, "unfinished")
        write_text(folder.config, dump(config))
        done: list[tuple[str, Done]] = []
        failure: StageError | None = None
        for place, part in enumerate(parts):
            try:
                done += _drawing(part, watch)
                parts[place] = part = Part(drawn(part.experiment, part.folder), part.folder)
                done += _run(part, plan(part.experiment, part.folder), watch)
            except StageError as error:
                failure = failure or error
        reporting = report_stage(
            config, [(p.experiment, p.folder) for p in parts], folder, failure, [d.key for _, d in done]
        )
        done += [(config.name, d) for d in run_stages(config.name, [reporting], folder, watch)]
        _write_manifest(config, folder, parts, "failed" if failure else "complete", done, failure)
    if failure:
        raise failure
    return RunResult(out, folder.report, tuple(done))


def plan(experiment: Experiment, folder: RunFolder) -> list[Stage]:
    """The stages that an experiment asks for, in the order in which they run."""
    wanted = [
        (experiment.register_ or experiment.drift, register_stage),
        (experiment.fuse, fuse_stage),
        (experiment.segment, segment_stage),
        (experiment.segment or experiment.cells, detect_stage),
        (experiment.link, link_stage),
    ]
    stages = [make(experiment, folder) for asked, make in wanted if asked is not None]
    return [*stages, evaluate_stage(experiment, folder, tuple(stage.name for stage in stages))]


def _drawing(part: Part, watch: Watcher) -> list[tuple[str, Done]]:
    """The stage that draws a phantom; it runs before the others are planned, since they read what it draws."""
    simulated = part.experiment.phantom
    return _run(part, [phantom_stage(simulated, part.folder)], watch) if simulated else []


def _run(part: Part, stages: Sequence[Stage], watch: Watcher) -> list[tuple[str, Done]]:
    name = part.experiment.name
    return [(name, done) for done in run_stages(name, stages, part.folder, watch)]


def parts_of(config: Config, folder: RunFolder) -> list[Part]:
    """Each experiment and its folder: those of a suite have one of their name each."""
    if isinstance(config, Suite):
        return [Part(experiment, folder.part(name)) for name, experiment in config.parts.items()]
    return [Part(config, folder)]


def _write_manifest(
    config: Config,
    folder: RunFolder,
    parts: Sequence[Part],
    status: Literal["unfinished", "failed", "complete"],
    done: Sequence[tuple[str, Done]] = (),
    failure: StageError | None = None,
) -> None:
    """Written before the first stage and after the last: a run that was cut short never reads as complete."""
    inputs = {
        f"{part.experiment.name}/{name}": {"file": path.name, "sha256": fingerprint.of_path(path)}
        for part in parts
        for name, path in input_files(part.experiment).items()
    }
    write_json(
        folder.manifest,
        {
            "name": config.name,
            "status": status,
            "failure": str(failure) if failure else None,
            "versions": versions(),
            "inputs": inputs,
            "stages": {f"{part}/{d.stage}": d.key for part, d in done},
        },
    )
