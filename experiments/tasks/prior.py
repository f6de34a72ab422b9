"""Training of the prior of ``ddfm``: v-prediction on clean single pictures, slices and volumes.

x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε with pictures x₀ in [−1, 1]; the network says v = √ᾱ_t ε − √(1 − ᾱ_t) x₀, and the loss is
the mean squared error of that (Salimans & Ho 2022, "Progressive distillation for fast sampling of diffusion models"),
which weighs times so that neither end of the path rules.
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
from experiments.tasks.pictures import Pictures, PicturesConfig
from experiments.tasks.recovery import middle_plane, recovery
from fusion.diffusion.ddfm import PRIOR_SIZES, prior_architecture
from fusion.diffusion.unet_sizes import UNetSizes
from volumes.shapes import AnyArray, Shape3

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD_OUT = 1 << 20
"""Added to the seed of the pool: no training step has pictures of such a one."""
LOOKED_AT = (100, 300, 500, 700)
"""Times of the path at which the network is asked to take the noise off."""
SAMPLE_STEPS = 25


class PriorTaskConfig(Closed):
    """What a prior learns from."""

    kind: Literal["prior"] = "prior"
    network: UNetSizes = PRIOR_SIZES
    pictures: PicturesConfig = PicturesConfig()
    plane: tuple[int, int] = Field((96, 96), description="(y, x) of a slice")
    solid: tuple[int, int, int] = Field((24, 32, 32), description="(z, y, x) of a volume")
    planes: int = Field(16, gt=0, description="slices of a step")
    solids: int = Field(6, gt=0, description="volumes of a step")
    solid_share: float = Field(0.25, ge=0, le=1, description="share of the steps that see volumes")
    seed: int = Field(0, ge=0, description="of the pool of pictures")
    held_out: int = Field(8, gt=0, description="slices, and as many volumes, to validate on")

    def build(self) -> Task:
        """The task; importing torch is left to the loop."""
        return PriorTask(self)


@dataclass(frozen=True)
class PriorTask:
    """Clean pictures with noise on them, and the network that says which."""

    config: PriorTaskConfig
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        undegraded = self.config.pictures.model_copy(update={"clean_share": 1.0})
        object.__setattr__(self, "pictures", Pictures(undegraded, self.config.seed))

    def model(self) -> nn.Module:
        """The network, fresh."""
        return self.config.network.network(inputs=1)

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """``clean`` in [−1, 1], ``noise`` (batch, 1, z, y, x) and ``time`` (batch,) from 0 to 999."""
        import torch

        rng = np.random.default_rng((seed, step))
        solid = rng.random() < self.config.solid_share
        shape: Shape3 = self.config.solid if solid else (1, *self.config.plane)
        count = self.config.solids if solid else self.config.planes
        clean = _drawn(self.pictures, rng, shape, count)
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        return {
            "clean": torch.from_numpy(clean),
            "noise": torch.from_numpy(noise),
            "time": torch.from_numpy(rng.integers(0, 1000, count)),
        }

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The mean squared error of v."""
        from fusion.diffusion.noise import alpha_bars, noised, velocity

        clean, noise, time = batch["clean"], batch["noise"], batch["time"]
        at = alpha_bars().to(clean.device)[time].view(-1, 1, 1, 1, 1)
        said = model(noised(clean, noise, at), time)
        return {"velocity": (said - velocity(clean, noise, at)).square().mean()}

    def validate(self, model: nn.Module) -> Validation:
        """PSNR and SSIM of held-out pictures whose noise is taken off in one step from several times; a sample."""
        from fusion.diffusion.noise import gaussian, sampled

        scores: dict[str, dict[str, float]] = {}
        images: dict[str, AnyArray] = {}
        device = next(model.parameters()).device
        for number, clean in enumerate(self._held_out):
            found = {time: _cleaned(model, clean.to(device), time) for time in LOOKED_AT}
            each = [recovery(one, (clean.to(device) + 1) / 2) for one in found.values()]
            for metric in each[0]:
                own = scores.setdefault(metric, {})
                own[f"picture {number}"] = float(np.mean([one[metric] for one in each]))
            if number == 0:
                images = {f"from t = {time}": middle_plane(one) for time, one in found.items()}
                images["clean"] = middle_plane((clean + 1) / 2)
        start = gaussian((1, *self.config.plane), 0, device)
        images["sample"] = middle_plane((sampled(model, start, "ddim", SAMPLE_STEPS, "v_prediction") + 1) / 2)
        return Validation(scores, images, criterion="PSNR")

    def metadata(self) -> Mapping[str, object]:
        """The architecture."""
        return {"architecture": prior_architecture(self.config.network), "format": "1"}

    @cached_property
    def _held_out(self) -> list[Tensor]:
        import torch

        number = self.config.held_out
        kept = {"planes": number, "solids": number, "specimens": 0, "stacks": (), "clean_share": 1.0}
        pictures = Pictures(self.config.pictures.model_copy(update=kept), self.config.seed + HELD_OUT)
        rng = np.random.default_rng(HELD_OUT)
        shapes: tuple[Shape3, Shape3] = ((1, *self.config.plane), self.config.solid)
        drawn = [_drawn(pictures, rng, shape, 1) for shape in shapes for _ in range(number)]
        return [torch.from_numpy(one) for one in drawn]


def _drawn(pictures: Pictures, rng: np.random.Generator, shape: Shape3, count: int) -> AnyArray:
    """Clean pictures (count, 1, z, y, x) in [−1, 1], float32."""
    pieces = pictures.pieces(rng, shape, sources=1, count=count)
    return np.asarray(2 * np.stack([piece.clean for piece in pieces]) - 1, np.float32)


def _cleaned(model: nn.Module, clean: Tensor, time: int) -> Tensor:
    """x̂₀ in [0, 1] of a picture with the noise of that time on it."""
    import torch

    from fusion.diffusion.noise import alpha_bars, clean_estimate, gaussian, noised

    at = alpha_bars()[time].to(clean.device)
    x = noised(clean, gaussian(tuple(clean.shape[2:]), time, clean.device), at)
    said = model(x, torch.tensor([time], device=clean.device))
    return (clean_estimate(said, x, at, "v_prediction") + 1) / 2
