"""What choosing among competing hypotheses is worth on real lineages, beside the single best ones and the right ones.

Of a case's detections some touching pairs also come as one, and some cells also as two halves whose places wander. Each
hypothesis has a confidence that tells right from wrong only in part. Linked are: the likeliest hypotheses by their
confidences alone, all of them with the linker's choice, and the right ones, which nobody knows.

    python -m experiments.bench.linking_hypotheses --cases Pm05 Pm05:5 drosophila:5
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tracking3d
from experiments.bench.linking import module_at
from experiments.bench.linking_case import Case, made
from tracking3d.detections import Detections
from tracking3d.link.contest import likeliest
from tracking3d.tracks import Tracks

log = logging.getLogger(__name__)

SHARE = 0.3
"""Of the cells that also come as halves, and of the pairs of nearest neighbours that also come as one."""
SURE, SPREAD = 0.05, 0.15
"""Confidences are normal about ½ ± this, right above, wrong below, with that deviation: one in three is misleading."""
NOISE = 0.1
"""Deviation of the log volume of a hypothesis."""


class Contested:
    """A table of hypotheses, the true cell that each row counts for (−1 for none), and whether the row is right."""

    def __init__(self, case: Case, seed: int) -> None:
        self.rng, self.case = np.random.default_rng(seed + 30_000), case
        n = len(case["T"])
        self.rows: list[tuple[int, NDArray[np.float64], float, int, str]] = [
            (int(case["T"][i]), case["C"][i], float(case["V"][i]), int(case["G"][i]), f"{2 * i} {2 * i + 1}")
            for i in range(n)
        ]
        for frame in np.unique(case["T"]):
            here = np.flatnonzero(case["T"] == frame)
            self._join(here)
            for i in here[self.rng.random(len(here)) < SHARE].tolist():
                self._halve(i)
        t, zyx, volume, node, claims = zip(*self.rows, strict=True)
        self.right = np.arange(len(t)) < n
        sure = self.rng.normal(0.5 + np.where(self.right, SURE, -SURE), SPREAD).clip(0.05, 0.95)
        features = {"claims": np.array(claims), "confidence": sure}
        self.cells = Detections.of(t, np.array(zyx), np.array(volume), features)
        self.node = np.array(node)

    def _join(self, here: NDArray[np.int64]) -> None:
        """Add, for some mutually nearest pairs, both as one."""
        from scipy.spatial import cKDTree

        if len(here) < 2:
            return
        nearest = np.asarray(cKDTree(self.case["C"][here]).query(self.case["C"][here], k=[2])[1]).ravel()
        mutual = np.flatnonzero((nearest[nearest] == np.arange(len(here))) & (nearest > np.arange(len(here))))
        for one in mutual[self.rng.random(len(mutual)) < SHARE].tolist():
            pair = here[[one, nearest[one]]]
            weight = np.where(np.isfinite(self.case["V"][pair]), self.case["V"][pair], 1.0)
            larger = pair[np.argsort(-weight)]
            node = next((int(g) for g in self.case["G"][larger] if g >= 0), -1)
            place = weight @ self.case["C"][pair] / weight.sum()
            volume = float(self.case["V"][pair].sum() * np.exp(self.rng.normal(0, NOISE)))
            claims = " ".join(f"{2 * i} {2 * i + 1}" for i in pair)
            self.rows.append((int(self.case["T"][pair[0]]), place, volume, node, claims))

    def _halve(self, i: int) -> None:
        """Add two parts of a cell, about their common centre in any direction."""
        share, across = self.rng.uniform(0.35, 0.65), self.rng.normal(0, 1, 3)
        volume = float(self.case["V"][i])
        radius = (3 * volume / (4 * np.pi)) ** (1 / 3) if np.isfinite(volume) else 3.0
        across *= radius / np.linalg.norm(across)
        for part, step, claim in ((share, 1 - share, 2 * i), (1 - share, -share, 2 * i + 1)):
            node = int(self.case["G"][i]) if part >= 0.5 else -1
            place = self.case["C"][i] + step * across
            size = part * volume * float(np.exp(self.rng.normal(0, NOISE)))
            self.rows.append((int(self.case["T"][i]), place, size, node, str(claim)))


def true_pairs(nodes: NDArray[np.int64], parent: NDArray[np.int64], steps: int = 3) -> set[tuple[int, int]]:
    """True links among detected true cells: each to its nearest detected ancestor, at most so many frames back."""
    there = np.zeros(len(parent) + 1, bool)
    there[nodes] = True
    up = np.append(parent, -1)
    out = set()
    for node in nodes.tolist():
        ancestor, left = int(up[node]), steps
        while ancestor >= 0 and left and not there[ancestor]:
            ancestor, left = int(up[ancestor]), left - 1
        if ancestor >= 0 and left:
            out.add((ancestor, node))
    return out


def scores(tracks: Tracks, node: NDArray[np.int64], truth: set[tuple[int, int]]) -> Mapping[str, float]:
    """F1 of links and of divisions between true cells, against those that the right hypotheses allow."""
    links = [(int(node[a]), int(node[b])) for a, b in tracks.edges]
    right = len({link for link in links if min(link) >= 0} & truth)
    found, there = _broods(links), _broods(list(truth))
    good = sum(there.get(mother) == daughters for mother, daughters in found.items())
    return {
        "link F1": 2 * right / max(1, len(links) + len(truth)),
        "recall": right / max(1, len(truth)),
        "false": 1 - right / max(1, len(links)),
        "Div F1": 2 * good / max(1, len(found) + len(there)),
    }


def _broods(links: Sequence[tuple[int, int]]) -> dict[int, frozenset[int]]:
    out: dict[int, set[int]] = {}
    for mother, daughter in links:
        out.setdefault(mother, set()).add(daughter)
    return {mother: frozenset(own) for mother, own in out.items() if len(own) > 1 and mother >= 0}


def rows_of(case: Case, seed: int) -> list[tuple[str, Mapping[str, float]]]:
    """What each way of choosing reaches: name and figures."""
    contested = Contested(case, seed)
    cells, node, right = contested.cells, contested.node, contested.right
    truth = true_pairs(node[right & (node >= 0)], case["gt_par"])
    out: list[tuple[str, Mapping[str, float]]] = []
    for name, rows in (("likeliest", likeliest(cells)), ("chosen", np.ones(len(cells), bool)), ("right", right)):
        table = cells.take(rows)
        if name == "right":
            table = Detections.of(table.t, table.zyx_um, table.volume_um3)
        begun = time.process_time()
        tracks = tracking3d.link(table)
        spent = time.process_time() - begun
        held = np.flatnonzero(rows) if tracks.chosen is None else np.flatnonzero(tracks.chosen)
        figures = {"right rows": float(right[held].sum() / right.sum()), "wrong rows": float((~right[held]).mean())}
        out.append((name, {"rows": float(len(table)), **figures, **scores(tracks, node[rows], truth), "CPU s": spent}))
    return out


def main() -> None:
    """Print a table of all cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--cases", nargs="+", default=["Pm05", "Pm05:5", "Pm08:5"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    asked = parser.parse_args()
    cases = module_at(asked.data.parent / "bench" / "linking_cases.py")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    shown = False
    for name, seed in ((name, seed) for name in asked.cases for seed in asked.seeds):
        for way, figures in rows_of(made(cases, asked.data, name, seed), seed):
            if not shown:
                log.info("| case | seed | linked | %s |\n%s|", " | ".join(figures), "|---" * (3 + len(figures)))
                shown = True
            values = (f"{v:.0f}" if v > 100 else f"{v:.4f}" for v in figures.values())
            log.info("| %s | %d | %s | %s |", name, seed, way, " | ".join(values))


if __name__ == "__main__":
    main()
