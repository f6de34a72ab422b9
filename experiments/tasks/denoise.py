"""The smallest task worth a look: noise taken off drawn balls. It shows the training loop in seconds, anywhere.

A residual network of two convolutions, ŷ = x + f(x) (Zhang et al. 2017, DnCNN, arXiv:1608.03981, shrunk); PSNR on
specimens that it is not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.task import Task, Validation
from volumes.shapes import AnyArray

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD_OUT = 1 << 40
"""Added to a specimen's number: no training step has such a one."""


class DenoiseTaskConfig(Closed):
    """Drawn balls in noise, and how large a network takes it off."""

    kind: Literal["denoise"] = "denoise"
    size: int = Field(16, ge=4, le=128, description="voxels along each edge of a specimen")
    noise: float = Field(0.2, gt=0, allow_inf_nan=False, description="standard deviation; a ball's centre is at 1")
    channels: int = Field(8, gt=0, description="of the network's hidden layer")
    batch: int = Field(4, gt=0, description="specimens of a step")
    specimens: int = Field(4, gt=0, description="held out to validate on")

    def build(self) -> Task:
        """The task; importing torch is left to the loop."""
        return Denoise(self)


@dataclass(frozen=True)
class Denoise:
    """Specimens (1, size, size, size) in [0, 1], their noisy selves, and the network between them."""

    config: DenoiseTaskConfig

    def model(self) -> nn.Module:
        """Two convolutions with a soft threshold between them."""
        from torch import nn

        width = self.config.channels
        return nn.Sequential(
            nn.Conv3d(1, width, 3, padding=1), nn.GELU(), nn.Conv3d(width, 1, 3, padding=1, bias=False)
        )

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """``clean`` and ``noisy``, (batch, 1, size, size, size)."""
        rng = np.random.default_rng((seed, step))
        return self._drawn(rng, self.config.batch)

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The mean squared error."""
        return {"squared error": (batch["noisy"] + model(batch["noisy"]) - batch["clean"]).square().mean()}

    def validate(self, model: nn.Module) -> Validation:
        """PSNR of every held-out specimen, in dB for a range of 1, and the first one's middle plane."""
        scores, images = {}, {}
        device = next(model.parameters()).device
        for number in range(self.config.specimens):
            drawn = self._drawn(np.random.default_rng((0, HELD_OUT + number)), 1)
            noisy, clean = drawn["noisy"].to(device), drawn["clean"].to(device)
            found = noisy + model(noisy)
            scores[f"specimen {number}"] = float(-10 * (found - clean).square().mean().log10())
            if number == 0:
                images = {"noisy": _plane(noisy), "denoised": _plane(found), "clean": _plane(clean)}
        return Validation({"PSNR": scores}, images, criterion="PSNR")

    def metadata(self) -> Mapping[str, object]:
        """The network's width."""
        return {"architecture": {"kind": "denoise", "channels": self.config.channels}, "format": "1"}

    def _drawn(self, rng: np.random.Generator, count: int) -> dict[str, Tensor]:
        import torch

        clean = np.stack([_balls(rng, self.config.size) for _ in range(count)])[:, None]
        noisy = clean + self.config.noise * rng.standard_normal(clean.shape)
        return {"clean": torch.from_numpy(clean).float(), "noisy": torch.from_numpy(noisy).float()}


def _balls(rng: np.random.Generator, size: int) -> AnyArray:
    """Three soft balls, exp(−r²/2σ²) each, the brightest at every voxel; (size, size, size)."""
    places = np.indices((size,) * 3).reshape(3, 1, -1)
    centres, widths = rng.uniform(0, size, (3, 3, 1)), size * rng.uniform(0.08, 0.2, (3, 1))
    light = np.exp(-((places - centres) ** 2).sum(0) / (2 * widths**2)).max(0)
    return np.asarray(light.reshape((size,) * 3))


def _plane(volume: Tensor) -> AnyArray:
    return np.asarray(volume[0, 0, volume.shape[2] // 2].clamp(0, 1).float().cpu().numpy())
