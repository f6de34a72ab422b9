"""trackpy's linker by the side of the others: Crocker & Grier's, J. Colloid Interface Sci. 179, 1996."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.detections import Detections
from tracking3d.link.nearest import in_table
from tracking3d.link.reach import typical_reach
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError
from volumes.timelapse import TimeLapse

AXES = ["z", "y", "x"]


class TrackpyConfig(BaseModel):
    """What trackpy is asked; none divides.

    Parameters
    ----------
    max_distance_um : its search_range, µm; None takes the median distance between neighbours.
    max_missed : its memory, frames in a row in which a cell may be missed.
    adaptive_stop : where a knot of cells is too large to be solved, the range shrinks down to this share of it.
    adaptive_step : by this factor at a time.
    predict : nearest-velocity expects each cell to go on like the one that was last seen next to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["trackpy"] = "trackpy"
    max_distance_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_missed: int = Field(2, ge=0, le=10)
    adaptive_stop: float = Field(0.05, gt=0, lt=1)
    adaptive_step: float = Field(0.9, gt=0, lt=1)
    predict: Literal["none", "nearest-velocity"] = "none"

    def build(self) -> TrackpyLinker:
        """The linker; trackpy is imported when it links."""
        return TrackpyLinker(self)


@dataclass(frozen=True)
class TrackpyLinker:
    """Links by trackpy; see :class:`TrackpyConfig`."""

    config: TrackpyConfig

    def link(
        self,
        detections: Detections,
        labels: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
        image: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
    ) -> Tracks:
        """Tracks over these detections; labels and image are not needed.

        Raises
        ------
        ConfigError : too many cells are in reach of each other for trackpy, even at the smallest range.
        """
        cells = scene(detections)
        parent = np.full(len(cells), -1, dtype=np.int64)
        last: dict[int, int] = {}
        reach = self.config.max_distance_um or typical_reach(cells)
        with _quiet(), _explained(reach):
            for here, names in self._named(cells, reach) if len(cells) else ():
                parent[here] = [last.get(name, -1) for name in names]
                last.update(zip(names, here.tolist(), strict=True))
        return Tracks(detections, in_table(cells, parent))

    def _named(self, cells: Scene, reach: float) -> Iterator[tuple[NDArray[np.int64], list[int]]]:
        """Frame by frame the cells, and the number of the particle that each is."""
        import pandas as pd
        from trackpy import link_iter
        from trackpy.predict import NearestVelocityPredict

        frames = list(_with_gaps(cells, self.config.max_missed))
        velocity = NearestVelocityPredict(pos_columns=AXES) if self.config.predict == "nearest-velocity" else None
        options: dict[str, Any] = {
            "memory": self.config.max_missed,
            "adaptive_stop": self.config.adaptive_stop * reach,
            "adaptive_step": self.config.adaptive_step,
            "predictor": velocity.predict if velocity else None,
        }
        if velocity:
            velocity.t_column = "frame"
        linked = link_iter(((time, cells.zyx[here]) for time, here in frames), reach, **options)
        for (time, here), (_, names) in zip(frames, linked, strict=True):
            if velocity and len(here):
                velocity.observe(pd.DataFrame(cells.zyx[here], columns=AXES).assign(frame=time, particle=names))
            yield here, [int(name) for name in names]


def _with_gaps(cells: Scene, memory: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Frames with their cells, also empty ones; a gap that no memory spans is cut short."""
    time, before = 0, int(cells.frames[0])
    for place, frame in enumerate(cells.frames.tolist()):
        gap = min(frame - before, memory + 2)
        for missing in range(1, gap):
            yield time + missing, np.zeros(0, np.int64)
        time, before = time + gap, frame
        yield time, np.arange(cells.first[place], cells.first[place + 1])


@contextmanager
def _quiet() -> Iterator[None]:
    """No line a frame, and no warning of trackpy's about pandas or velocities; all as before afterwards."""
    import trackpy  # noqa: F401 - its import sets the level

    log = logging.getLogger("trackpy")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _explained(reach: float) -> Iterator[None]:
    from trackpy.linking.utils import SubnetOversizeException

    try:
        yield
    except SubnetOversizeException as error:
        raise ConfigError(
            "trackpy cannot solve a knot of cells, all in reach of each other",
            field="max_distance_um",
            value=reach,
            remedy="Give a smaller one, or a smaller adaptive_stop, or take kind: constraint",
        ) from error
