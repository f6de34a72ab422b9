"""The running mean of a network's weights, which is smoother than any one step's and is what is used and shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """The decay of a step, counted from 1: (1 + step)/(10 + step) at first, so that the start is soon forgotten."""
    return min(decay, (1 + step) / (10 + step))


def follow(mean: nn.Module, model: nn.Module, decay: float) -> None:
    """One step of m ← d·m + (1 − d)·w for every weight, in place; buffers are copied."""
    import torch

    with torch.no_grad():
        kept: list[Tensor] = [*mean.parameters()]
        new: list[Tensor] = [*model.parameters()]
        torch._foreach_lerp_(kept, new, 1 - decay)
        for old, fresh in zip(mean.buffers(), model.buffers(), strict=True):
            old.copy_(fresh)
