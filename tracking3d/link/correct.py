"""Corrections of tracks: what a person says holds, and only the links about it are chosen again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.candidates import Candidates, Gate, candidates
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.corrections import Correction, Entry, Pins, pinned, rows_of
from tracking3d.link.divisions import Triplets, triplets
from tracking3d.link.learning import Learnt, learnt_from
from tracking3d.link.likelihood import Rates, kept_out, link_gain, volumes
from tracking3d.link.matching import graph, open_all
from tracking3d.link.merges import NONE as UNMERGED
from tracking3d.link.motion import learnt
from tracking3d.link.packing import packed
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.errors import TableError


@dataclass(frozen=True)
class Corrected:
    """Tracks after corrections, and the log of them: one entry a correction, in their order."""

    tracks: Tracks
    log: tuple[Entry, ...]


@dataclass(frozen=True)
class _Weighed:
    """Everything that may be chosen, with what it is worth, learnt from the tracks that are corrected."""

    cells: Scene
    found: Candidates
    gain: NDArray[np.float64]
    splits: Triplets
    lone: NDArray[np.float64]


def correct(
    tracks: Tracks,
    corrections: Sequence[Correction],
    held: Sequence[Correction] = (),
    config: ConstraintConfig | None = None,
) -> Corrected:
    """Make corrections one after the other, and choose anew what each touches.

    It touches the cells that it names, those they were linked with, and all that these could be linked with; links
    that lead out of these stay. Motion, rates and habits are learnt from the tracks as they were given.

    Parameters
    ----------
    tracks : what is corrected; its rows are what corrections name.
    corrections : in the order in which they are made.
    held : earlier corrections that must go on to hold.
    config : settings of the linker that the tracks were made with; None for its defaults.

    Raises
    ------
    TableError : corrections that name no row, run against time or contradict each other; tracks over competing
        hypotheses.
    """
    t = tracks.detections.t
    pinned([*held, *corrections], t)
    if tracks.chosen is not None:
        remedy = "Correct tracks.cells(), whose rows are what was chosen"
        raise TableError("holds hypotheses that were not chosen", field="tracks", remedy=remedy)
    weighed = _weighed(tracks, config or ConstraintConfig())
    order = weighed.cells.order
    place = np.argsort(order)
    parent = _renamed(tracks.parent, order, place)
    entries = []
    for made, correction in enumerate(corrections, 1):
        pins = pinned([*held, *corrections[:made]], t)
        bound = Pins(
            {int(place[child]): int(place[mother]) for child, mother in pins.parent.items()},
            {(int(place[mother]), int(place[child])) for mother, child in pins.broken},
            {int(place[row]) for row in pins.deleted},
        )
        before, named = parent, place[list(rows_of(correction))]
        parent = _chosen(weighed, parent, bound, named, _joined(tracks, place))
        changed = np.sort(order[np.flatnonzero(parent != before)])
        old, new = weighed.cells.in_table(before), weighed.cells.in_table(parent)
        entries.append(Entry(correction, tuple((int(row), int(old[row]), int(new[row])) for row in changed)))
    return Corrected(_rewritten(tracks, weighed.cells.in_table(parent)), tuple(entries))


def _renamed(rows: NDArray[np.int64], order: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row numbers of the table, a row each, as cells of the scene, a cell each; −1 stays."""
    return np.where(rows[order] >= 0, place[rows[order]], -1)


def _weighed(tracks: Tracks, config: ConstraintConfig) -> _Weighed:
    cells = scene(tracks.detections)
    parent = _renamed(tracks.parent, cells.order, np.argsort(cells.order))
    gate = Gate(steps=config.max_missed + 1, max_distance_um=config.max_distance_um)
    motion = learnt(cells, parent, gate.steps)
    assumed = Learnt(Rates(config.p_appear, config.p_vanish, false=config.p_false))
    known = learnt_from(cells, parent, UNMERGED, motion, assumed)
    volume, found = volumes(cells, parent), candidates(cells, motion, gate)
    splits = triplets(cells, found, motion, volume, known.rates, known.habits)
    if not config.divisions:
        splits = Triplets(splits.cells[:0], splits.gain[:0])
    gain = link_gain(cells, found, motion, volume, known.rates)
    return _Weighed(cells, found, gain, splits, kept_out(cells, known.rates))


def _joined(tracks: Tracks, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 3) child, parent and merged detection of each link that jumps over a merge, in the scene's order."""
    if tracks.merged_into is None:
        return np.zeros((0, 3), np.int64)
    child = np.flatnonzero(tracks.merged_into >= 0)
    return place[np.column_stack([child, tracks.parent[child], tracks.merged_into[child]])]


