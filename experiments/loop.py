"""How a network is trained: steps, learning rate, precision, and when to look and to save."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from experiments.entries import Closed


class LoopConfig(Closed):
    """The settings of the one training loop (AdamW, Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    steps: int = Field(10_000, gt=0, description="optimiser steps")
    learning_rate: float = Field(3e-4, gt=0, allow_inf_nan=False, description="the highest one")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate, after the warm-up")
    warmup: int = Field(100, ge=0, description="steps over which the learning rate grows linearly")
    final: float = Field(0.01, ge=0, le=1, description="share of the learning rate that the cosine ends at")
    weight_decay: float = Field(0.01, ge=0, allow_inf_nan=False, description="of weights; biases and gains have none")
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = Field(1.0, gt=0, description="longest gradient (2-norm over all weights); null: any")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the running mean of the weights, which is what ships")
    anchor: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share in what ships of the weights that the training began from; the rest is the mean",
    )
    precision: Literal["float32", "bf16"] = Field("float32", description="of the network's own arithmetic")
    accumulate: int = Field(1, gt=0, description="batches whose gradients make one step")
    seed: int = Field(0, ge=0)
    validate_every: int = Field(1000, gt=0, description="steps; the last step is always looked at")
    checkpoint_every: int = Field(500, gt=0, description="steps")
    keep: int = Field(2, gt=0, description="checkpoints that stay, the newest ones")
    log_every: int = Field(10, gt=0, description="steps between two lines of the log")
    workers: int = Field(0, ge=0, description="processes that prepare batches ahead; 0: the training process itself")
    threads: int = Field(1, gt=0, description="of torch on a CPU; with more, sums may differ in their last bits")
    budget_s: float | None = Field(None, gt=0, description="stop with a checkpoint after so many seconds")
    device: Literal["cpu", "cuda"] = "cpu"
    channels_last: bool = Field(False, description="keep 3-D kernels channels last, faster on many GPUs")


RUNNING = frozenset({"budget_s", "workers", "threads", "keep", "checkpoint_every", "log_every", "device"})
"""Settings that say how a training is run, not what is trained: they may change when it goes on."""


def learning_rate(loop: LoopConfig, step: int) -> float:
    """The learning rate of a step, counted from 1: linear warm-up, then constant or half a cosine.

    With u the share of the steps after the warm-up that are over, final + (1 − final)(1 + cos πu)/2 of the highest
    (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if step <= loop.warmup:
        return loop.learning_rate * step / loop.warmup
    if loop.schedule == "constant":
        return loop.learning_rate
    over = (step - loop.warmup) / max(loop.steps - loop.warmup, 1)
    return loop.learning_rate * (loop.final + (1 - loop.final) * (1 + math.cos(math.pi * min(over, 1.0))) / 2)


def identity(loop: LoopConfig) -> dict[str, Any]:
    """The settings that decide what is trained."""
    return loop.model_dump(mode="json", exclude=set(RUNNING))
