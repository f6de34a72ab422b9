"""Training of ``dmf-lp``: degraded sources in, the LP-F of the clean ones out.

One network learns all points of the path from the pre-fusion of the degraded sources to the clean target; with ``times:
zero`` only its beginning, which is the one-step regression. A step sees slices or volumes, of two or three sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.task import Task, Validation
from experiments.tasks.pictures import Pictures, PicturesConfig, Piece, Scene, specimens, swapped
from experiments.tasks.recovery import judged
from fusion.diffusion.architecture import NetworkConfig, architecture_of, number_of
from fusion.diffusion.objective_config import ObjectiveConfig
from volumes.shapes import AnyArray, Shape3

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD_OUT = 1 << 20
"""Added to the seed of the pool: no training step has specimens of such a one."""


class PathConfig(Closed):
    """The way from the start to the target, as far as it is trained."""

    start: Literal["lpf", "mean", "noise"] = Field("lpf", description="of the degraded sources; or pure noise")
    times: Literal["zero", "uniform"] = Field("uniform", description="where on the path; zero: the one-step regression")
    at_start: float = Field(0.5, ge=0, le=1, description="share of the items at t = 0 among uniform times")
    sigma: float = Field(0.1, ge=0, allow_inf_nan=False, description="σ of the bridge, on the scale of the pictures")


class DMFLPTaskConfig(Closed):
    """What ``dmf-lp`` learns from, and what for."""

    kind: Literal["dmf-lp"] = "dmf-lp"
    network: NetworkConfig = NetworkConfig()
    weights: Path | None = Field(None, description="weights of this network to begin from; left out: none")
    pictures: PicturesConfig = PicturesConfig()
    path: PathConfig = PathConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    plane: tuple[int, int] = Field((96, 96), description="(y, x) of a slice")
    solid: tuple[int, int, int] = Field((24, 32, 32), description="(z, y, x) of a volume")
    planes: int = Field(10, gt=0, description="slices of a step")
    solids: int = Field(4, gt=0, description="volumes of a step")
    solid_share: float = Field(0.25, ge=0, le=1, description="share of the steps that see volumes")
    three_share: float = Field(0.2, ge=0, le=1, description="share of the steps with three sources")
    unknown_share: float = Field(0.3, ge=0, le=1, description="share of the sources whose modality is not told")
    seed: int = Field(0, ge=0, description="of the pool of pictures")
    specimens: int = Field(6, gt=0, description="phantoms held out to validate on")
    steps: tuple[int, ...] = Field((1,), min_length=1, description="numbers of steps to validate with")
    swapped: bool = Field(False, description="validate also with the other sources of another phantom, as a control")

    def build(self) -> Task:
        """The task; importing torch is left to the loop."""
        return DMFLPTask(self)


@dataclass(frozen=True)
class DMFLPTask:
    """Pieces of pictures, the network between them, and how well it recovers what it was not trained on."""

    config: DMFLPTaskConfig
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", Pictures(self.config.pictures, self.config.seed))

    def model(self) -> nn.Module:
        """The network, fresh or with the weights to begin from."""
        from fusion.diffusion.network import FusionNetwork
        from volumes.weights import load_into

        network = FusionNetwork(self.config.network)
        if self.config.weights:
            load_into(network, self.config.weights, architecture_of(self.config.network))
        return network

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """``clean``, ``degraded`` (batch, sources, z, y, x), ``modalities``, ``time`` (batch,) and ``noise``."""
        import torch

        rng = np.random.default_rng((seed, step))
        solid, sources = rng.random() < self.config.solid_share, 3 if rng.random() < self.config.three_share else 2
        shape: Shape3 = self.config.solid if solid else (1, *self.config.plane)
        count = self.config.solids if solid else self.config.planes
        pieces = self.pictures.pieces(rng, shape, sources, count)
        modalities = np.where(rng.random((count, sources)) < self.config.unknown_share, 0, _numbers(pieces))
        arrays = {
            "clean": np.stack([piece.clean for piece in pieces]),
            "degraded": np.stack([piece.degraded for piece in pieces]),
            "time": _times(self.config.path, count, rng),
            "noise": rng.standard_normal((count, 1, *shape), dtype=np.float32),
        }
        return {
            "modalities": torch.from_numpy(modalities.astype(np.int64)),
            **{name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()},
        }

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms of :mod:`fusion.diffusion.objective`."""
        from fusion.diffusion.bands import plan_of, prefused
        from fusion.diffusion.bridge import between
        from fusion.diffusion.network import Inputs
        from fusion.diffusion.objective import objective

        clean, sources = batch["clean"], batch["degraded"]
        plan = plan_of(clean.shape[2:], (1.0, 1.0, 1.0), self.config.network.halvings)
        target = prefused(clean, plan)
        start = _start(self.config.path, sources, batch["noise"], prefused(sources, plan))
        sigma = 0.0 if self.config.path.start == "noise" else self.config.path.sigma
        state = between(start, target, batch["time"], batch["noise"], sigma)
        fused = model(Inputs(sources, plan, batch["modalities"]), state, batch["time"]).fused
        undegraded = (clean == sources).flatten(1).all(1)
        return objective(self.config.objective, fused, target, clean, undegraded)

    def validate(self, model: nn.Module) -> Validation:
        """PSNR and SSIM of every held-out phantom against the LP-F of its clean sources, for each number of steps."""
        specimens = (self._rows(model, number, scene) for number, scene in enumerate(self._held_out))
        return judged(specimens, f"PSNR, {self.config.steps[0]} steps")

    def _rows(self, model: nn.Module, number: int, scene: Scene) -> tuple[dict[str, Tensor], Tensor]:
        found, target, start = _recovered(model, scene, self.config)
        rows = {"LP-F of the degraded": start, **{f"{n} steps": one for n, one in found.items()}}
        if self.config.swapped:
            other = self._held_out[(number + 1) % len(self._held_out)]
            rows["swapped"] = _recovered(model, swapped(scene, other), self.config)[0][self.config.steps[0]]
        return rows, target

    def metadata(self) -> Mapping[str, object]:
        """The architecture, and on which path it was trained."""
        return {
            "architecture": architecture_of(self.config.network),
            "path": self.config.path.model_dump(mode="json"),
            "format": "1",
        }

    @cached_property
    def _held_out(self) -> tuple[Scene, ...]:
        return specimens(self.config.seed + HELD_OUT, self.config.specimens, self.config.pictures.solid_size)


