"""The running mean of a network's weights, which is smoother than any one step's and is what is used and shipped."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """The decay of a step, counted from 1: (1 + step)/(10 + step) at first, so that the start is soon forgotten."""
    return min(decay, (1 + step) / (10 + step))


def anchored(first: nn.Module, mean: nn.Module, anchor: float) -> nn.Module:
    """A network of the weights anchor · first + (1 − anchor) · mean; its buffers are those of ``mean``.

    Between the weights that a fine-tuning began from and those that it ended with, what was known before and what was
    learnt are both kept better than at either end (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    """
    if not anchor:
        return mean
    import torch

    out = copy.deepcopy(mean)
    with torch.no_grad():
        torch._foreach_lerp_([*out.parameters()], [*first.parameters()], anchor)
    return out


def follow(mean: nn.Module, model: nn.Module, decay: float) -> None:
    """One step of m ← d·m + (1 − d)·w for every weight, in place; buffers are copied."""
    import torch

    with torch.no_grad():
        kept: list[Tensor] = [*mean.parameters()]
        new: list[Tensor] = [*model.parameters()]
        torch._foreach_lerp_(kept, new, 1 - decay)
        for old, fresh in zip(mean.buffers(), model.buffers(), strict=True):
            old.copy_(fresh)
