"""Link scores: against the benchmark's own scorer, and against counting by hand on drawn cases."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tracking3d
from tracking3d.detections import Detections
from tracking3d.formats.table import read_tracks
from tracking3d.metrics import LinkTruth, score_links
from tracking3d.tracks import Tracks
from volumes.errors import TableError

SAME = {
    "edge_f1": "edge_F1",
    "precision": "edge_P",
    "recall": "edge_R",
    "false_match": "false_match",
    "division_f1": "div_F1",
    "lnk": "LNK",
}
"""Our name and the benchmark's for one score."""


@pytest.fixture(scope="session")
def scorer(bench: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("linking_score", bench / "linking_score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _random_case(seed: int) -> tuple[Tracks, LinkTruth]:
    """Random true lineages, of which some cells were missed; random links, of which many follow the truth."""
    rng = np.random.default_rng(seed)
    t, parent = [], []
    for row in range(rng.integers(6, 60)):
        free = [i for i in range(row) if parent.count(i) < 2]
        mother = rng.choice([-1, *free]) if rng.random() < 0.9 else -1
        parent.append(mother)
        t.append(t[mother] + 1 if mother >= 0 else int(rng.integers(0, 3)))
    truth = Tracks(_table(t), np.array(parent))
    node = rng.permutation(np.flatnonzero(rng.random(len(t)) < 0.85))
    false = rng.integers(0, 6, rng.integers(0, 4))
    node = np.concatenate([node, np.full(len(false), -1)])
    frame = np.concatenate([np.array(t)[node[node >= 0]], false])
    return Tracks(_table(frame), _guessed(truth, node, frame, rng)), LinkTruth(truth, node)


def _table(t) -> Detections:
    return Detections.of(np.array(t, int), np.arange(3.0 * len(t)).reshape(-1, 3))


def _guessed(truth: Tracks, node: np.ndarray, frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    found = {cell: row for row, cell in enumerate(node.tolist()) if cell >= 0}
    parent = np.full(len(node), -1)
    for row, cell in enumerate(node.tolist()):
        ancestor = truth.parent[cell] if cell >= 0 else -1
        choices = [i for i in range(len(node)) if frame[i] < frame[row] and (parent == i).sum() < 2]
        if ancestor in found and found[ancestor] in choices and rng.random() < 0.7:
            parent[row] = found[ancestor]
        elif choices and rng.random() < 0.5:
            parent[row] = rng.choice(choices)
    return parent


def _as_case(truth: LinkTruth, tracks: Tracks) -> dict[str, np.ndarray]:
    cells = truth.tracks
    return {"T": tracks.detections.t, "G": truth.node, "gt_t": cells.detections.t, "gt_par": cells.parent}


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=120)
def test_scores_equal_the_benchmarks(scorer: ModuleType, seed: int):
    tracks, truth = _random_case(seed)
    # Their LNK divides by the number of true links of one frame.
    assume(np.isin(truth.tracks.parent[truth.node[truth.node >= 0]], truth.node[truth.node >= 0]).any())
    mine, theirs = score_links(tracks, truth), scorer.score(_as_case(truth, tracks), tracks.edges)
    assert mine.counts["links"] == theirs["n_pred"]
    assert mine.counts["true_links"] == theirs["n_gt"]
    assert mine.counts["divisions"] == theirs["div_pred"]
    assert mine.counts["true_divisions"] == theirs["div_gt"]
    for name, other in SAME.items():
        # With no division true or made, theirs is 0 and ours 1.
        if name != "division_f1" or mine.counts["divisions"] + mine.counts["true_divisions"]:
            assert getattr(mine, name) == pytest.approx(theirs[other], abs=1e-12), name
    # Theirs pairs near divisions off greedily, in the order of a set; ours finds the largest number of pairs.
    if mine.counts["divisions"] + mine.counts["true_divisions"]:
        assert mine.division_f1_within_1 >= theirs["div_F1_tol1"] - 1e-12


def test_scores_of_a_real_lineage_equal_the_benchmarks(scorer: ModuleType, data: Path):
    truth = read_tracks(data / "tracking" / "lineages" / "phallusia_Pm09.csv.gz")
    rng = np.random.default_rng(5)
    node = np.flatnonzero((rng.random(len(truth)) > 0.1) & (truth.detections.t < 25))
    tracks = tracking3d.link(truth.detections.take(node))
    mine, theirs = (
        score_links(tracks, LinkTruth(truth, node)),
        scorer.score(_as_case(LinkTruth(truth, node), tracks), tracks.edges),
    )
    for name, other in {**SAME, "division_f1_within_1": "div_F1_tol1"}.items():
        assert getattr(mine, name) == pytest.approx(theirs[other], abs=1e-12), name
    assert mine.edge_f1 > 0.99


def test_the_truth_scores_one(toy: Tracks):
    scores = score_links(toy, LinkTruth(toy, np.arange(len(toy))))
    assert scores.edge_f1 == scores.division_f1 == scores.division_f1_within_1 == scores.lnk == 1.0
    assert scores.false_match == 0.0
    assert scores.counts["links"] == len(toy.edges)


def test_wrong_links_count_as_drawn(toy: Tracks, name_of):
    #   b → c, b → g are missed; r → ! is false where r → s was right.
    names = name_of(range(len(toy)))
    parent = toy.parent.copy()
    for child, instead in (("c", -1), ("g", -1), ("s", -1), ("!", names.index("r"))):
        parent[names.index(child)] = instead
    scores = score_links(Tracks(toy.detections, parent), LinkTruth(toy, np.arange(len(toy))))
    right, made, there = 10, 11, 13
    assert scores.counts["right_links"] == right
    assert scores.precision == pytest.approx(right / made)
    assert scores.recall == pytest.approx(right / there)
    assert scores.edge_f1 == pytest.approx(2 * right / (made + there))
    assert scores.division_f1 == scores.division_f1_within_1 == 0.0
    # 3 of 12 links of one frame are missed (1.5 each) and one is false; a link over a gap does not count.
    assert scores.lnk == pytest.approx(1 - (3 * 1.5 + 1) / (12 * 1.5))


def test_a_division_a_frame_early_counts_within_one(toy: Tracks, name_of):
    names = name_of(range(len(toy)))
    parent = toy.parent.copy()
    # a takes g as its child beside b, so that a divides in b's place.
    parent[names.index("g")] = names.index("a")
    scores = score_links(Tracks(toy.detections, parent), LinkTruth(toy, np.arange(len(toy))))
    assert scores.division_f1 == 0.0
    assert scores.division_f1_within_1 == 1.0


def test_a_missed_cell_is_bridged_up_to_three_frames():
    truth = Tracks(_table([0, 1, 2, 3, 4]), np.array([-1, 0, 1, 2, 3]))
    for kept, linked in (([0, 3], 1), ([0, 4], 0)):
        node = np.array(kept)
        tracks = Tracks(_table(node), np.array([-1, 0]))
        assert score_links(tracks, LinkTruth(truth, node)).counts["true_links"] == linked


@pytest.mark.parametrize(
    ("node", "says"), [([0, 0], "two detections"), ([0, 9], "must lie in"), ([-2, 0], "must lie in")]
)
def test_a_truth_that_cannot_be_is_refused(node, says: str):
    with pytest.raises(TableError, match=says):
        LinkTruth(Tracks(_table([0, 1]), np.array([-1, 0])), np.array(node))


def test_a_truth_of_other_detections_is_refused(toy: Tracks):
    with pytest.raises(TableError, match="speaks of 2 detections"):
        score_links(toy, LinkTruth(toy, np.array([0, 1])))
