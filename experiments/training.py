"""The one training loop, for every network: a task in, its weights and the record of how they came to be out.

A run that is killed at any moment and started again ends with the same bits on a CPU as one that never was: batches
depend on their number alone, and a checkpoint is one file that is whole or is not there.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from experiments import checkpoint
from experiments.batches import batches
from experiments.checkpoint import Counters
from experiments.ema import anchored
from experiments.learner import Learner, advance, learner, repeatable, require_device
from experiments.loop import LoopConfig
from experiments.run_folder import write_json
from experiments.task import Task, Validation
from experiments.training_folder import TrainingFolder, owner
from experiments.training_log import TrainingLog, finite, last_terms, logging_to
from volumes.weights import save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

Watch: TypeAlias = Callable[[str, int, int], None]
"""Told of (what the loss is, steps done, steps in all)."""


@dataclass(frozen=True)
class Trained:
    """What a call of :func:`train` left.

    Parameters
    ----------
    folder : where it lies.
    status : ``finished``, or ``stopped`` when the budget of time was used up: run it again to go on.
    step : optimiser steps that are done.
    weights : the finished weights; None while it is not finished.
    model : what ``model.json`` says; empty while it is not finished.
    """

    folder: Path
    status: Literal["finished", "stopped"]
    step: int
    weights: Path | None
    model: Mapping[str, Any]


def train(
    task: Task,
    loop: LoopConfig,
    folder: str | Path,
    watch: Watch | None = None,
    config: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a task's network in a folder; go on where a killed or stopped run of the same config was.

    Parameters
    ----------
    task : the network, its data, loss and validation.
    loop : how it is trained.
    folder : missing, empty, or of the same config; a finished one is left as it is.
    watch : told of every step; None: nobody looks.
    config : what is written down as ``experiment.yaml`` and tells this training from others, ``loop`` among it; left
        out: the loop's settings and the task's metadata.

    Raises
    ------
    ConfigError : there is no such device.
    OutputError : another training holds the folder, or it is another config's.
    StageError : the loss or its gradient is NaN or infinite; the last good checkpoint stays.
    WeightsError : a checkpoint is damaged, or not of this training.
    """
    require_device(loop)
    place = TrainingFolder(Path(folder))
    known = dict(config or {"loop": loop.model_dump(mode="json"), "task": dict(task.metadata())})
    with ExitStack() as stack:
        if first_process():
            stack.enter_context(place.held(known))
        done = place.finished()
        if done:
            return Trained(place.path, "finished", done["steps"], place.weights, done)
        stack.enter_context(repeatable(loop))
        made = learner(task, loop)
        trained = _run(_Training(task, loop, made, place, owner(known)), watch)
        made.accelerator.end_training()
        return trained


