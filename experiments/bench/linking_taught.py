"""What a few labelled tracks of one embryo teach the linker of another: figures with them less figures without.

    python -m experiments.bench.linking_taught --pairs Pm03:5/Pm05:5 Pm03:5/Pm08:5 B/T --seeds 1 2 3

A pair is the teacher's case and the taught one. Of the teacher's detections, degraded as all are, the links of 1, 3
and 10 lineages drawn at random are told, and of all others nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.bench.linking import module_at
from experiments.bench.linking_case import Case, made
from experiments.bench.linking_hypotheses import true_pairs
from tracking3d.detections import Detections
from tracking3d.link.constraint import ConstraintConfig, ConstraintLinker
from tracking3d.link.learning import Learnt, taught_by_few
from tracking3d.metrics import LinkScores, LinkTruth, score_links
from tracking3d.tracks import Tracks

log = logging.getLogger(__name__)

TOLD = (1, 3, 10)
"""Lineages that are told."""


def detections(case: Case) -> Detections:
    """The table of a case."""
    return Detections.of(case["T"], case["C"], case["V"])


def truth(case: Case) -> LinkTruth:
    """What is true of it."""
    return LinkTruth(Tracks(Detections.of(case["gt_t"], case["gt_P"]), case["gt_par"]), case["G"])


def few(case: Case, lineages: int, seed: int) -> Tracks:
    """All detections of a case with the true links of some lineages, drawn at random."""
    real = np.flatnonzero(case["G"] >= 0)
    row = np.full(len(case["gt_par"]), -1)
    row[case["G"][real]] = real
    lineage = truth(case).tracks.lineage_id
    told = np.random.default_rng(seed).permutation(np.unique(lineage))[:lineages]
    parent = np.full(len(case["T"]), -1)
    for mother, child in true_pairs(case["G"][real], case["gt_par"]):
        if lineage[child] in told:
            parent[row[child]] = row[mother]
    return Tracks(detections(case), parent)


def linked(case: Case, prior: Learnt | None) -> LinkScores:
    """Figures of a case with what is known beforehand."""
    return score_links(ConstraintLinker(ConstraintConfig(), prior).link(detections(case)), truth(case))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of all pairs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--pairs", nargs="+", default=["Pm03:5/Pm05:5", "Pm03:5/Pm08:5", "B/T"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FUSETRACK_DATA", "../shared/data")))
    asked = parser.parse_args(arguments)
    cases = module_at(asked.data.parent / "bench" / "linking_cases.py")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("| teacher | taught | told lineages | links | divisions | link F1 | LNK | Div F1 |\n%s|", "|---" * 8)
    for pair in asked.pairs:
        teacher, name = pair.split("/")
        plain = [linked(made(cases, asked.data, name, seed), None) for seed in asked.seeds]
        _tell(teacher, name, "0", plain, plain, [])
        for count in TOLD:
            tables = [few(made(cases, asked.data, teacher, seed), count, seed) for seed in asked.seeds]
            after = [
                linked(made(cases, asked.data, name, seed), taught_by_few(table))
                for seed, table in zip(asked.seeds, tables, strict=True)
            ]
            _tell(teacher, name, str(count), plain, after, tables)


def _tell(
    teacher: str,
    name: str,
    told: str,
    plain: Sequence[LinkScores],
    after: Sequence[LinkScores],
    tables: Sequence[Tracks],
) -> None:
    """One row: means over the seeds, and in brackets the least and the largest change."""
    links = f"{np.mean([len(t.edges) for t in tables]):.0f}" if tables else "–"
    divisions = f"{np.mean([len(t.divisions) for t in tables]):.0f}" if tables else "–"
    cells = []
    for field in ("edge_f1", "lnk", "division_f1"):
        values, before = (np.array([getattr(s, field) for s in scores]) for scores in (after, plain))
        change = values - before
        spread = f" ({change.min():+.4f} … {change.max():+.4f})" if tables else ""
        cells.append(f"{values.mean():.4f}{spread}")
    log.info("| %s | %s | %s | %s | %s | %s |", teacher, name, told, links, divisions, " | ".join(cells))


if __name__ == "__main__":
    main()
