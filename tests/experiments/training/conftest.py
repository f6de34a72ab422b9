"""A network of a few numbers, whose training takes no time: a filter, a normalisation, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from experiments.loop import LoopConfig
from experiments.task import Validation


@dataclass(frozen=True)
class Toy:
    """Learns y = 2x + 1 from pictures; all a loop must restore is in it: moments, buffers, dropout's own numbers."""

    width: int = 3
    fault: Callable[[int], float] = lambda _: 0.0

    def model(self) -> nn.Module:
        first, last = nn.Conv2d(1, self.width, 3, padding=1), nn.Conv2d(self.width, 1, 1)
        return nn.Sequential(first, nn.BatchNorm2d(self.width), nn.SiLU(), nn.Dropout(0.2), last)

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        x = torch.from_numpy(np.random.default_rng((seed, step)).normal(size=(2, 1, 6, 6)).astype(np.float32))
        return {"x": x, "y": 2 * x + 1 + self.fault(step)}

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        off = model(batch["x"]) - batch["y"]
        return {"square": off.square().mean(), "absolute": 0.1 * off.abs().mean()}

    def validate(self, model: nn.Module) -> Validation:
        units = {f"unit {i}": self.batch(10_000, i) for i in range(2)}
        scores = {name: float((model(b["x"]) - b["y"]).square().mean()) for name, b in units.items()}
        picture = model(units["unit 0"]["x"])[0, 0].clamp(0, 1).numpy()
        return Validation({"error": scores}, {"one": picture}, "error", higher_is_better=False)

    def metadata(self) -> Mapping[str, object]:
        return {"architecture": {"width": self.width}, "format": "1"}


@pytest.fixture
def toy() -> type[Toy]:
    """The toy task's class."""
    return Toy


@pytest.fixture
def loop() -> Callable[..., LoopConfig]:
    """A loop of seven steps that looks every second and saves every third; settings may be changed."""
    given = {"steps": 7, "warmup": 2, "validate_every": 2, "checkpoint_every": 3, "log_every": 1, "ema": 0.5}
    return lambda **changes: LoopConfig(**{**given, "learning_rate": 0.05, **changes})


@pytest.fixture
def tensors() -> Callable[[Path], dict[str, Tensor]]:
    """Reads a safetensors file."""

    def read(path: Path) -> dict[str, Tensor]:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping

    return read


@pytest.fixture
def same() -> Callable[[Mapping[str, Any], Mapping[str, Any]], bool]:
    """Whether two sets of tensors are the same, bit for bit."""

    def equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)

    return equal
