"""The default linker: links, gaps, divisions and false detections chosen together by their likelihood."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.claims import CLAIMS
from tracking3d.detections import Detections
from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.confidence import margins
from tracking3d.link.contest import Contest, among, contest, settled
from tracking3d.link.divisions import NONE, Triplets, triplets
from tracking3d.link.jumps import jumps
from tracking3d.link.learning import Learnt, learnt_from
from tracking3d.link.likelihood import Rates, Volumes, appearing, kept_out, link_gain, vanishing, volumes
from tracking3d.link.matching import graph, match, open_all
from tracking3d.link.merges import Merges, merges
from tracking3d.link.motion import Motion, learnt, still
from tracking3d.link.packing import Bundles, Packing, joined, packed
from tracking3d.link.proof import Proof, proved
from tracking3d.link.scene import Scene, scene
from tracking3d.link.splitting import split_merged
from tracking3d.tracks import Tracks
from volumes.errors import TableError
from volumes.timelapse import TimeLapse

SETTLED = 5e-4
"""Share of the cells that may still have changed their parent when the passes end."""
WANDERING = 0.9
"""Passes end, too, where one changes as many parents as this share of what the last one did: to and fro."""
log = logging.getLogger(__name__)


class ConstraintConfig(BaseModel):
    """Settings of the default linker; none is needed, lengths are estimated from the detections.

    Parameters
    ----------
    max_missed : frames in a row in which a cell may be missed.
    max_distance_um : bound on a cell's step, µm per frame; None takes only the gate of 1.35 local spacings.
    divisions : whether cells may divide.
    passes : most rounds of linking, each learning motion, rates and habits from the one before.
    p_appear, p_vanish : probabilities that a track begins, or ends, without a division.
    p_false : probability that a detection is no cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["constraint"] = "constraint"
    max_missed: int = Field(2, ge=0, le=10)
    max_distance_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    divisions: bool = True
    passes: int = Field(12, ge=1, le=20)
    p_appear: float = Field(1e-3, gt=0, lt=0.5)
    p_vanish: float = Field(3e-3, gt=0, lt=0.5)
    p_false: float = Field(0.02, gt=0, lt=0.5)

    def build(self) -> ConstraintLinker:
        """The linker."""
        return ConstraintLinker(self)


