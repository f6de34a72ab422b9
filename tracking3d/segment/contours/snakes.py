"""Snakes: outlines that bend as little as the edges allow, slice by slice or as closed surfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.segment.contours import curve, surface
from tracking3d.segment.contours.edges import rise
from tracking3d.segment.contours.gradient_flow import gradient_vector_flow
from tracking3d.segment.contours.level_set import signed_distance_um
from tracking3d.segment.contours.patch import Patch
from tracking3d.segment.contours.refine import Starts, refined, segmented
from tracking3d.segment.start import StartConfig
from tracking3d.segment.watershed import WatershedConfig
from volumes.errors import ContentError
from volumes.shapes import Mask
from volumes.volume import Volume

STEP = 0.05
"""In time: under the strongest pull a point moves by this share of the cell's radius."""
CUTS = 3
"""Of the icosahedron: 642 points for a cell."""
POINTS = 64
"""For a cell in a slice."""
FAINT = 1.0
"""Share of the strongest pull at which a pull is halved; were all alike, points would slide along weak edges."""

Floats = NDArray[np.float64]


class SnakesConfig(BaseModel):
    """How snakes refine cells.

    Parameters
    ----------
    form : ``surface``, one closed surface for each cell, or ``slices``, a curve for each cell in each slice.
    start : the segmenter whose cells are refined; left out, the watershed at its defaults.
    alpha : weight of |X′|², which pulls the outline together; beside a full pull of 1, on a cell of radius 1.
    beta : weight of |X″|², which keeps it from bending.
    mu : of the gradient vector flow: how much its field is smoothed.
    steps : in time; each moves a point by up to 0.05 of the cell's radius.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["snakes"] = "snakes"
    form: Literal["surface", "slices"] = "surface"
    start: StartConfig | None = None
    alpha: float = Field(0.01, ge=0, le=10)
    beta: float = Field(0.001, ge=0, le=10)
    mu: float = Field(0.2, gt=0, le=10)
    steps: int = Field(20, ge=1, le=1000)

    def build(self) -> Snakes:
        """The segmenter."""
        return Snakes(self, (self.start or WatershedConfig()).build())


@dataclass(frozen=True)
class Snakes:
    """Moves each cell's outline X to the least E = ∮ E_int + E_ext ds, E_int = α |X′|² + β |X″|².

    The external force is the gradient vector flow of the edges at which the picture rises towards the cell. Lengths are
    in the cell's radius, so that α and β mean the same for small and large ones. Where two outlines cross, a voxel goes
    to the cell that it lies deeper in.
    """

    config: SnakesConfig = field(default_factory=SnakesConfig)
    start: Starts = field(default_factory=lambda: WatershedConfig().build())

    def segment(self, volume: Volume) -> Volume:
        """Label the cells of a volume of one channel; errors as of every segmenter.

        Raises
        ------
        ContentError : besides, a single slice, if surfaces are asked for.
        """
        self._require_depth(volume)
        return segmented(volume, self.start, self.evolve)

    def refine(self, volume: Volume, labels: Volume) -> Volume:
        """Given cells, with outlines moved and numbers kept; errors as of ``segment`` and :func:`.refine.refined`."""
        self._require_depth(volume)
        return refined(volume, labels, self.evolve)

    def evolve(self, patch: Patch) -> Mask:
        """Where the cell of a patch lies, once its outline rests."""
        mask = self._surface(patch) if self.config.form == "surface" else self._slices(patch)
        own: Mask = mask & ~patch.others
        return own

    def _require_depth(self, volume: Volume) -> None:
        if self.config.form == "surface" and volume.grid.shape[0] == 1:
            raise ContentError(
                "a closed surface needs more than one slice", field="form", value="surface", remedy="Use form: slices"
            )

    def _surface(self, patch: Patch) -> Mask:
        c, spacing = self.config, patch.spacing_um
        flow = self._flow(patch, spacing)
        points = surface.around(patch.start, spacing, CUTS) / patch.radius_um
        pull = _pull(flow, patch, [0, 1, 2])
        points = surface.evolved(points, pull, CUTS, c.alpha, c.beta, STEP, c.steps)
        return surface.filled(points * patch.radius_um, CUTS, patch.start.shape, spacing)

    def _slices(self, patch: Patch) -> Mask:
        """The largest piece of the cell in each slice, as a curve."""
        from skimage import draw, measure

        c, spacing = self.config, patch.spacing_um
        flow, mask = self._flow(patch, (np.inf, *spacing[1:])), np.zeros_like(patch.start)
        plane = np.array(spacing[1:])
        for z in np.flatnonzero(patch.start.any(axis=(1, 2))):
            outlines = measure.find_contours(np.pad(patch.start[z].astype(np.float32), 1), 0.5)
            outline = max(outlines, key=len) - 1
            points = curve.even(outline[:-1] * plane / patch.radius_um, POINTS)
            pull = _pull(flow[:, z : z + 1], patch, [1, 2])
            points = curve.evolved(points, pull, c.alpha, c.beta, STEP, c.steps)
            mask[z] = draw.polygon2mask(mask.shape[1:], points * patch.radius_um / plane)
        return mask

    def _flow(self, patch: Patch, spacing: tuple[float, float, float]) -> NDArray[np.float32]:
        phi = signed_distance_um(patch.start, patch.spacing_um)
        steep = rise(patch, phi, spacing)
        return gradient_vector_flow(steep / max(float(steep.max()), 1e-6), spacing, self.config.mu)


def _pull(flow: NDArray[np.float32], patch: Patch, axes: list[int]) -> Callable[[Floats], Floats]:
    """The force on points in radii of the cell: the flow's direction, fading where it is faint."""
    from scipy import ndimage

    length = np.sqrt((flow**2).sum(axis=0))
    scaled = flow / np.maximum(length + FAINT * float(length.max()), 1e-9)
    per_voxel = patch.radius_um / np.array(patch.spacing_um)[axes]

    def at(points: Floats) -> Floats:
        index = np.zeros((3, len(points)))
        index[axes] = (points * per_voxel).T
        return np.stack([ndimage.map_coordinates(scaled[a], index, order=1, mode="nearest") for a in axes], axis=1)

    return at
