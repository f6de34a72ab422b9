"""Which machine a network runs on, and in which precision; nothing is chosen silently."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, TypeAlias

from volumes.errors import ConfigError

if TYPE_CHECKING:
    import torch

DeviceName: TypeAlias = Literal["cpu", "cuda"]
Precision: TypeAlias = Literal["float32", "bfloat16"]


def require_device(name: DeviceName) -> torch.device:
    """The device of that name.

    Raises
    ------
    ConfigError : torch sees no such device.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        remedy = "Use device: cpu, or install a build of torch for this GPU"
        raise ConfigError("torch sees no such device here", field="device", value=name, remedy=remedy)
    return torch.device(name)


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A block in which convolutions and products are computed in that precision."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
