"""No motion: a cell is expected where it was seen, the less surely the longer ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tracking3d.link.prediction.model import Expected, isotropic
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points


class Place(NamedTuple):
    """Where tracks were seen last: (n, 3) µm."""

    zyx_um: Points


class Still(BaseModel):
    """A random walk: steps have no direction, and their variance grows with the time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none"] = "none"

    def build(self, noise: Noise, seed: int) -> StillModel:  # noqa: ARG002 - the same for every model
        """The model for cells that move so; nothing is drawn."""
        return StillModel(noise)


@dataclass(frozen=True)
class StillModel:
    """See :class:`Still`."""

    noise: Noise

    def started(self, zyx_um: Points) -> Place:
        """Tracks first seen at places (n, 3)."""
        return Place(zyx_um)

    def predicted(self, state: Place, seconds: NDArray[np.float64]) -> tuple[Place, Expected]:
        """Where they were, with the variance of a step for each frame since."""
        return state, Expected(state.zyx_um, isotropic(self.noise.step_um2 * seconds / self.noise.frame_s))

    def seen(self, predicted: Place, zyx_um: Points) -> Place:  # noqa: ARG002 - nothing else counts
        """Tracks seen at places (n, 3)."""
        return Place(zyx_um)