def _numbers(pieces: Sequence[Piece]) -> AnyArray:
    return np.array([[number_of(name) for name in piece.modalities] for piece in pieces])


def _times(path: PathConfig, count: int, rng: np.random.Generator) -> AnyArray:
    if path.times == "zero":
        return np.zeros(count)
    return np.where(rng.random(count) < path.at_start, 0.0, rng.random(count))


def _start(path: PathConfig, sources: Tensor, noise: Tensor, prefused: Tensor) -> Tensor:
    if path.start == "noise":
        return noise
    return prefused if path.start == "lpf" else sources.mean(1, keepdim=True)


def _recovered(model: nn.Module, scene: Scene, config: DMFLPTaskConfig) -> tuple[dict[int, Tensor], Tensor, Tensor]:
    """For each number of steps what the network makes of a specimen; the target; the pre-fusion of the degraded."""
    import torch

    from fusion.diffusion.bands import plan_of, prefused
    from fusion.diffusion.bridge import walk
    from fusion.diffusion.network import Inputs

    device = next(model.parameters()).device
    clean, sources = (torch.from_numpy(a)[None].to(device) for a in (scene.clean, scene.taken))
    plan = plan_of(clean.shape[2:], (1.0, 1.0, 1.0), config.network.halvings)
    modalities = torch.tensor([[number_of(name) for name in scene.modalities]], device=device)
    inputs, before = Inputs(sources, plan, modalities), prefused(sources, plan)
    noise = torch.randn(before.shape, generator=torch.Generator().manual_seed(0)).to(device)
    start = _start(config.path, sources, noise, before)

    def estimate(state: Tensor, time: float) -> Tensor:
        fused: Tensor = model(inputs, state, torch.full((1,), time, device=device)).fused
        return fused

    return {n: walk(estimate, start, n) for n in config.steps}, prefused(clean, plan), before
