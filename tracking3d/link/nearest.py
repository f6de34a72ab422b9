"""The plainest linker: to the nearest cell, all of a frame at once or the nearest pair first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.detections import Detections
from tracking3d.link.matching import match
from tracking3d.link.reach import Near, near_pairs, typical_reach
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.jit import kernel
from volumes.timelapse import TimeLapse


class NearestConfig(BaseModel):
    """Links to the nearest cell; none divides.

    Parameters
    ----------
    max_distance_um : longest link, µm; None takes the median distance between neighbours.
    max_missed : frames in a row in which a cell may be missed.
    assignment : optimal makes the sum of reach² − distance² over a frame's links the largest; greedy takes the
        shortest link first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nearest"] = "nearest"
    max_distance_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_missed: int = Field(2, ge=0, le=10)
    assignment: Literal["optimal", "greedy"] = "optimal"

    def build(self) -> NearestLinker:
        """The linker."""
        return NearestLinker(self)


@dataclass(frozen=True)
class NearestLinker:
    """Links frame by frame; see :class:`NearestConfig`."""

    config: NearestConfig

    def link(
        self,
        detections: Detections,
        labels: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
        image: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
    ) -> Tracks:
        """Tracks over these detections; labels and image are not needed."""
        cells = scene(detections)
        reach = self.config.max_distance_um or typical_reach(cells)
        greedily = self.config.assignment == "greedy"
        return Tracks(detections, in_table(cells, nearest_parents(cells, reach, self.config.max_missed, greedily)))


def nearest_parents(cells: Scene, reach_um: float, max_missed: int, greedily: bool) -> NDArray[np.int64]:
    """Parents (n,) in the scene's order, frame by frame among the ends of the tracks so far; −1 at a root."""
    parent = np.full(len(cells), -1, dtype=np.int64)
    ends = np.zeros(0, np.int64)
    for place, frame in enumerate(cells.frames):
        here = np.arange(cells.first[place], cells.first[place + 1])
        ends = ends[cells.t[ends] >= frame - 1 - max_missed]
        near = near_pairs(cells.zyx[here], cells.zyx[ends], reach_um)
        mate = _mates(near, reach_um, len(here), len(ends), greedily)
        parent[here[mate >= 0]] = ends[mate[mate >= 0]]
        ends = np.concatenate([np.delete(ends, mate[mate >= 0]), here])
    return parent


def _mates(near: Near, reach_um: float, n: int, m: int, greedily: bool) -> NDArray[np.int64]:
    if greedily:
        order = np.lexsort((near.other, near.one, near.distance))
        return greedy(near.one[order], near.other[order], n, m)
    # A link as long as the reach is worth a little too, whichever way its length was rounded.
    gain = reach_um**2 * (1 + 1e-9) - near.distance**2
    return match(near.one, near.other, gain, n, m)


@kernel
def greedy(one: NDArray[np.int64], other: NDArray[np.int64], n: int, m: int) -> NDArray[np.int64]:
    """The mate (n,) of each, −1 for none, of pairs (k,) taken in their order wherever both are still free."""
    mate, taken = np.full(n, -1, np.int64), np.zeros(m, np.bool_)
    for k in range(len(one)):
        if mate[one[k]] < 0 and not taken[other[k]]:
            mate[one[k]] = other[k]
            taken[other[k]] = True
    return mate


def in_table(cells: Scene, parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parents (n,) in the order of a scene, as rows of its table."""
    out = np.full(len(cells), -1, dtype=np.int64)
    child = np.flatnonzero(parent >= 0)
    out[cells.order[child]] = cells.order[parent[child]]
    return out
