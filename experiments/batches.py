"""A task's batches in their order, prepared ahead in processes of their own where asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from experiments.task import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Batches:
    """Batch i of a task as item i, as torch's loader asks for it."""

    task: Task
    seed: int

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(self.task.batch(self.seed, index))


def batches(
    task: Task, seed: int, numbers: range, workers: int, pinned: bool = False
) -> Iterator[Mapping[str, Tensor]]:
    """The batches of the given numbers, in order.

    Parameters
    ----------
    task, seed : whose batches.
    numbers : which ones.
    workers : processes that prepare them, two each ahead; 0: they are made when asked for.
    pinned : whether they lie in memory that a GPU reads at once.
    """
    if not workers:
        yield from (task.batch(seed, number) for number in numbers)
        return
    from torch.utils.data import DataLoader

    source = _Batches(task, seed)
    for number in numbers[:1]:
        source[number]  # what the task keeps for all its batches is made here, once, and shared by the processes
    options: dict[str, Any] = {"batch_size": None, "sampler": numbers, "num_workers": workers, "pin_memory": pinned}
    yield from DataLoader(cast("Any", source), **options)