def first_process() -> bool:
    """Whether this is the process that writes: the only one, or the first that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class _Training:
    """One training under way."""

    task: Task
    loop: LoopConfig
    learner: Learner
    place: TrainingFolder
    owner: str


def _run(run: _Training, watch: Watch | None) -> Trained:
    counters = _resumed(run)
    began = time.monotonic() - counters.seconds
    stop = None if run.loop.budget_s is None else time.monotonic() + run.loop.budget_s
    found: Validation | None = None
    with _log(run, counters.step) as log:
        source = _batches(run, counters.step)
        for step in range(counters.step + 1, run.loop.steps + 1):
            made = advance(run.learner, run.task, run.loop, step, source)
            counters = replace(counters, step=step, seconds=time.monotonic() - began)
            if watch:
                watch(f"loss {made.loss:.4g}", step, run.loop.steps)
            if log and (step % run.loop.log_every == 0 or step == run.loop.steps):
                log.step(step, made, counters.seconds)
            if step % run.loop.validate_every == 0 or step == run.loop.steps:
                found, counters = _validated(run, counters, log)
            over = _agreed(run, stop is not None and time.monotonic() > stop)
            if step % run.loop.checkpoint_every == 0 or step == run.loop.steps or over:
                _save(run, counters)
            if over and step < run.loop.steps:
                return Trained(run.place.path, "stopped", step, None, {})
    return _finished(run, counters, found)


def _resumed(run: _Training) -> Counters:
    found = checkpoint.saved(run.place.checkpoints)
    counters = checkpoint.restore(found[-1], run.learner, run.owner) if found else Counters()
    if run.learner.accelerator.is_main_process:
        checkpoint.prune(run.place.checkpoints, run.loop.keep)  # a run killed just after saving had no time to
    run.learner.accelerator.wait_for_everyone()
    return counters


def _batches(run: _Training, step: int) -> Iterator[Mapping[str, Tensor]]:
    """Those of this process: batches are dealt out in turn, so that as many of them make a step anywhere."""
    processes, own = run.learner.accelerator.num_processes, run.learner.accelerator.process_index
    numbers = range(step * run.loop.accumulate, run.loop.steps * run.loop.accumulate)
    dealt = range(numbers.start * processes + own, numbers.stop * processes, processes)
    return batches(run.task, run.loop.seed, dealt, run.loop.workers, pinned=run.loop.device == "cuda")


def _validated(run: _Training, counters: Counters, log: TrainingLog | None) -> tuple[Validation | None, Counters]:
    """Look at the running mean of the weights, in the first process; keep it where it is the best so far."""
    found = None
    if log:
        found = _validation(run)
        log.validation(counters.step, found, counters.seconds)
        if found.better_than(counters.best):
            counters = replace(counters, best=found.means[found.criterion], best_step=counters.step)
            _write_weights(run, run.place.best, counters.step)
    run.learner.accelerator.wait_for_everyone()
    return found, counters


def _validation(run: _Training) -> Validation:
    import torch

    torch.manual_seed(run.loop.seed)
    with torch.no_grad():
        return run.task.validate(_shipped(run))


def _shipped(run: _Training) -> nn.Module:
    return anchored(run.learner.first, run.learner.ema, run.loop.anchor)


def _agreed(run: _Training, over: bool) -> bool:
    """Whether the first process says that time is up: all of them stop at one step, or none does."""
    if run.loop.budget_s is None or run.learner.accelerator.num_processes == 1:
        return over
    import torch
    from accelerate.utils import broadcast

    return bool(broadcast(torch.tensor(float(over), device=run.learner.accelerator.device)).item())


def _save(run: _Training, counters: Counters) -> None:
    if run.learner.accelerator.is_main_process:
        checkpoint.save(run.place.checkpoints, run.learner, counters, run.owner, run.loop.keep)
    run.learner.accelerator.wait_for_everyone()


def _finished(run: _Training, counters: Counters, found: Validation | None) -> Trained:
    """Write the weights and, last of all, what is known of them."""
    if run.learner.accelerator.is_main_process:
        _write_weights(run, run.place.weights, counters.step)
        # A run that was killed just before this has its last validation in the log only: it is made again.
        write_json(run.place.model, _model(run, counters, found or _validation(run)))
    run.learner.accelerator.wait_for_everyone()
    return Trained(run.place.path, "finished", counters.step, run.place.weights, run.place.finished())


def _write_weights(run: _Training, path: Path, step: int) -> None:
    save_weights(path, _shipped(run), {**run.task.metadata(), "step": step, "averaged": run.loop.ema})


def _model(run: _Training, counters: Counters, found: Validation) -> dict[str, Any]:
    import torch

    from experiments.provenance import versions

    weights = run.place.weights.read_bytes()
    return {
        "status": "finished",
        "steps": counters.step,
        "parameters": sum(weight.numel() for weight in run.learner.model.parameters()),
        "weights": {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        "metadata": dict(run.task.metadata()),
        "criterion": found.criterion,
        "higher_is_better": found.higher_is_better,
        "best": {"step": counters.best_step, "value": counters.best},
        "means": finite({"": found.means})[""],
        "validation": finite(found.scores),
        "last_terms": last_terms(run.place.log),
        "seconds": round(counters.seconds, 3),
        "device": torch.cuda.get_device_name() if run.loop.device == "cuda" else "cpu",
        "processes": run.learner.accelerator.num_processes,
        "versions": {**versions(), "torch": str(torch.__version__)},
    }


@contextmanager
def _log(run: _Training, step: int) -> Iterator[TrainingLog | None]:
    """The log, in the first process alone."""
    if not run.learner.accelerator.is_main_process:
        yield None
        return
    with logging_to(run.place.log, run.place.tensorboard, step) as log:
        yield log
