"""The benches of hypotheses and of few tracks: what they make up, and what they count."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.bench.linking_hypotheses import Contested, rows_of, scores, true_pairs
from experiments.bench.linking_taught import detections, few, truth
from tracking3d.claims import claimed, rivals
from tracking3d.detections import Detections
from tracking3d.tracks import Tracks


@pytest.fixture
def case() -> dict[str, np.ndarray]:
    """64 cells that stay for ten frames, one of which divides; some are missed, and one detection is false."""
    rng = np.random.default_rng(4)
    place = 10.0 * np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    t, zyx = np.repeat(np.arange(10), 64), np.tile(place, (10, 1))
    parent = np.where(t > 0, np.arange(640) - 64, -1)
    t, zyx = np.append(t, np.arange(5, 10)), np.concatenate([zyx, np.tile([[3.0, 3.0, 5.0]], (5, 1))])
    parent = np.append(parent, [4 * 64, *range(640, 644)])
    kept = np.flatnonzero(rng.random(len(t)) > 0.05)
    seen = zyx[kept] + rng.normal(0, 0.3, (len(kept), 3))
    return {
        "T": np.append(t[kept], 3),
        "C": np.concatenate([seen, [[15.0, 15.0, 15.0]]]),
        "V": np.full(len(kept) + 1, 100.0),
        "G": np.append(kept, -1),
        "gt_t": t,
        "gt_P": zyx,
        "gt_par": parent,
    }


def test_true_pairs_jump_over_what_was_missed():
    parent = np.array([-1, 0, 1, 2, 3, 4])
    assert true_pairs(np.array([0, 1, 3]), parent) == {(0, 1), (1, 3)}
    assert true_pairs(np.array([0, 3]), parent) == {(0, 3)}
    assert true_pairs(np.array([0, 4]), parent) == set()


def test_hypotheses_are_about_the_right_cells(case):
    made = Contested(case, 0)
    n = len(case["T"])
    assert made.right.sum() == n
    assert len(made.cells) > 1.3 * n
    assert np.array_equal(made.cells.zyx_um[:n], case["C"])
    wrong = np.flatnonzero(~made.right)
    assert set(wrong.tolist()) <= set(rivals(made.cells).ravel().tolist())
    own = claimed(made.cells)
    claims = [set(own.number[own.row == row].tolist()) for row in range(len(made.cells))]
    halves = [row for row in range(n, len(made.cells)) if len(claims[row]) == 1]
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        whole = min(claims[first]) // 2
        assert claims[first] | claims[second] == claims[whole]
        between = made.cells.zyx_um[second] - made.cells.zyx_um[first]
        off = case["C"][whole] - made.cells.zyx_um[first]
        assert np.linalg.norm(np.cross(between, off)) == pytest.approx(0, abs=1e-6)


def test_scores_of_the_truth_are_perfect(case):
    pairs = true_pairs(case["G"][case["G"] >= 0], case["gt_par"])
    row = {int(node): i for i, node in enumerate(case["G"]) if node >= 0}
    parent = np.full(len(case["T"]), -1)
    for mother, child in pairs:
        parent[row[child]] = row[mother]
    figures = scores(Tracks(detections(case), parent), case["G"], pairs)
    assert figures == {"link F1": 1.0, "recall": 1.0, "false": 0.0, "Div F1": 1.0}
    nothing = scores(Tracks(detections(case), np.full(len(parent), -1)), case["G"], pairs)
    assert nothing["link F1"] == nothing["Div F1"] == 0.0


def test_the_choice_lies_between_the_likeliest_and_the_right(case):
    figures = {name: row["link F1"] for name, row in rows_of(case, 1)}
    assert figures["likeliest"] < figures["chosen"] <= figures["right"] + 0.01


def test_few_lineages_are_told_and_nothing_else(case):
    told = few(case, 3, seed=0)
    assert isinstance(told.detections, Detections)
    lineage = truth(case).tracks.lineage_id
    children = case["G"][told.edges[:, 1]]
    assert len(np.unique(lineage[children])) == 3
    pairs = true_pairs(case["G"][case["G"] >= 0], case["gt_par"])
    linked = {(int(a), int(b)) for a, b in case["G"][told.edges]}
    assert linked == {pair for pair in pairs if lineage[pair[1]] in np.unique(lineage[children])}
