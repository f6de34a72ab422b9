"""Geodesic active contours: a cell's outline as the shortest way along its edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.contours.edges import rise
from tracking3d.segment.contours.level_set import Forces, moved, signed_distance_um, step_um
from tracking3d.segment.contours.patch import Patch
from tracking3d.segment.contours.refine import Starts, refined, segmented
from tracking3d.segment.gradient import gradient
from tracking3d.segment.start import StartConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.shapes import Mask
from volumes.volume import Volume

STEPS = 10
"""Steps in time between two looks at whether anything still moves."""


class GeodesicConfig(BaseModel):
    """How geodesic contours refine cells.

    Parameters
    ----------
    start : the segmenter whose cells are refined; left out, the watershed at its defaults.
    smoothness : weight of the curvature beside the pull of the edges.
    balloon : outward speed where there is no edge, negative for inward, in contrasts; 0 only slides into edges nearby.
    rounds : at most, of 10 steps of up to 0.4 voxels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["geodesic"] = "geodesic"
    start: StartConfig | None = None
    smoothness: float = Field(0.05, ge=0, le=10)
    balloon: float = Field(0.0, ge=-2, le=2)
    rounds: int = Field(6, ge=1, le=200)

    def build(self) -> Geodesic:
        """The segmenter."""
        return Geodesic(self, (self.start or WatershedConfig()).build())


@dataclass(frozen=True)
class Geodesic:
    """Moves each cell's outline by φ_t = g (μ κ + ν) |∇φ| + ∇g · ∇φ, with g = 1 / (1 + s²).

    Caselles, Kimmel and Sapiro 1997, "Geodesic active contours". s is how steeply the picture rises towards the cell,
    in its own contrast by its own radius; lengths are in its radii, so that neither brightness nor size matters. The
    other cells' voxels are closed.
    """

    config: GeodesicConfig = field(default_factory=GeodesicConfig)
    start: Starts = field(default_factory=lambda: WatershedConfig().build())

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter."""
        return segmented(volume, self.start, self.evolve)

    def refine(self, volume: Volume, labels: Volume) -> Volume:
        """Given cells, with outlines moved and numbers kept; errors as of :func:`.refine.refined`."""
        return refined(volume, labels, self.evolve)

    def evolve(self, patch: Patch) -> Mask:
        """Where the cell of a patch lies, once its outline rests."""
        spacing, radius, open_ = patch.spacing_um, np.float32(patch.radius_um), ~patch.others
        phi, mask = signed_distance_um(patch.start, spacing), patch.start
        g = (1 / (1 + rise(patch, phi, spacing) ** 2)).astype(np.float32)
        speed = np.where(open_, self.config.balloon * g, -1).astype(np.float32)
        forces = Forces(speed, np.float32(self.config.smoothness) * radius * g, -radius * gradient(g, spacing))
        step = step_um(forces, spacing)
        for _ in range(self.config.rounds):
            phi = moved(phi, forces, spacing, step, STEPS)
            before, mask = mask, (phi > 0) & open_
            if np.array_equal(before, mask) or not mask.any():
                break
        return mask
