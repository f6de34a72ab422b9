"""A cell goes with its neighbours: the local flow of a tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.link.motion import neighbours_median
from tracking3d.link.prediction.model import Expected, isotropic
from tracking3d.link.prediction.nearest_velocity import Moving, started, stepped
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points


class LocalFlow(BaseModel):
    """The geometric median of the last velocities of a cell and its neighbours.

    Parameters
    ----------
    neighbours : tracks, the cell's own among them, whose velocities speak.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["flow"] = "flow"
    neighbours: int = Field(7, ge=1, le=50)

    def build(self, noise: Noise, seed: int) -> LocalFlowModel:  # noqa: ARG002 - the same for every model
        """The model for cells that move so; nothing is drawn."""
        return LocalFlowModel(self, noise)


@dataclass(frozen=True)
class LocalFlowModel:
    """See :class:`LocalFlow`."""

    config: LocalFlow
    noise: Noise

    def started(self, zyx_um: Points) -> Moving:
        """Tracks first seen at places (n, 3), their velocity not known."""
        return started(zyx_um)

    def predicted(self, state: Moving, seconds: NDArray[np.float64]) -> tuple[Moving, Expected]:
        """x + flow · seconds; the variance about the flow grows with the frames, without one it is that of a step."""
        flow = self._flow(state)
        known = np.isfinite(flow[:, 0])
        ahead = state.zyx_um + np.where(known[:, None], flow, 0.0) * seconds[:, None]
        variance = np.where(known, self.noise.flow_um2, self.noise.step_um2) * seconds / self.noise.frame_s
        return state._replace(seconds=seconds), Expected(ahead, isotropic(variance))

    def seen(self, predicted: Moving, zyx_um: Points) -> Moving:
        """Tracks seen at places (n, 3)."""
        return stepped(predicted, zyx_um)

    def _flow(self, state: Moving) -> Points:
        """Flow (n, 3), µm/s, at each track; NaN where no neighbour has moved yet."""
        count = min(self.config.neighbours, len(state.zyx_um))
        if count == 0:
            return state.velocity_um_s
        from scipy.spatial import cKDTree

        _, near = cKDTree(state.zyx_um).query(state.zyx_um, k=range(1, count + 1))
        return neighbours_median(np.asarray(near, dtype=np.int64), np.ascontiguousarray(state.velocity_um_s))
