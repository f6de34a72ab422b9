"""Active contours without edges: inside and outside each come close to a grey level of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.contours.level_set import Forces, moved, signed_distance_um, step_um
from tracking3d.segment.contours.patch import Patch
from tracking3d.segment.contours.refine import Starts, refined, segmented
from tracking3d.segment.start import StartConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.shapes import Mask
from volumes.volume import Volume

STEPS = 5
"""Steps in time between two looks at the grey levels."""


class ChanVeseConfig(BaseModel):
    """How regions of one grey level each refine cells.

    Parameters
    ----------
    start : the segmenter whose cells are refined; left out, the watershed at its defaults.
    smoothness : weight of the outline's length, as a share of the cell's radius times its contrast squared.
    rounds : at most; each looks at the grey levels anew and takes 5 steps of up to 0.4 voxels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["chan-vese"] = "chan-vese"
    start: StartConfig | None = None
    smoothness: float = Field(0.05, ge=0, le=10)
    rounds: int = Field(12, ge=1, le=200)

    def build(self) -> ChanVese:
        """The segmenter."""
        return ChanVese(self, (self.start or WatershedConfig()).build())


@dataclass(frozen=True)
class ChanVese:
    """Moves each cell's outline by φ_t = [μ κ + (I − c₂)² − (I − c₁)²] |∇φ|, c₁ the mean inside and c₂ outside.

    Chan and Vese 2001, "Active contours without edges", with λ₁ = λ₂ = 1 and no area term, around one cell at a time:
    c₂ is the mean of the background in a box around it, and the other cells' voxels are closed to it.
    """

    config: ChanVeseConfig = field(default_factory=ChanVeseConfig)
    start: Starts = field(default_factory=lambda: WatershedConfig().build())

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return segmented(volume, self.start, self.evolve)

    def refine(self, volume: Volume, labels: Volume) -> Volume:
        """Given cells, with outlines moved and numbers kept; errors as of :func:`.refine.refined`."""
        return refined(volume, labels, self.evolve)

    def evolve(self, patch: Patch) -> Mask:
        """Where the cell of a patch lies, once its outline rests."""
        spacing, values, open_ = patch.spacing_um, patch.values, ~patch.others
        phi, mask = signed_distance_um(patch.start, spacing), patch.start
        bending = np.full(values.shape, self.config.smoothness * patch.radius_um, np.float32)
        still = np.zeros((3, *values.shape), np.float32)
        for _ in range(self.config.rounds):
            outside = open_ & ~mask
            if not mask.any() or not outside.any():
                break
            inner, outer = float(values[mask].mean()), float(values[outside].mean())
            pull = np.clip((values - outer) ** 2 - (values - inner) ** 2, -1, 1)
            forces = Forces(np.where(open_, pull, -1).astype(np.float32), bending, still)
            phi = moved(phi, forces, spacing, step_um(forces, spacing), STEPS)
            before, mask = mask, (phi > 0) & open_
            if np.array_equal(before, mask):
                break
        return mask
