"""The choice among competing hypotheses, as bundles of the packing: each puts out the cells that lost.

Cells that exclude each other, directly or through others, form a contest. Its choices are all sets of cells of which no
two exclude each other and to which none can be added. A choice claims every place of the cells that it puts out, so
that nothing links them, and one place more, that of its contest, so that one choice at most holds. It is worth more
than all that these places could bring otherwise, so that one does. Links, divisions, merges and choices are then one
packing, and what is proved of it is proved of the choices as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import log, pi

import numpy as np
from numpy.typing import NDArray

from tracking3d.claims import confidences, rivals
from tracking3d.detections import Detections
from tracking3d.link.matching import Graph
from tracking3d.link.neighbourhoods import bettered, rematched
from tracking3d.link.packing import Bundles, Packing, joined, packed
from tracking3d.link.scene import NEIGHBOURS, Scene, neighboured, scene

logger = logging.getLogger(__name__)

LEAST_ROOM = 0.1
"""Least radius, in spacings, of what hypotheses of unknown volumes lie in."""
MOST = 64
"""Choices of one contest; where there are more, the least confident hypotheses are put out beforehand."""


@dataclass(frozen=True)
class Contest:
    """All contests among the cells of a scene.

    Parameters
    ----------
    pairs : (m, 2) cells that exclude each other.
    start : (k + 1,) first entry of each choice in ``out``, ordered by the contest.
    out : (s,) the cells that each puts out.
    contest : (k,) the contest that each belongs to, from 0.
    prior : (k,) log probability of the choice by the confidences, but for what all choices of its contest share.
    fewer : (k,) by how many cells it has fewer than the largest choice of its contest.
    log_room : (c,) log of the volume (µm³) in which a contest's hypotheses lie: of its largest one.
    """

    pairs: NDArray[np.int64]
    start: NDArray[np.int64]
    out: NDArray[np.int64]
    contest: NDArray[np.int64]
    prior: NDArray[np.float64]
    fewer: NDArray[np.int64]
    log_room: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of contests."""
        return int(self.contest.max(initial=-1)) + 1

    def of(self, n: int) -> NDArray[np.int64]:
        """(n,) the contest of each cell, −1 for none."""
        out = np.full(n, -1)
        # Every member of a contest is put out by one of its choices at least, since another excludes it.
        out[self.out] = np.repeat(self.contest, np.diff(self.start))
        return out

    @property
    def likeliest(self) -> NDArray[np.bool_]:
        """(k,) the choice of each contest with the largest prior; of equal ones that with the fewest cells."""
        order = np.lexsort((-np.diff(self.start), -self.prior, self.contest))
        chosen = np.zeros(len(self.prior), bool)
        chosen[order[np.r_[True, np.diff(self.contest[order]) > 0][: len(order)]]] = True
        return chosen

    def kept(self, chosen: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
        """(n,) the cells that the chosen ones (k,) among the choices do not put out."""
        kept = np.ones(n, bool)
        kept[self.out[np.repeat(chosen, np.diff(self.start))]] = False
        return kept

    def bundles(
        self, n: int, alone: NDArray[np.float64], log_density: NDArray[np.float64], most: NDArray[np.float64]
    ) -> Bundles:
        """The choices as bundles among n cells, of which the last ones stand for the contests.

        A cell that is put out is none: against one that appears and vanishes at once that is worth
        −log p_appear − log p_vanish, to which the priors add. Its place is that of a part, or of the whole, of what is
        chosen: a part is anywhere in the room V of its cell, not anywhere in the tissue, which is likelier by 1/(V ρ).
        Parts of what is one cell thus speak for that cell by as much as cells of their own would by staying in place.

        Parameters
        ----------
        n : cells, and one more for each contest.
        alone : log p_appear + log p_vanish of each cell.
        log_density : of each, cells per µm³ about it.
        most : (2 n,) the largest worth of any link or other bundle at each place.
        """
        own, size = n - self.count + self.contest, np.diff(self.start)
        of = np.repeat(np.arange(len(size)), size)
        members = self.of(len(alone))
        there = np.flatnonzero(members >= 0)
        density = np.bincount(members[there], log_density[there]) / np.bincount(members[there])
        within = np.maximum(0.0, -self.log_room - density)
        worth = self.prior - np.bincount(of, alone[self.out], len(size)) + self.fewer * within[self.contest]
        needed = np.bincount(of, most[self.out] + most[n + self.out], len(size)) - worth
        first = np.flatnonzero(np.diff(self.contest, prepend=-1))
        worth += 1 + np.maximum.reduceat(needed, first)[self.contest]
        place = np.concatenate([own, self.out, n + self.out])
        order = np.argsort(np.concatenate([np.arange(len(size)), of, of]), kind="stable")
        return Bundles(np.concatenate([[0], np.cumsum(1 + 2 * size)]), place[order], worth)


def contest(detections: Detections, cells: Scene) -> Contest:
    """The contests that a table's claims make among its cells.

    Raises
    ------
    TableError : claims or confidences that cannot be read.
    """
    rows = rivals(detections)
    place = np.argsort(cells.order)
    pairs = np.sort(place[rows], axis=1)
    n = len(cells)
    if not len(pairs):
        return Contest(pairs, np.zeros(1, np.int64), pairs[:, 0], pairs[:, 0], np.zeros(0), pairs[:, 0], np.zeros(0))
    sure = confidences(detections)[cells.order]
    apart: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        apart.setdefault(one, set()).add(other)
        apart.setdefault(other, set()).add(one)
    start, out, of, prior = [0], list[int](), list[int](), list[float]()
    fewer, room = list[int](), list[float]()
    for number, own in enumerate(_together(pairs, n)):
        choices = _choices(own, apart, sure)
        fewer += [max(map(len, choices)) - len(kept) for kept in choices]
        room.append(_log_room(cells, own))
        for kept in choices:
            lost = [cell for cell in own if cell not in kept]
            out += lost
            start.append(len(out))
            of.append(number)
            prior.append(float(np.log(sure[sorted(kept)]).sum() + np.log1p(-sure[lost]).sum()))
    return Contest(
        pairs, np.array(start), np.array(out), np.array(of), np.array(prior), np.array(fewer), np.array(room)
    )


def _together(pairs: NDArray[np.int64], n: int) -> list[list[int]]:
    """The cells of each contest, growing: those that exclude each other, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    part = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=(n, n)), directed=False)[1]
    members: dict[int, list[int]] = {}
    for cell in np.unique(pairs).tolist():
        members.setdefault(int(part[cell]), []).append(cell)
    return list(members.values())


def _log_room(cells: Scene, own: list[int]) -> float:
    """Log of the volume of the largest of some cells; where none is known, of a ball that has them for its halves.

    The centre of half a ball lies ⅜ of the radius from that of the ball.
    """
    known = cells.log_volume[own][np.isfinite(cells.log_volume[own])]
    if len(known):
        return float(known.max())
    away = float(np.linalg.norm(cells.zyx[own] - cells.zyx[own].mean(axis=0), axis=1).max())
    return log(4 / 3 * pi) + 3 * log(max(away * 8 / 3, LEAST_ROOM * float(cells.spacing[own].mean())))


def settled(
    rivalry: Contest,
    places: Graph,
    others: Bundles,
    alone: NDArray[np.float64],
    log_density: NDArray[np.float64],
    before: NDArray[np.bool_] | None = None,
) -> tuple[Packing, Bundles]:
    """The packing of links, other bundles and choices, and all bundles, the choices last; changes the graph.

    The choices enter first: as long as all hypotheses are open, what divisions and merges are worth beside links of
    cells that will be put out says nothing. Then neighbourhoods are bettered, and all is matched anew.

    Parameters
    ----------
    rivalry : the contests.
    places : the graph of the links, matched, with a cell of its own for each contest at the end.
    others : divisions and merges.
    alone, log_density : of each cell, as of :meth:`Contest.bundles`.
    before : (k,) the choices to begin with; left out, they are made one by one, those that lose least first.
    """
    n = len(places.price) // 2
    most = np.zeros(2 * n)
    np.maximum.at(most, np.repeat(np.arange(2 * n), np.diff(places.start)), places.gain)
    np.maximum.at(most, others.place, others.worth[others.owner])
    choices = rivalry.bundles(n, alone, log_density, most)
    if before is None:
        before = packed(places, 0.0, choices).taken
    every = joined([others, choices])
    taken = np.concatenate([np.zeros(len(others.worth), bool), before])
    first = _with(taken, places, every)
    better = bettered(first, every, rivalry.of(len(alone)), len(before))
    return (first if (better == first.taken).all() else _with(better, places, every)), every


def _with(taken: NDArray[np.bool_], places: Graph, bundles: Bundles) -> Packing:
    """The packing that begins with some bundles, all else matched anew."""
    closed = np.zeros(len(places.price), bool)
    closed[bundles.place[taken[bundles.owner]]] = True
    return packed(places, rematched(places, closed) + float(bundles.worth[taken].sum()), bundles, taken)


def _choices(own: list[int], apart: dict[int, set[int]], sure: NDArray[np.float64]) -> list[frozenset[int]]:
    """All choices among the cells of one contest, at most :data:`MOST`."""
    left = sorted(own, key=lambda cell: (-sure[cell], cell))
    while True:
        found = list(islice(_complete(frozenset(), set(left), set(), apart), MOST + 1))
        if len(found) <= MOST:
            break
        left.pop()
    if len(left) < len(own):
        lost = len(own) - len(left)
        logger.warning(
            "%d hypotheses that compete leave too many choices: the %d least sure are put out", len(own), lost
        )
    return found


def _complete(
    chosen: frozenset[int], may: set[int], done: set[int], apart: dict[int, set[int]]
) -> Iterator[frozenset[int]]:
    """Sets that no cell can be added to: the maximal cliques of what may stand together.

    After Bron & Kerbosch, Communications of the ACM 16, 1973, with a pivot.
    """
    if not may and not done:
        yield chosen
        return
    pivot = min(may | done, key=lambda cell: (len(may & apart[cell]), cell))
    for cell in sorted(may & (apart[pivot] | {pivot})):
        yield from _complete(chosen | {cell}, may - apart[cell] - {cell}, done - apart[cell], apart)
        may = may - {cell}
        done = done | {cell}


def likeliest(detections: Detections) -> NDArray[np.bool_]:
    """(n,) the detections of the largest probability by their confidences alone, of which no two exclude each other.

    Raises
    ------
    TableError : claims or confidences that cannot be read.
    """
    if not len(detections):
        return np.zeros(0, bool)
    cells = scene(detections)
    rivalry = contest(detections, cells)
    out = np.ones(len(cells), bool)
    out[cells.order] = rivalry.kept(rivalry.likeliest, len(cells))
    return out


def among(cells: Scene, kept: NDArray[np.bool_], pairs: NDArray[np.int64]) -> Scene:
    """The scene with neighbours from among the kept cells (n,), and spacings by these; no neighbour excludes its cell.

    Rivals stand where their cell stands, so that with them each cell would seem to be in a crowd.
    """
    n = len(cells)
    if not len(pairs):
        return cells
    from scipy.spatial import cKDTree

    apart = np.sort(np.concatenate([pairs @ [n, 1], pairs @ [1, n], np.arange(n) * (n + 1)]))
    most = int(np.bincount(pairs.ravel(), minlength=1).max(initial=0)) + 1
    near, distance = np.full((n, NEIGHBOURS), -1), np.full((n, NEIGHBOURS), np.inf)
    for place in range(len(cells.frames)):
        here = np.arange(cells.cells(place).start, cells.cells(place).stop)
        others = here[kept[here]]
        asked = cKDTree(cells.zyx[others]).query(cells.zyx[here], k=range(1, NEIGHBOURS + most + 1))
        away, other = np.asarray(asked[0]), np.append(others, 0)[asked[1]]
        away[np.isin(here[:, None] * n + other, apart)] = np.inf
        rank = np.argsort(away, axis=1, kind="stable")[:, :NEIGHBOURS]
        distance[here] = np.take_along_axis(away, rank, axis=1)
        near[here] = np.where(np.isfinite(distance[here]), np.take_along_axis(other, rank, axis=1), -1)
    return neighboured(cells, near, distance)
