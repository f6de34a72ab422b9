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
from experiments.tasks.pictures import Pictures, PicturesConfig, Scene, specimens, swapped
from experiments.tasks.recovery import judged
from fusion.diffusion.literal import INPUTS, architecture, net_inputs, prefused
from fusion.diffusion.literal_weights import LiteralWeights
from fusion.diffusion.unet_sizes import UNetSizes
from volumes.shapes import ChannelVoxels, Shape3

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD_OUT = 1 << 20
"""Added to the seed of the pool: no training step has specimens of such a one."""
CUBIC = (1.0, 1.0, 1.0)
HALF = 0.5
"""Share of the walk that is left to one that starts from LP-F with noise on it."""


class LiteralTaskConfig(Closed):
    """What the letter learns from, and how much each term of its loss counts."""

    kind: Literal["dmf-lp-literal"] = "dmf-lp-literal"
    network: UNetSizes = UNetSizes()
    pictures: PicturesConfig = PicturesConfig()
    prediction: Literal["epsilon", "v_prediction"] = Field("epsilon", description="what the network says: ε, or v")
    terms: LiteralWeights = LiteralWeights()
    plane: tuple[int, int] = Field((96, 96), description="(y, x) of a slice")
    solid: tuple[int, int, int] = Field((24, 32, 32), description="(z, y, x) of a volume")
    planes: int = Field(10, gt=0, description="slices of a step")
    solids: int = Field(4, gt=0, description="volumes of a step")
    solid_share: float = Field(0.25, ge=0, le=1, description="share of the steps that see volumes")
    three_share: float = Field(0.2, ge=0, le=1, description="share of the steps with three sources")
    seed: int = Field(0, ge=0, description="of the pool of pictures")
    specimens: int = Field(6, gt=0, description="phantoms held out to validate on")
    steps: tuple[int, ...] = Field((10,), min_length=1, description="numbers of steps to validate with")
    swapped: bool = Field(False, description="validate also with the other sources of another phantom, as a control")

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
        from fusion.diffusion.noise import alpha_bars, noise_estimate, noised

        sources, noise, time = batch["sources"], batch["noise"], batch["time"]
        alpha_bar = alpha_bars().to(noise.device)[time]
        at = alpha_bar.view(-1, 1, 1, 1, 1)
        x = noised(batch["target"], noise, at)
        said = model(net_inputs(x, 2 * sources - 1), time).float()
        estimate = noise_estimate(said, x, at, self.config.prediction)
        return literal_loss(estimate, noise, x, alpha_bar, sources, self.config.terms)

    def validate(self, model: nn.Module) -> Validation:
        """PSNR and SSIM of every held-out phantom against the LP-F of its clean sources, for each number of steps.

        All walks start from noise alone, but for one that starts half-way, from LP-F with noise on it.
        """
        specimens = (self._rows(model, number, scene) for number, scene in enumerate(self._held_out))
        return judged(specimens, f"PSNR, {self.config.steps[0]} steps")

    def _rows(self, model: nn.Module, number: int, scene: Scene) -> tuple[dict[str, Tensor], Tensor]:
        device, first = next(model.parameters()).device, self.config.steps[0]
        true, before = (_prefused(own).to(device) for own in (scene.clean, _taken(scene)))
        rows = {"LP-F of the degraded": before}
        rows |= {f"{n} steps": self._walked(model, scene, n, 1.0) for n in self.config.steps}
        rows["from LP-F with noise"] = self._walked(model, scene, first, HALF)
        if self.config.swapped:
            other = self._held_out[(number + 1) % len(self._held_out)]
            rows["swapped"] = self._walked(model, swapped(scene, other), first, 1.0)
        return rows, true

    def _walked(self, model: nn.Module, scene: Scene, steps: int, strength: float) -> Tensor:
        """From the noise of seed 0, or LP-F with it, to a fused picture in [0, 1], as the fuser walks."""
        import torch

        from fusion.diffusion.noise import first_alpha_bar, gaussian, noised, sampled

        device = next(model.parameters()).device
        shown = 2 * torch.from_numpy(np.array(_taken(scene), np.float32))[None].to(device) - 1
        start = gaussian(tuple(shown.shape[2:]), 0, device)
        if strength < 1:
            first = first_alpha_bar("ddim", steps, strength).to(device)
            start = noised(2 * _prefused(_taken(scene)).to(device) - 1, start, first)

        def predict(x: Tensor, time: Tensor) -> Tensor:
            said: Tensor = model(net_inputs(x, shown), time)
            return said.float()

        return (sampled(predict, start, "ddim", steps, self.config.prediction, strength=strength) + 1) / 2

    def metadata(self) -> Mapping[str, object]:
        """The architecture, and what its loss was."""
        return {
            "architecture": architecture(self.config.network, self.config.prediction),
            "terms": self.config.terms.model_dump(mode="json"),
            "format": "1",
        }

    @cached_property
    def _held_out(self) -> tuple[Scene, ...]:
        return specimens(self.config.seed + HELD_OUT, self.config.specimens, self.config.pictures.solid_size)


def _prefused(sources: ChannelVoxels) -> Tensor:
    import torch

    return torch.from_numpy(np.array(prefused(list(sources), CUBIC), np.float32))[None, None]


def _taken(scene: Scene) -> ChannelVoxels:
    return scene.clean if scene.taken is None else scene.taken
