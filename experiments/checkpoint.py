"""Checkpoints: all that a training needs to go on, in one safetensors file each; nothing in it is ever executed.

Weights, their running mean and the optimiser's state are tensors under ``model.``, ``ema.`` and ``optimiser.``;
counters are JSON in the header, beside a SHA-256 of all names and numbers. A file is whole or is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.learner import Learner
from volumes.errors import WeightsError
from volumes.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import AdamW

FORMAT = 1
"""Version of the file's layout."""


@dataclass(frozen=True)
class Counters:
    """How far a training is.

    Parameters
    ----------
    step : optimiser steps that are done.
    seconds : time that they took, over all runs.
    best : the best mean of the validation's criterion so far, None before the first.
    best_step : the step it was found at.
    """

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int | None = None


def path_of(folder: Path, step: int) -> Path:
    """The file of a step's checkpoint."""
    return folder / f"step-{step:09d}.safetensors"


def saved(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def save(folder: Path, learner: Learner, counters: Counters, owner: str, keep: int) -> Path:
    """Write a checkpoint, then remove all but the ``keep`` newest.

    Parameters
    ----------
    owner : what tells this training from others; a checkpoint of another owner is refused.

    Raises
    ------
    WeightsError : a weight is NaN or infinite; the checkpoints before are as they were.
    OutputError : the folder cannot be written, or the disk is full.
    """
    path = path_of(folder, counters.step)
    metadata = {"checkpoint": FORMAT, "owner": owner, "counters": asdict(counters)}
    save_weights(path, _tensors(learner), metadata)
    prune(folder, keep)
    return path


def prune(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the ``keep`` newest."""
    for old in saved(folder)[:-keep]:
        old.unlink(missing_ok=True)


def restore(path: Path, learner: Learner, owner: str) -> Counters:
    """Put a checkpoint's numbers into a learner, in place.

    Raises
    ------
    WeightsError : the file is truncated, changed, of another network or of another training.
    """
    try:
        tensors, metadata = load_weights(path)
    except WeightsError as error:
        raise _refused(path, error.problem, error.field, error.value) from error
    if metadata.get("checkpoint") != FORMAT:
        raise _refused(path, "is no checkpoint of this version", "checkpoint", metadata.get("checkpoint", "nothing"))
    if metadata.get("owner") != owner:
        raise _refused(path, "is of another training", "owner", metadata.get("owner"))
    _fill(path, learner, tensors)
    return Counters(**metadata["counters"])  # type: ignore[arg-type]


def _tensors(learner: Learner) -> dict[str, Tensor]:
    parts = _states(learner.model, learner.ema)
    return parts | {
        f"optimiser.{name}.{key}": value
        for name, state in _by_name(learner.model, learner.optimiser).items()
        for key, value in state.items()
    }


def _fill(path: Path, learner: Learner, tensors: Mapping[str, Tensor]) -> None:
    import torch

    wanted = _states(learner.model, learner.ema)
    moments, rest = _moments(tensors), {name: t for name, t in tensors.items() if not name.startswith("optimiser.")}
    off = sorted({n for n, _ in _shapes(wanted).items() ^ _shapes(rest).items()})
    weights = dict(learner.model.named_parameters())
    off += sorted(moments.keys() - weights.keys())
    if off:
        raise _refused(path, f"{len(off)} tensors are missing, too many or of another shape", off[0], None)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(rest[name])
    for name, state in moments.items():
        weight = weights[name]
        learner.optimiser.state[weight] = {
            # The moments lie in memory as their weight does; the count of steps stays on the CPU, as AdamW keeps it.
            key: torch.empty_like(weight).copy_(value) if value.shape == weight.shape and key != "step" else value
            for key, value in state.items()
        }


def _states(model: nn.Module, ema: nn.Module) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": tensor
        for part, module in (("model", model), ("ema", ema))
        for name, tensor in module.state_dict().items()
    }


def _by_name(model: nn.Module, optimiser: AdamW) -> dict[str, dict[str, Tensor]]:
    return {name: optimiser.state[weight] for name, weight in model.named_parameters() if weight in optimiser.state}


def _moments(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            weight, _, key = name.removeprefix("optimiser.").rpartition(".")
            found.setdefault(weight, {})[key] = tensor
    return found


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _refused(path: Path, problem: str, field: str | None, value: object) -> WeightsError:
    remedy = "Remove this file: training goes on from the checkpoint before it, or from the start"
    return WeightsError(problem, file=path, field=field, value=value, remedy=remedy)
