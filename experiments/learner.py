"""What changes with every step of a training: the network, the running mean of its weights, and the optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.ema import decay_at, follow
from experiments.half_precision import hold_to_right_gradients
from experiments.loop import LoopConfig, learning_rate
from experiments.task import Task
from volumes.errors import ConfigError, StageError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn
    from torch.optim import AdamW


@dataclass(frozen=True)
class Step:
    """What a step was: its loss terms (means over its batches), learning rate, and length of the gradient."""

    terms: Mapping[str, float]
    learning_rate: float
    gradient: float

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return math.fsum(self.terms.values())


@dataclass(frozen=True)
class Learner:
    """A network on its device, wrapped for its processes and its precision; what it holds changes with every step.

    ``first`` stays as the weights were before the first step.
    """

    wrapped: nn.Module
    model: nn.Module
    ema: nn.Module
    first: nn.Module
    optimiser: AdamW
    accelerator: Accelerator


def learner(task: Task, loop: LoopConfig) -> Learner:
    """A fresh learner, its network seeded.

    Raises
    ------
    ConfigError : there is no such device; or bf16 on a CPU, and a part whose gradients are wrong then.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    require_device(loop)
    # Each training of a process has a device and a precision of its own; accelerate keeps those of the first.
    AcceleratorState._reset_state(reset_partial_state=True)
    precision = "bf16" if loop.precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=loop.device == "cpu")
    torch.manual_seed(loop.seed)
    model = task.model()
    if loop.channels_last:
        _channels_last(model)
    if loop.device == "cpu" and loop.precision == "bf16":
        hold_to_right_gradients(model)
    ema = copy.deepcopy(model).requires_grad_(False).eval().to(accelerator.device)
    first = copy.deepcopy(ema) if loop.anchor else ema
    wrapped = accelerator.prepare_model(model.train())
    return Learner(wrapped, model, ema, first, _optimiser(model, loop), accelerator)


def require_device(loop: LoopConfig) -> None:
    """Refuse a device that is not there.

    Raises
    ------
    ConfigError : there is no such device, and never is another one taken in its place.
    """
    import torch

    if loop.device == "cuda" and not torch.cuda.is_available():
        remedy = "Use --set loop.device=cpu, or a machine and a torch with CUDA"
        raise ConfigError("torch sees no such device here", field="loop.device", value="cuda", remedy=remedy)


def advance(learner: Learner, task: Task, loop: LoopConfig, step: int, batches: Iterator[Mapping[str, Tensor]]) -> Step:
    """Make step number ``step`` (from 1) in place, from the next ``accumulate`` batches.

    Raises
    ------
    StageError : the loss or its gradient is NaN or infinite; the weights are then those of the step before.
    """
    import torch

    rate = learning_rate(loop, step)
    for group in learner.optimiser.param_groups:
        group["lr"] = rate
    learner.optimiser.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for i in range(loop.accumulate):
        batch = next(batches)
        # Seeded anew, so that a network with dropout of its own goes on as if it had never been killed.
        torch.manual_seed(_seed(loop, step, i, learner.accelerator.process_index))
        last = i == loop.accumulate - 1
        with nullcontext() if last else learner.accelerator.no_sync(learner.wrapped):
            for name, value in _backward(learner, task, loop, step, batch).items():
                sums[name] = sums.get(name, 0.0) + value / loop.accumulate
    length = _length(learner, loop, step)
    learner.optimiser.step()
    follow(learner.ema, learner.model, decay_at(step, loop.ema))
    return Step(sums, rate, length)


@contextmanager
def repeatable(loop: LoopConfig) -> Iterator[None]:
    """While it lasts, torch has its threads and, on a CPU, only algorithms that give the same bits again."""
    import torch

    deterministic: Any = torch.utils.deterministic

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.random.get_rng_state()
    filling = deterministic.fill_uninitialized_memory
    torch.set_num_threads(loop.threads)
    torch.use_deterministic_algorithms(loop.device == "cpu")
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.random.set_rng_state(before[2])
        deterministic.fill_uninitialized_memory = filling


def _backward(
    learner: Learner, task: Task, loop: LoopConfig, step: int, batch: Mapping[str, Tensor]
) -> dict[str, float]:
    import torch

    moved = {name: tensor.to(learner.accelerator.device, non_blocking=True) for name, tensor in batch.items()}
    terms = task.loss(learner.wrapped, moved)
    values = dict(zip(terms, torch.stack([term.detach().float() for term in terms.values()]).tolist(), strict=True))
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        raise _diverged(step, f"the loss is {next(iter(bad.values()))}", ", ".join(bad))
    total: Any = sum(terms.values())
    learner.accelerator.backward(total / loop.accumulate)
    return values


def _length(learner: Learner, loop: LoopConfig, step: int) -> float:
    limit = math.inf if loop.clip is None else loop.clip
    length = float(learner.accelerator.clip_grad_norm_(learner.model.parameters(), limit))
    if not math.isfinite(length):
        raise _diverged(step, f"the gradient's length is {length}", "gradient")
    return length


def _diverged(step: int, problem: str, field: str) -> StageError:
    return StageError(
        f"training stopped at step {step}: {problem}",
        field=field,
        remedy="The last good checkpoint stays; train anew with a lower learning_rate, or look at that step's batch",
    )


def _seed(loop: LoopConfig, step: int, part: int, process: int) -> int:
    import numpy as np

    words = np.random.SeedSequence((loop.seed, step, part, process)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _optimiser(model: nn.Module, loop: LoopConfig) -> AdamW:
    from torch.optim import AdamW

    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim >= 2], "weight_decay": loop.weight_decay},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=loop.learning_rate, betas=loop.betas)


def _channels_last(model: nn.Module) -> None:
    import torch

    for weight in model.parameters():
        if weight.ndim == 5:
            weight.data = weight.data.to(memory_format=torch.channels_last_3d)