def _chosen(
    weighed: _Weighed, parent: NDArray[np.int64], pins: Pins, named: NDArray[np.int64], merges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Parents (n,) with what lies about the named cells chosen anew under the pins."""
    n = len(parent)
    near = _about(weighed.found, parent, named)
    free_child, free_parent = near.copy(), near.copy()
    child = np.flatnonzero(parent >= 0)
    stays = ~(near[child] & near[parent[child]])
    # What passes through or over a merged detection was weighed as one, and stays unless it is named.
    of_merges = merges[~np.isin(merges, named).any(axis=1)]
    stays |= np.isin(child, of_merges[:, [0, 2]]) | np.isin(parent[child], of_merges[:, 2])
    # A division stays as a whole.
    stays |= np.isin(parent[child], parent[child[stays]])
    pin_child = np.array(list(pins.parent), np.int64)
    pin_parent = np.array(list(pins.parent.values()), np.int64)
    apart = np.isin(child, pin_child) | np.isin(parent[child], pin_parent)
    gone = np.array(list(pins.deleted), np.int64)
    apart |= np.isin(child, gone) | np.isin(parent[child], gone)
    apart |= np.array([(int(parent[c]), int(c)) in pins.broken for c in child], bool) if pins.broken else False
    kept = child[stays & ~apart]
    out = np.full(n, -1)
    out[kept] = parent[kept]
    out[pin_child] = pin_parent
    for taken, free in (
        (np.r_[kept, pin_child, gone], free_child),
        (np.r_[parent[kept], pin_parent, gone], free_parent),
    ):
        free[taken] = False
    return _packed(weighed, out, pins, free_parent, free_child)


def _about(found: Candidates, parent: NDArray[np.int64], named: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) cells that are named, linked with one that is, or could be linked with one of all these."""
    core = np.zeros(len(parent), bool)
    core[named] = True
    child = np.flatnonzero(parent >= 0)
    linked = core.copy()
    linked[child] |= core[parent[child]]
    np.logical_or.at(linked, parent[child], core[child])
    near = linked.copy()
    near[found.later[linked[found.earlier]]] = True
    near[found.earlier[linked[found.later]]] = True
    return near


def _packed(
    weighed: _Weighed,
    parent: NDArray[np.int64],
    pins: Pins,
    free_parent: NDArray[np.bool_],
    free_child: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Parents (n,) with the best links and divisions among free places added."""
    there = np.flatnonzero(free_parent | free_child)
    local = np.full(len(parent), -1)
    local[there] = np.arange(len(there))
    earlier, later, found = weighed.found.earlier, weighed.found.later, weighed
    broken = _coded(np.array(sorted(pins.broken), np.int64).reshape(-1, 2), len(parent))
    open_links = np.flatnonzero(free_parent[earlier] & free_child[later])
    pairs = np.column_stack([earlier[open_links], later[open_links]])
    allowed = ~np.isin(_coded(pairs, len(parent)), broken)
    pairs, gain = pairs[allowed], found.gain[open_links[allowed]]
    own = there[free_parent[there] & free_child[there]]
    rows, columns = local[np.r_[pairs[:, 0], own]], local[np.r_[pairs[:, 1], own]]
    size = len(there)
    places = graph(rows, columns, np.r_[gain, found.lone[own]], size, size)
    total = open_all(places, size)
    families = found.splits.cells
    fits = free_parent[families[:, 0]] & free_child[families[:, 1:]].all(axis=1)
    for daughter in (1, 2):
        fits &= ~np.isin(_coded(families[:, [0, daughter]], len(parent)), broken)
    splits = Triplets(local[families[fits]], found.splits.gain[fits])
    chosen = packed(places, total, splits.bundles(size))
    out, linked = parent.copy(), np.flatnonzero((chosen.parent >= 0) & (chosen.parent != np.arange(size)))
    out[there[linked]] = there[chosen.parent[linked]]
    for mother, first, second in there[splits.cells[chosen.taken]]:
        out[[first, second]] = mother
    return out


def _coded(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.asarray(pairs[:, 0] * n + pairs[:, 1])


def _rewritten(tracks: Tracks, parent: NDArray[np.int64]) -> Tracks:
    """Tracks with other parents; where these changed, neither confidence nor merge is known."""
    same = parent == tracks.parent
    confidence = None if tracks.confidence is None else np.where(same, tracks.confidence, np.nan)
    into = None if tracks.merged_into is None else np.where(same, tracks.merged_into, -1)
    return Tracks(tracks.detections, parent, confidence, into)
