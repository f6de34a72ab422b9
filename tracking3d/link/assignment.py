"""The default linker: links, gaps, divisions and false detections chosen together by their likelihood."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.detections import Detections
from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.divisions import Habits, learnt_habits, triplets
from tracking3d.link.likelihood import Rates, kept_out, link_gain, volumes
from tracking3d.link.matching import match
from tracking3d.link.motion import learnt, still
from tracking3d.link.packing import pack
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.timelapse import TimeLapse

log = logging.getLogger(__name__)


class AssignmentConfig(BaseModel):
    """Settings of the default linker; none is needed, lengths are estimated from the detections.

    Parameters
    ----------
    max_missed : frames in a row in which a cell may be missed.
    max_distance_um : bound on a cell's step, µm per frame; None takes only the gate of 1.35 local spacings.
    divisions : whether cells may divide.
    passes : rounds of linking, each learning motion and habits from the one before.
    p_appear, p_vanish : probabilities that a track begins, or ends, without a division.
    p_false : probability that a detection is no cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["assignment"] = "assignment"
    max_missed: int = Field(2, ge=0, le=10)
    max_distance_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    divisions: bool = True
    passes: int = Field(4, ge=1, le=20)
    p_appear: float = Field(1e-3, gt=0, lt=0.5)
    p_vanish: float = Field(3e-3, gt=0, lt=0.5)
    p_false: float = Field(0.02, gt=0, lt=0.5)

    def build(self) -> AssignmentLinker:
        """The linker."""
        return AssignmentLinker(self)


@dataclass(frozen=True)
class AssignmentLinker:
    """Links by a repeated matching; see :class:`AssignmentConfig`."""

    config: AssignmentConfig

    def link(
        self, detections: Detections, labels: TimeLapse | None = None, image: TimeLapse | None = None  # noqa: ARG002
    ) -> Tracks:
        """Tracks over these detections; labels and image are not needed."""
        cells = scene(detections)
        gate = Gate(steps=self.config.max_missed + 1, max_distance_um=self.config.max_distance_um)
        parent = first_links(cells, gate)
        rates = Rates(self.config.p_appear, self.config.p_vanish, false=self.config.p_false)
        habits = Habits()
        for _ in range(self.config.passes):
            parent, rates, habits = self._pass(cells, gate, parent, rates, habits)
        out = np.full(len(detections), -1, dtype=np.int64)
        child = np.flatnonzero(parent >= 0)
        out[cells.order[child]] = cells.order[parent[child]]
        return Tracks(detections, out)

    def _pass(
        self, cells: Scene, gate: Gate, parent: NDArray[np.int64], rates: Rates, habits: Habits
    ) -> tuple[NDArray[np.int64], Rates, Habits]:
        """One round: what the last one's links teach, and the links that follow from it."""
        motion = learnt(cells, parent, gate.steps)
        volume = volumes(cells, parent)
        found = candidates(cells, motion, gate)
        gain = link_gain(cells, found, motion, volume, rates)
        splits = triplets(cells, found, motion, volume, rates, habits)
        worth = splits.gain if self.config.divisions else np.full(len(splits.gain), -np.inf)
        own = np.arange(len(cells))
        pairs = np.concatenate([found.pairs[gain > 0], np.column_stack([own, own])])
        chosen, total = pack(
            len(cells), pairs, np.r_[gain[gain > 0], kept_out(cells, rates)], splits.cells, worth
        )
        parent = np.where(chosen == own, -1, chosen)
        made = divided(parent)
        log.debug("%d links, %d divisions, total %.1f", int((parent >= 0).sum()), len(made), total)
        return parent, _rates(cells, parent, len(made), rates), learnt_habits(cells, made, motion)


def first_links(cells: Scene, gate: Gate) -> NDArray[np.int64]:
    """Parents (n,) from one frame to the next by distance alone, up to one spacing: what the first pass learns from."""
    found = candidates(cells, still(cells), replace(gate, nearest=4, width=1.0, steps=1))
    earlier, later = found.pairs.T
    gain = 1 - (found.offset**2).sum(axis=1) / cells.spacing[earlier] ** 2
    return match(later, earlier, gain, len(cells), len(cells))


def divided(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 3) mothers and their two daughters among parents (n,)."""
    child = np.flatnonzero(parent >= 0)
    child = child[np.argsort(parent[child], kind="stable")]
    twin = np.flatnonzero(parent[child][1:] == parent[child][:-1])
    return np.column_stack([parent[child[twin]], child[twin], child[twin + 1]])


def _rates(cells: Scene, parent: NDArray[np.int64], divisions: int, rates: Rates) -> Rates:
    """Rates of misses and divisions as the links show them, leaning on the assumed ones like a hundred cells."""
    child = np.flatnonzero(parent >= 0)
    missed = int((cells.t[child] - cells.t[parent[child]] - 1).sum())
    n, assumed = len(child), Rates()
    return replace(
        rates,
        miss=(missed + 100 * assumed.miss) / (n + missed + 100),
        divide=(divisions + 100 * assumed.divide) / (n + 100),
    )
