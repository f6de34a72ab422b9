"""How right links are: precision and recall of links and of divisions against true lineages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.tracks import Tracks
from volumes.errors import TableError

LONGEST = 3
"""Frames that a true link may span: the nearest detected ancestor, at most two frames missed in between."""
MISSED, FALSE, KIND = 1.5, 1.0, 1.0
"""Costs of a missed link, a false one, and one mistaken for part of a division (Matula et al., PLoS ONE 10, 2015)."""


@dataclass(frozen=True)
class LinkTruth:
    """True lineages, and which of their cells each detection is.

    Parameters
    ----------
    tracks : the true cells and their parents.
    node : (n,) row of the true cell that each detection is, −1 for one that is none.

    Raises
    ------
    TableError : a node outside the true table, or one that two detections claim.
    """

    tracks: Tracks
    node: NDArray[np.int64]

    def __post_init__(self) -> None:
        node = np.array(self.node, dtype=np.int64)
        if node.ndim != 1 or ((node < -1) | (node >= len(self.tracks))).any():
            raise TableError(f"must lie in −1 … {len(self.tracks) - 1}", field="node")
        claimed = node[node >= 0]
        if len(np.unique(claimed)) < len(claimed):
            raise TableError("two detections are one true cell", field="node", remedy="Count one of them as false")
        node.flags.writeable = False
        object.__setattr__(self, "node", node)


@dataclass(frozen=True)
class LinkScores:
    """Scores in [0, 1], and the counts they come from.

    Parameters
    ----------
    edge_f1, precision, recall : of links to the nearest detected ancestor at most three frames back.
    false_match : 1 − precision.
    division_f1 : a division counts where both daughters are right.
    division_f1_within_1 : where a true one lies on the same cell, its parent or a child of it.
    lnk : 1 − AOGM / AOGM of no links at all, over links from one frame to the next between detected cells.
    counts : links and divisions, true, found and right.
    """

    edge_f1: float
    precision: float
    recall: float
    false_match: float
    division_f1: float
    division_f1_within_1: float
    lnk: float
    counts: dict[str, int]


def score_links(tracks: Tracks, truth: LinkTruth) -> LinkScores:
    """Score links against true lineages.

    Raises
    ------
    TableError : the truth speaks of another number of detections.
    """
    if len(truth.node) != len(tracks):
        raise TableError(f"speaks of {len(truth.node)} detections, the tracks of {len(tracks)}", field="truth")
    true_parent = _detected_parents(truth)
    parent = tracks.parent
    linked, right = parent >= 0, (parent >= 0) & (parent == true_parent)
    true = true_parent >= 0
    made, there = _divisions(parent), _divisions(true_parent)
    exact = made.keys() & there.keys()
    strict = sum(made[mother] == there[mother] for mother in exact)
    near = _near_divisions(made, there, true_parent)
    precision, recall = right.sum() / max(1, linked.sum()), right.sum() / max(1, true.sum())
    return LinkScores(
        edge_f1=_f1(int(right.sum()), int(linked.sum()), int(true.sum())),
        precision=float(precision),
        recall=float(recall),
        false_match=float(1 - precision),
        division_f1=_f1(strict, len(made), len(there)),
        division_f1_within_1=_f1(near, len(made), len(there)),
        lnk=_lnk(tracks, true_parent, made, there),
        counts={
            "links": int(linked.sum()),
            "true_links": int(true.sum()),
            "right_links": int(right.sum()),
            "divisions": len(made),
            "true_divisions": len(there),
            "right_divisions": strict,
        },
    )


def _detected_parents(truth: LinkTruth) -> NDArray[np.int64]:
    """(n,) detection of each detection's nearest detected ancestor within reach, −1 where there is none."""
    found = np.full(len(truth.tracks) + 1, -1, dtype=np.int64)
    real = np.flatnonzero(truth.node >= 0)
    found[truth.node[real]] = real
    up = np.append(truth.tracks.parent, -1)
    out = np.full(len(truth.node), -1, dtype=np.int64)
    ancestor = np.where(truth.node >= 0, up[truth.node], -1)
    for _ in range(LONGEST):
        out = np.where(out < 0, found[ancestor], out)
        ancestor = up[ancestor]
    return out


def _divisions(parent: NDArray[np.int64]) -> dict[int, frozenset[int]]:
    """Children of each cell with more than one."""
    child = np.flatnonzero(parent >= 0)
    count = np.bincount(parent[child], minlength=len(parent))
    several = child[count[parent[child]] > 1]
    out: dict[int, set[int]] = {}
    for mother, daughter in zip(parent[several].tolist(), several.tolist(), strict=True):
        out.setdefault(mother, set()).add(daughter)
    return {mother: frozenset(daughters) for mother, daughters in out.items()}


def _near_divisions(
    made: dict[int, frozenset[int]], there: dict[int, frozenset[int]], true_parent: NDArray[np.int64]
) -> int:
    """Divisions that pair off with a true one on the same cell, its parent or a child: the largest number of pairs."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    number = {mother: k for k, mother in enumerate(there)}
    row = {mother: k for k, mother in enumerate(made)}
    pairs = [(row[mother], number[mother]) for mother in made if mother in number]
    above = [(mother, int(true_parent[mother])) for mother in made]
    below = [(int(true_parent[mother]), mother) for mother in there]
    pairs += [(row[mother], number[parent]) for mother, parent in above if parent in number]
    pairs += [(row[parent], number[mother]) for parent, mother in below if parent in row]
    if not pairs:
        return 0
    rows, columns = np.array(pairs).T
    graph = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(made), len(there)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _lnk(
    tracks: Tracks, true_parent: NDArray[np.int64], made: dict[int, frozenset[int]], there: dict[int, frozenset[int]]
) -> float:
    """1 − min(AOGM, AOGM₀)/AOGM₀ over links of one frame, where AOGM counts missed, false and mistaken links."""
    t, parent = tracks.detections.t, tracks.parent
    true = np.flatnonzero((true_parent >= 0) & (t - t[true_parent] == 1))
    linked = np.flatnonzero((parent >= 0) & (t - t[parent] == 1))
    right = linked[parent[linked] == true_parent[linked]]
    mistaken = sum((mother in made) != (mother in there) for mother in parent[right].tolist())
    cost = MISSED * (len(true) - len(right)) + FALSE * (len(linked) - len(right)) + KIND * mistaken
    worst = MISSED * len(true)
    return float(1 - min(cost, worst) / worst) if worst else float(cost == 0)


def _f1(right: int, made: int, there: int) -> float:
    """2 TP / (made + there); 1 where there was nothing to find and nothing was."""
    return 2 * right / (made + there) if made + there else 1.0
