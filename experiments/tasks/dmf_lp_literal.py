"""Training of ``dmf-lp-literal``: noise on the LP-F of the sources; the network is shown the sources and says which.

The sources are those that a fuser will be given, degraded more often than not; x₀ is their own LP-F, as the letter
has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.task import Task, Validation
from experiments.tasks.pictures import Pictures, PicturesConfig, Scene, specimens
from experiments.tasks.recovery import judged
from fusion.diffusion.literal import INPUTS, architecture, net_inputs, prefused
from fusion.diffusion.literal_weights import LiteralWeights
from fusion.diffusion.unet_sizes import UNetSizes
from volumes.shapes import ChannelVoxels, Shape3

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

HELD_OUT = 1 << 20
"""Added to the seed of the pool: no training step has specimens of such a one."""
CUBIC = (1.0, 1.0, 1.0)


class LiteralTaskConfig(Closed):
    """What the letter learns from, and how much each term of its loss counts."""

    kind: Literal["dmf-lp-literal"] = "dmf-lp-literal"
    network: UNetSizes = UNetSizes()
    pictures: PicturesConfig = PicturesConfig()
    terms: LiteralWeights = LiteralWeights()
    plane: tuple[int, int] = Field((96, 96), description="(y, x) of a slice")
    solid: tuple[int, int, int] = Field((24, 32, 32), description="(z, y, x) of a volume")
    planes: int = Field(10, gt=0, description="slices of a step")
    solids: int = Field(4, gt=0, description="volumes of a step")
    solid_share: float = Field(0.25, ge=0, le=1, description="share of the steps that see volumes")
    three_share: float = Field(0.2, ge=0, le=1, description="share of the steps with three sources")
    seed: int = Field(0, ge=0, description="of the pool of pictures")
    specimens: int = Field(6, gt=0, description="phantoms held out to validate on")
    steps: int = Field(10, ge=1, le=1000, description="of the walk to validate with")

    def build(self) -> Task:
        """The task; importing torch is left to the loop."""
        return LiteralTask(self)


@dataclass(frozen=True)
class LiteralTask:
    """Sources, their LP-F with noise on it, and how near to the LP-F of the clean sources the walk back ends."""

    config: LiteralTaskConfig
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", Pictures(self.config.pictures, self.config.seed))

    def model(self) -> nn.Module:
        """The network, fresh."""
        return self.config.network.network(INPUTS)

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """``sources`` in [0, 1], ``target`` in [−1, 1], ``noise`` (batch, …, z, y, x) and ``time`` (batch,)."""
        import torch

        rng = np.random.default_rng((seed, step))
        solid, sources = rng.random() < self.config.solid_share, 3 if rng.random() < self.config.three_share else 2
        shape: Shape3 = self.config.solid if solid else (1, *self.config.plane)
        count = self.config.solids if solid else self.config.planes
        shown = [piece.degraded for piece in self.pictures.pieces(rng, shape, sources, count)]
        arrays = {
            "sources": np.stack(shown),
            "target": np.stack([2 * prefused(list(own), CUBIC)[None] - 1 for own in shown]),
            "noise": rng.standard_normal((count, 1, *shape), dtype=np.float32),
        }
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}
        return {**tensors, "time": torch.from_numpy(rng.integers(0, 1000, count))}

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms of :mod:`fusion.diffusion.literal_loss`."""
        from fusion.diffusion.literal_loss import literal_loss
        from fusion.diffusion.noise import alpha_bars, noised

        sources, noise, time = batch["sources"], batch["noise"], batch["time"]
        alpha_bar = alpha_bars().to(noise.device)[time]
        x = noised(batch["target"], noise, alpha_bar.view(-1, 1, 1, 1, 1))
        said = model(net_inputs(x, 2 * sources - 1), time).float()
        return literal_loss(said, noise, x, alpha_bar, sources, self.config.terms)

    def validate(self, model: nn.Module) -> Validation:
        """PSNR and SSIM of every held-out phantom against the LP-F of its clean sources."""
        device = next(model.parameters()).device
        specimens = (self._rows(model, scene, device) for scene in self._held_out)
        return judged(specimens, f"PSNR, {self.config.steps} steps")

    def _rows(self, model: nn.Module, scene: Scene, device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
        degraded = scene.clean if scene.taken is None else scene.taken
        true, before = (_prefused(own).to(device) for own in (scene.clean, degraded))
        walked = _walked(model, degraded, self.config.steps, device)
        return {"LP-F of the degraded": before, f"{self.config.steps} steps": walked}, true

    def metadata(self) -> Mapping[str, object]:
        """The architecture, and what its loss was."""
        return {
            "architecture": architecture(self.config.network),
            "terms": self.config.terms.model_dump(mode="json"),
            "format": "1",
        }

    @cached_property
    def _held_out(self) -> tuple[Scene, ...]:
        return specimens(self.config.seed + HELD_OUT, self.config.specimens, self.config.pictures.solid_size)


def _prefused(sources: ChannelVoxels) -> Tensor:
    import torch

    return torch.from_numpy(np.array(prefused(list(sources), CUBIC), np.float32))[None, None]


def _walked(model: nn.Module, sources: ChannelVoxels, steps: int, device: torch.device) -> Tensor:
    """From the noise of seed 0 to a fused picture in [0, 1]."""
    import torch

    from fusion.diffusion.noise import gaussian, sampled

    shown = 2 * torch.from_numpy(np.array(sources, np.float32))[None].to(device) - 1

    def predict(x: Tensor, time: Tensor) -> Tensor:
        said: Tensor = model(net_inputs(x, shown), time)
        return said.float()

    return (sampled(predict, gaussian(tuple(shown.shape[2:]), 0, device), "ddim", steps, "epsilon") + 1) / 2