@dataclass(frozen=True)
class ConstraintLinker:
    """Links by a repeated matching; see :class:`ConstraintConfig`.

    Parameters
    ----------
    config : its settings.
    prior : rates and habits to begin with and to lean on, as :func:`.learning.taught` takes them from mended tracks;
        None for the config's rates and what is assumed of any cells.
    """

    config: ConstraintConfig
    prior: Learnt | None = None

    def link(
        self,
        detections: Detections,
        labels: TimeLapse | None = None,
        image: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
    ) -> Tracks:
        """Tracks over these detections; with labels, merged cells are split, and the swallowed ones added as rows.

        Raises
        ------
        TableError : labels to split, where hypotheses compete; claims or confidences that cannot be read.
        """
        if labels is not None and CLAIMS in detections.features:
            remedy = "Leave the labels out: where cells may be one or two, both are hypotheses already"
            raise TableError("cannot be split further by labels", field=CLAIMS, remedy=remedy)
        tracks = self._tracks(detections, prove=False)[0]
        if labels is None or tracks.merged_into is None:
            return tracks
        apart = split_merged(tracks, labels)
        return tracks if len(apart) == len(detections) else self._tracks(apart, prove=False)[0]

    def solve(self, detections: Detections) -> Solution:
        """Tracks, the last pass of which is solved to the optimum where that can be proved, and how much is."""
        return Solution(*self._tracks(detections, prove=True))

    def _tracks(self, detections: Detections, prove: bool) -> tuple[Tracks, Proof]:
        cells = scene(detections)
        if len(cells) == 0:
            return Tracks(detections, np.zeros(0, np.int64)), Proof(0.0, np.zeros(0, bool), 0)
        last = self._followed(cells, contest(detections, cells))
        proof = Proof(np.inf, np.zeros(len(cells), bool), 0)
        if prove:
            packing, proof = proved(last.packing, last.bundles)
            last = replace(last, packing=packing)
        parent, merged = last.parents()
        merged.passed(parent)
        confidence = np.full(len(cells), np.nan)
        margin = margins(last.packing, last.bundles, settle=not prove)[: len(cells)]
        confidence[cells.order] = np.where(parent >= 0, margin, np.nan)
        known = np.zeros(len(cells), bool)
        known[cells.order] = proof.proved[: len(cells)]
        chosen = None
        if last.contest.count:
            chosen = np.zeros(len(cells), bool)
            chosen[cells.order] = last.kept()
        swallowed = merged.swallowed(len(cells)) if len(merged.cell) else None
        into = None if swallowed is None else cells.in_table(swallowed)
        return Tracks(detections, cells.in_table(parent), confidence, into, chosen), replace(proof, proved=known)

    def _followed(self, every: Scene, rivalry: Contest) -> Choice:
        """The choice of the last pass: they end when little changes, or no less than before, or all are done."""
        gate = Gate(steps=self.config.max_missed + 1, max_distance_um=self.config.max_distance_um)
        rates = Rates(self.config.p_appear, self.config.p_vanish, false=self.config.p_false)
        assumed = self.prior or Learnt(rates)
        kept = rivalry.kept(rivalry.likeliest, len(every))
        cells = among(every, kept, rivalry.pairs)
        parent, known, before, choices = first_links(cells, gate, kept), assumed, np.inf, None
        for left in reversed(range(self.config.passes)):
            motion, last = learnt(cells, parent, gate.steps), parent
            choice = self._chosen(cells, gate, motion, volumes(cells, parent), known, rivalry, choices)
            parent, merged = choice.parents()
            choices = choice.taken()[2]
            kept = rivalry.kept(choices, len(cells))
            changed = np.count_nonzero(parent != last)
            # Counts within their own scatter (2 √changed) of what would be fewer are no sign yet.
            wandering = changed - 2 * np.sqrt(changed) > WANDERING * before
            if left == 0 or wandering or changed <= SETTLED * len(parent):
                break
            before = float(changed)
            known = learnt_from(cells, parent, merged, motion, assumed, kept)
            cells = among(every, kept, rivalry.pairs)
        return choice

    def _chosen(
        self,
        cells: Scene,
        gate: Gate,
        motion: Motion,
        volume: Volumes,
        known: Learnt,
        rivalry: Contest,
        before: NDArray[np.bool_] | None,
    ) -> Choice:
        """The links, divisions, merges and hypotheses of the largest total gain under what has been learnt.

        ``before`` are the choices (k,) among hypotheses of the pass before.
        """
        rates = known.rates
        found = candidates(cells, motion, gate)
        gain = link_gain(cells, found, motion, volume, rates)
        # A false detection is a cell that takes itself for its parent, and so keeps out of all else.
        n, own = len(cells) + rivalry.count, np.arange(len(cells))
        earlier, later = np.concatenate([found.earlier, own]), np.concatenate([found.later, own])
        places = graph(earlier, later, np.concatenate([gain, kept_out(cells, rates)]), n, n)
        total = open_all(places, n)
        splits = NONE
        # Where hypotheses compete, all are still open, and the prices of what will be put out say nothing.
        price = None if rivalry.count else places.price
        if self.config.divisions:
            splits = triplets(cells, found, motion, volume, rates, known.habits, price)
        ways = jumps(cells, found, gain, splits, rates)
        joint = merges(cells, ways, motion, volume, rates, known.joining, price)
        bundles = joined([splits.bundles(n), joint.bundles(n)])
        if rivalry.count:
            alone = appearing(cells, rates) + vanishing(cells, rates)
            packing, bundles = settled(rivalry, places, bundles, alone, cells.log_density, before)
        else:
            packing = packed(places, total, bundles)
        choice = Choice(splits, joint, rivalry, bundles, packing)
        log.debug("%d of %d bundles, total gain %.1f", packing.taken.sum(), len(bundles.worth), packing.total)
        return choice


@dataclass(frozen=True)
class Solution:
    """Tracks, and how much of them is the proved optimum of the last pass."""

    tracks: Tracks
    proof: Proof


@dataclass(frozen=True)
class Choice:
    """What one pass chose from: divisions, then merges, then hypotheses, as bundles; and what it chose."""

    splits: Triplets
    joint: Merges
    contest: Contest
    bundles: Bundles
    packing: Packing

    def parents(self) -> tuple[NDArray[np.int64], Merges]:
        """Parents (n,), jumping over merges, and the merges that hold."""
        divides, merge, _ = self.taken()
        own = self.packing.parent[: len(self.packing.parent) - self.contest.count]
        parent = np.where(own == np.arange(len(own)), -1, own)
        for mother, first, second in self.splits.cells[divides]:
            parent[[first, second]] = mother
        merged = self.joint.take(merge)
        merged.jumped(parent)
        return parent, merged

    def kept(self) -> NDArray[np.bool_]:
        """(n,) the cells that no choice among hypotheses puts out."""
        return self.contest.kept(self.taken()[2], len(self.packing.parent) - self.contest.count)

    def taken(self) -> list[NDArray[np.bool_]]:
        """Which divisions, merges and choices hold."""
        ends = np.cumsum([len(self.splits.gain), len(self.joint.gain)])
        return np.split(self.packing.taken, ends)


def first_links(cells: Scene, gate: Gate, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Parents (n,) among the kept cells, from one frame to the next by distance alone, up to one spacing.

    They are what the first pass learns from.
    """
    found = candidates(cells, still(cells), replace(gate, nearest=4, width=1.0, steps=1))
    moved = cells.zyx[found.later] - cells.zyx[found.earlier]
    gain = 1 - (moved**2).sum(axis=1) / cells.spacing[found.earlier] ** 2
    gain[~(kept[found.earlier] & kept[found.later])] = 0.0
    return match(found.later, found.earlier, gain, len(cells), len(cells))
