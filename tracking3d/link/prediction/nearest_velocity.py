"""A cell goes on as it came; one that is new goes on like the nearest that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tracking3d.link.prediction.model import Expected, isotropic
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points


class Moving(NamedTuple):
    """Tracks with their last step.

    Parameters
    ----------
    zyx_um : (n, 3) last place, µm.
    velocity_um_s : (n, 3) of the last step, µm/s; NaN for a track that was seen once.
    seconds : (n,) since it was seen last: 0, or what a prediction looks ahead.
    """

    zyx_um: Points
    velocity_um_s: Points
    seconds: NDArray[np.float64]


class NearestVelocity(BaseModel):
    """The last velocity, or that of the nearest track that has one, kept until the next frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nearest-velocity"] = "nearest-velocity"

    def build(self, noise: Noise, seed: int) -> NearestVelocityModel:  # noqa: ARG002 - the same for every model
        """The model for cells that move so; nothing is drawn."""
        return NearestVelocityModel(noise)


@dataclass(frozen=True)
class NearestVelocityModel:
    """See :class:`NearestVelocity`."""

    noise: Noise

    def started(self, zyx_um: Points) -> Moving:
        """Tracks first seen at places (n, 3), their velocity not known."""
        return started(zyx_um)

    def predicted(self, state: Moving, seconds: NDArray[np.float64]) -> tuple[Moving, Expected]:
        """x + v · seconds; the variance of a turn grows with the square of the frames, that of a start is a step's."""
        velocity, own = _completed(state)
        ahead = state.zyx_um + velocity * seconds[:, None]
        frames = seconds / self.noise.frame_s
        variance = np.where(own, self.noise.turn_um2 * frames**2, (self.noise.step_um2 + self.noise.turn_um2) * frames)
        return state._replace(seconds=seconds), Expected(ahead, isotropic(variance))

    def seen(self, predicted: Moving, zyx_um: Points) -> Moving:
        """Tracks seen at places (n, 3)."""
        return stepped(predicted, zyx_um)


def started(zyx_um: Points) -> Moving:
    """Tracks first seen at places (n, 3)."""
    return Moving(zyx_um, np.full_like(zyx_um, np.nan), np.zeros(len(zyx_um)))


def stepped(predicted: Moving, zyx_um: Points) -> Moving:
    """Tracks that moved to places (n, 3) in the seconds looked ahead."""
    velocity = (zyx_um - predicted.zyx_um) / predicted.seconds[:, None]
    return Moving(zyx_um, velocity, np.zeros(len(zyx_um)))


def _completed(state: Moving) -> tuple[Points, NDArray[np.bool_]]:
    """Velocities (n, 3) of all tracks, and which of them (n,) are their own."""
    own = np.isfinite(state.velocity_um_s[:, 0])
    if not own.any():
        return np.zeros_like(state.zyx_um), own
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(state.zyx_um[own]).query(state.zyx_um)
    return state.velocity_um_s[own][nearest], own
