"""Training of the learnt segmenter: made-up nuclei, phantoms, and volumes that somebody has labelled.

All come on the network's grid, isotropic and with a typical cell of one size; how large a cell is there still varies,
since nobody knows it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.task import Task, Validation
from experiments.tasks.cell_labelled import Labelled, LabelledConfig
from experiments.tasks.cell_phantom import PhantomPiecesConfig, drawn_phantoms
from experiments.tasks.cell_pieces import Piece, filled, shown
from experiments.tasks.cell_pool import Pool, PoolConfig
from experiments.tasks.cell_validation import HeldOut, judged
from tracking3d.segment.network.architecture import ArchitectureConfig, UNetConfig, architecture_of

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD_OUT = 1 << 40
"""Added to a specimen's number: no training step has such a one."""


class SegmenterTaskConfig(Closed):
    """What a segmenter learns from."""

    kind: Literal["segmenter"] = "segmenter"
    network: ArchitectureConfig = UNetConfig()
    weights: Literal["shipped"] | Path | None = Field(
        None, description="weights of this network to begin from; shipped: those of the package; left out: none"
    )
    freeze: Literal["encoder"] | None = Field(None, description="the part of the network that stays as it is")
    pool: PoolConfig = PoolConfig()
    labelled: tuple[LabelledConfig, ...] = Field((), description="real volumes with labels")
    phantoms: tuple[PhantomPiecesConfig, ...] = Field((), description="phantoms, which are labelled volumes, too")
    labelled_share: float = Field(0.3, ge=0, le=1, description="share of the pieces that are cut from both, if any")
    crop: int = Field(64, ge=16, multiple_of=8, description="voxels along each edge of a piece")
    batch: int = Field(4, gt=0, description="pieces of a step")
    thin: float = Field(0.12, ge=0, le=1, description="share of the pieces that are thin stacks")
    seed: int = Field(0, ge=0, description="of the pool of specimens")
    held_out: int = Field(12, gt=0, description="specimens to validate on")

    def build(self) -> Task:
        """The task; importing torch is left to the loop."""
        return SegmenterTask(self)


@dataclass(frozen=True)
class SegmenterTask:
    """Pieces of specimens, the network that finds their cells, and how well it does on those it has not met."""

    config: SegmenterTaskConfig
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", Pool(self.config.pool, self.config.seed))

    def model(self) -> nn.Module:
        """The network, fresh or with the weights to begin from; what is frozen asks for no gradient."""
        from tracking3d.segment.network.build import build_network
        from tracking3d.segment.network.inference import SHIPPED
        from volumes.weights import load_into

        network = build_network(self.config.network)
        if self.config.weights:
            path = SHIPPED if self.config.weights == "shipped" else self.config.weights
            load_into(network, path, architecture_of(self.config.network))
        if self.config.freeze:
            from tracking3d.segment.network.build import encoder_of

            for part in encoder_of(network):
                part.requires_grad_(False)
        return network

    def batch(self, seed: int, step: int) -> Mapping[str, Tensor]:
        """``image`` (batch, 1, z, y, x) and ``targets`` (batch, 7, z, y, x)."""
        import torch

        rng = np.random.default_rng((seed, step))
        crop = (self.config.crop,) * 3
        parts = [
            shown(filled(self._piece(step, rng), crop), crop, bool(rng.random() < self.config.thin), rng)
            for _ in range(self.config.batch)
        ]
        return {
            "image": torch.from_numpy(np.stack([image for image, _ in parts])[:, None]),
            "targets": torch.from_numpy(np.stack([wanted for _, wanted in parts])),
        }

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms of :mod:`tracking3d.segment.network.loss`."""
        from tracking3d.segment.network.loss import loss

        return loss(model(batch["image"]), batch["targets"])

    def validate(self, model: nn.Module) -> Validation:
        """AP at an IoU of 0.5, F1 and SEG of every held-out specimen, and pictures of some."""
        return judged(model, self._held_out)

    def metadata(self) -> Mapping[str, object]:
        """The architecture, and how specimens were drawn."""
        return {
            "architecture": architecture_of(self.config.network),
            "pool": self.config.pool.model_dump(mode="json"),
            "labelled": len(self.config.labelled),
            "phantoms": sum(len(one.seeds) for one in self.config.phantoms),
            "format": "1",
        }

    def _piece(self, step: int, rng: np.random.Generator) -> Piece:
        if self._labelled and rng.random() < self.config.labelled_share:
            return self._labelled[int(rng.integers(len(self._labelled)))].piece(self.config.crop, rng)
        return self.pool.piece(step, rng)

    @cached_property
    def _labelled(self) -> tuple[Labelled, ...]:
        real = [Labelled.of(one) for one in self.config.labelled]
        return (*real, *(each for one in self.config.phantoms for each in drawn_phantoms(one)))

    @cached_property
    def _held_out(self) -> tuple[HeldOut, ...]:
        drawn = (self.pool.drawn(HELD_OUT + number) for number in range(self.config.held_out))
        return tuple(HeldOut(f"specimen {number}", *both) for number, both in enumerate(drawn))
