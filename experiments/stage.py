"""One step of a run: what it needs, what it leaves, and whether it has been done already."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from experiments import fingerprint
from experiments.run_folder import RunFolder, read_json, write_json
from volumes.atomic import write_text
from volumes.errors import OutputError, StageError

log = logging.getLogger(__name__)

State = Literal["start", "done", "cached"]
Watcher = Callable[[str, str, State], None]
"""Told of (part, stage, state) as a run goes on: the progress bar."""


def unwatched(part: str, stage: str, state: State) -> None:
    """The watcher of a run that nobody looks at."""


@dataclass(frozen=True)
class Stage:
    """A step whose outputs are reused while its key stays the same.

    Parameters
    ----------
    name : file name of its marker.
    settings : its part of the config, as JSON.
    outputs : paths inside the run's folder that it writes.
    work : does the step.
    inputs : files from outside the run that it reads.
    after : names of the stages whose outputs it reads.
    code : packages that do its work.
    verdict : raises StageError when the outputs may not be used; asked after the work and when it is reused.
    """

    name: str
    settings: str
    outputs: tuple[str, ...]
    work: Callable[[], None]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    verdict: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Done:
    """What became of a stage: its key, the seconds its work took when it last ran, and whether it was reused."""

    stage: str
    key: str
    seconds: float
    cached: bool


def run_stages(
    part: str, stages: Sequence[Stage], folder: RunFolder, watch: Watcher, earlier: Mapping[str, str] | None = None
) -> list[Done]:
    """Run the stages in order, skipping those whose marker carries their key and whose outputs are untouched.

    Parameters
    ----------
    part : what the watcher is told.
    stages : those to run.
    folder : the run's, or of one part of it.
    watch : told of every stage's start and end.
    earlier : keys of stages that are done and not among ``stages``, by name.

    Raises
    ------
    StageError : an output is missing after its stage, or a verdict refuses it; later stages do not run.
    """
    done: dict[str, Done] = {}
    for stage in stages:
        before = [done[name].key if name in done else (earlier or {})[name] for name in stage.after]
        key = fingerprint.stage_key(stage.name, stage.settings, stage.inputs, before, stage.code)
        cached = _is_done(stage, key, folder)
        if not cached:
            watch(part, stage.name, "start")
            _forget(stage, stages, folder)
            _work(stage, key, folder)
        watch(part, stage.name, "cached" if cached else "done")
        done[stage.name] = Done(stage.name, key, read_json(folder.timings).get(stage.name, 0.0), cached)
        try:
            stage.verdict()
        except StageError:
            _forget(stage, stages, folder)
            raise
    return list(done.values())


def _forget(changed: Stage, stages: Sequence[Stage], folder: RunFolder) -> None:
    """Take the markers off all that rests on a stage, so that none passes for done should the run end before it is."""
    stale = {changed.name}
    for stage in stages:
        if stale & {*stage.after}:
            stale.add(stage.name)
            folder.marker(stage.name).unlink(missing_ok=True)


def _is_done(stage: Stage, key: str, folder: RunFolder) -> bool:
    marker = folder.marker(stage.name)
    if not marker.exists():
        return False
    try:
        written = read_json(marker)
    except OutputError:
        return False
    if written.get("key") != key:
        return False
    digests = written.get("outputs", {})
    intact = all((folder.path / out).exists() and _digest(folder, out) == digests.get(out) for out in stage.outputs)
    if not intact:
        log.warning("%s: an output of stage %s was changed or removed; it runs again", folder.path, stage.name)
    return intact


def _work(stage: Stage, key: str, folder: RunFolder) -> None:
    folder.marker(stage.name).unlink(missing_ok=True)
    start = time.perf_counter()
    stage.work()
    seconds = time.perf_counter() - start
    missing = [out for out in stage.outputs if not (folder.path / out).exists()]
    if missing:
        raise StageError("did not write what it promised", field=stage.name, value=missing)
    write_json(folder.timings, {**read_json(folder.timings), stage.name: round(seconds, 3)})
    digests = {out: _digest(folder, out) for out in stage.outputs}
    write_text(folder.marker(stage.name), json.dumps({"key": key, "outputs": digests}, indent=2) + "\n")


def _digest(folder: RunFolder, output: str) -> str:
    return fingerprint.of_path(folder.path / output)
