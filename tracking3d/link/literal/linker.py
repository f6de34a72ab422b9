"""The linker that keeps every rule of the review as it stands there, and counts what each refuses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.link.literal.backtracking import Paths, backtrack
from tracking3d.link.literal.config import LiteralLinkerConfig
from tracking3d.link.literal.distance import mean_diameter, too_far
from tracking3d.link.literal.merged import merged
from tracking3d.link.literal.neighbours import neighbour_count, passed_over, preferred
from tracking3d.link.literal.report import LiteralReport
from tracking3d.link.literal.size import changes_too_much, sizes
from tracking3d.link.literal.splitting import split
from tracking3d.link.literal.turning import turns
from tracking3d.link.nearest import greedy, in_table, nearest_parents
from tracking3d.link.prediction.noise import learnt_noise
from tracking3d.link.reach import Near, near_pairs, typical_reach
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.timelapse import TimeLapse

log = logging.getLogger(__name__)
COMPARED = 64
"""Targets at most that are considered for a cell: more than touch it within 1.6 diameters."""


@dataclass(frozen=True)
class LiteralLinker:
    """Links from frame to frame by rules; see :class:`LiteralLinkerConfig`."""

    config: LiteralLinkerConfig

    def link(self, detections: Detections, labels: TimeLapse | None = None, image: TimeLapse | None = None) -> Tracks:
        """Tracks over these detections; with labels, merged cells are split, and their parts added as rows."""
        return self.trace(detections, labels, image)[0]

    def trace(
        self, detections: Detections, labels: TimeLapse | None = None, image: TimeLapse | None = None
    ) -> tuple[Tracks, LiteralReport]:
        """The tracks, and what each rule refused.

        Parameters
        ----------
        detections : the cells.
        labels, image : the movie that they were measured in; without labels, merged cells are counted but not split.

        Returns
        -------
        tracks : over the same rows, and one more for each part that was split off (:func:`.splitting.split`).
        report : of the last pairing; the abnormal ones were counted in the first.

        Raises
        ------
        TableError : no volume is known and ``diameter_um`` is not stated; labels that the detections are not of.
        """
        diameter = mean_diameter(detections.volume_um3, self.config)
        tracks, report, abnormal = self._paired(detections, diameter)
        report = replace(report, abnormal=len(abnormal))
        if labels is not None and len(abnormal):
            apart = split(detections, abnormal, labels, image, self.config.extrema)
            tracks, again, _ = self._paired(apart, diameter)
            report = replace(again, abnormal=len(abnormal), splits=len(apart) - len(detections))
        log.info("%s", report)
        return tracks, report

    def _paired(self, detections: Detections, diameter: float) -> tuple[Tracks, LiteralReport, NDArray[np.int64]]:
        """One pairing over all frames, its counts, and the rows that look merged."""
        cells = scene(detections)
        pairing = Pairing(self.config, cells, sizes(detections, self.config.measure)[cells.order], diameter)
        parent, report = pairing.run()
        reach = max(self.config.distance or 0.0, self.config.relaxed or 0.0) * diameter
        abnormal = cells.order[merged(cells, parent, self.config.merged, reach or np.inf)]
        return Tracks(detections, in_table(cells, parent)), report, np.sort(abnormal)


class Pairing:
    """One run over a movie, frame by frame.

    Parameters
    ----------
    config : the thresholds.
    cells : the movie.
    size : (n,) of the cells by the chosen measure, NaN where not known.
    diameter_um : D̄.
    """

    def __init__(
        self, config: LiteralLinkerConfig, cells: Scene, size: NDArray[np.float64], diameter_um: float
    ) -> None:
        self.config, self.cells, self.size, self.diameter_um = config, cells, size, diameter_um
        bounds = [bound for bound in (config.distance, config.relaxed) if bound is not None]
        self.reach_um = max(bounds) * diameter_um if config.distance is not None else np.inf
        self.localisation_um = self._localisation()
        self.paths = Paths.of(len(cells))
        self.targets: dict[int, NDArray[np.int64]] = {}
        self.counts = dict.fromkeys(("candidates", "distance", "size", "neighbours", "turning", "relaxed"), 0)

    def run(self) -> tuple[NDArray[np.int64], LiteralReport]:
        """Parents (n,) in the scene's order, and the counts."""
        frames = self.cells.frames
        for place in range(1, len(frames)):
            self.targets = {cell: found for cell, found in self.targets.items() if self._recent(cell, place)}
            if frames[place] == frames[place - 1] + 1:
                self._pair(self.cells.cells(place - 1), self.cells.cells(place))
        parent = self.paths.parent
        links = int(np.count_nonzero(parent >= 0))
        return parent, LiteralReport(self.diameter_um, **self.counts, undone=self.paths.undone, links=links)

    def _pair(self, here: slice, there: slice) -> None:
        zyx, config = self.cells.zyx, self.config
        near = near_pairs(zyx[here], zyx[there], self.reach_um, nearest=COMPARED)
        one, other = near.one + here.start, near.other + there.start
        far = too_far(near.distance, config.distance, self.diameter_um)
        grown = changes_too_much(self.size[one], self.size[other], config.size)
        bent = turns(self._step_to(one), zyx[other] - zyx[one], config.turning_deg, self.localisation_um)
        self._count(candidates=len(one), distance=far.sum(), size=grown.sum(), turning=(bent & ~grown).sum())
        count = [neighbour_count(zyx[part], config.neighbours, self.diameter_um) for part in (here, there)]
        change = count[1][near.other] - count[0][near.one]
        allowed = ~grown & ~bent
        self._take(near, change, allowed & ~far, here, there)
        if config.relaxed is not None:
            before = np.count_nonzero(self.paths.parent[there] >= 0)
            self._take(near, change, allowed & ~too_far(near.distance, config.relaxed, self.diameter_um), here, there)
            self._count(relaxed=np.count_nonzero(self.paths.parent[there] >= 0) - before)
        if config.backtrack is not None:
            self._go_back(one[~grown], other[~grown], one[bent & ~grown], near.distance[bent & ~grown])

    def _take(
        self, near: Near, change: NDArray[np.int64], allowed: NDArray[np.bool_], here: slice, there: slice
    ) -> None:
        """Link the pairs that are allowed and whose cells are both free yet, in the order of preference."""
        free = (self.paths.child[here] < 0)[near.one] & (self.paths.parent[there] < 0)[near.other]
        kept = np.flatnonzero(allowed & free)
        order = kept[preferred(near.one[kept], near.other[kept], near.distance[kept], change[kept])]
        mate = greedy(near.one[order], near.other[order], here.stop - here.start, there.stop - there.start)
        linked = np.flatnonzero(mate >= 0)
        self.paths.link(here.start + linked, there.start + mate[linked])
        taken = mate[near.one[kept]] == near.other[kept]
        self._count(neighbours=passed_over(near.one[kept], near.distance[kept], taken, change[kept]))

    def _go_back(
        self,
        one: NDArray[np.int64],
        other: NDArray[np.int64],
        bent: NDArray[np.int64],
        distance_um: NDArray[np.float64],
    ) -> None:
        """Lead the tracks that only a turn has ended another way; first the one that ends nearest to a target."""
        starts = np.flatnonzero(np.diff(one, prepend=-1))
        self.targets.update(zip(one[starts].tolist(), np.split(other, starts[1:]), strict=False))
        ends, nearest = np.unique(bent, return_index=True)
        for end in ends[np.argsort(distance_um[nearest], kind="stable")].tolist():
            if self.paths.child[end] < 0:
                backtrack(self.paths, end, self.config.backtrack or 0, self._targets, self._bends)

    def _targets(self, cell: int) -> Sequence[int]:
        found = self.targets.get(cell)
        return [] if found is None else found.tolist()

    def _bends(self, first: int, second: int, third: int) -> bool:
        before, after = np.diff(self.cells.zyx[[first, second, third]], axis=0)
        return bool(turns(before[None], after[None], self.config.turning_deg, self.localisation_um)[0])

    def _step_to(self, cell: NDArray[np.int64]) -> NDArray[np.float64]:
        """Last step (m, 3) of the tracks that have come to these cells; NaN where one begins."""
        parent = self.paths.parent[cell]
        step = self.cells.zyx[cell] - self.cells.zyx[parent]
        return np.where((parent >= 0)[:, None], step, np.nan)

    def _recent(self, cell: int, place: int) -> bool:
        return bool(self.cells.t[cell] >= self.cells.frames[place] - 1 - (self.config.backtrack or 0))

    def _count(self, **more: int | np.integer[Any]) -> None:
        for name, number in more.items():
            self.counts[name] += int(number)

    def _localisation(self) -> float:
        if self.config.localisation_um is not None:
            return self.config.localisation_um
        if self.config.turning_deg is None or not len(self.cells):
            return 0.0
        first = nearest_parents(self.cells, typical_reach(self.cells), max_missed=0, greedily=False)
        return float(np.sqrt(learnt_noise(self.cells, first, 1.0).localisation_um2))
