"""What a training would cost, measured on one step, before anything is written."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from experiments.batches import batches
from experiments.learner import Learner, advance, learner, repeatable
from experiments.loop import LoopConfig
from experiments.task import Task

UNMEASURED = 1
"""Steps before the one that is measured: they allocate the optimiser's state and compile what is compiled at need."""


@dataclass(frozen=True)
class Rehearsal:
    """Sizes and costs.

    Parameters
    ----------
    parameters : trained numbers.
    weight_bytes : of the network, as it ships.
    optimiser_bytes : of AdamW's two moments and of the running mean, beside it.
    peak_bytes : most memory in use at once so far: the GPU's, or on a CPU the whole process's.
    batch_s : seconds to prepare the batches of one step, in one process.
    step_s : seconds of one step after that.
    steps : optimiser steps asked for.
    """

    parameters: int
    weight_bytes: int
    optimiser_bytes: int
    peak_bytes: int
    batch_s: float
    step_s: float
    steps: int

    @property
    def total_s(self) -> float:
        """Seconds of all steps, without validation, when batches are prepared by the training process."""
        return self.steps * (self.batch_s + self.step_s)


def rehearse(task: Task, loop: LoopConfig) -> Rehearsal:
    """Measure one step of a training; nothing is written.

    Raises
    ------
    ConfigError : there is no such device.
    StageError : the loss or its gradient is NaN or infinite.
    """
    with repeatable(loop):
        made = learner(task, loop)
        for number in range(UNMEASURED + 1):
            began = time.perf_counter()
            first = number * loop.accumulate
            drawn = list(batches(task, loop.seed, range(first, first + loop.accumulate), workers=0))
            prepared = time.perf_counter()
            advance(made, task, loop, number + 1, iter(drawn))
            _wait(loop)
            ended = time.perf_counter()
    return Rehearsal(
        parameters=sum(weight.numel() for weight in made.model.parameters() if weight.requires_grad),
        weight_bytes=sum(tensor.nbytes for tensor in made.model.state_dict().values()),
        optimiser_bytes=_beside(made),
        peak_bytes=_peak(loop),
        batch_s=prepared - began,
        step_s=ended - prepared,
        steps=loop.steps,
    )


def _beside(made: Learner) -> int:
    moments = (tensor.nbytes for state in made.optimiser.state.values() for tensor in state.values())
    return int(sum(moments) + sum(tensor.nbytes for tensor in made.ema.state_dict().values()))


def _wait(loop: LoopConfig) -> None:
    import torch

    if loop.device == "cuda":
        torch.cuda.synchronize()


def _peak(loop: LoopConfig) -> int:
    import torch

    if loop.device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024  # Linux counts in KiB
