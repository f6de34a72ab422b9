"""Scores of segmentations: hand-made cases and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking3d.match import Scores, match, match_centres, score
from tracking3d.overlap import overlap
from volumes.errors import ConfigError, ContentError, GridError
from volumes.volume import from_array


def line(*labels):
    """A label volume of one row of voxels."""
    return from_array(np.array(labels, np.uint16).reshape(1, 1, -1), (1.0, 1.0, 1.0), modality="labels")


def brute_force(truth, found, limit):
    """IoU of each pair by masks, and the best matching by trying all."""
    truths = [n for n in np.unique(truth) if n]
    founds = [n for n in np.unique(found) if n]
    iou = np.array(
        [[((truth == a) & (found == b)).sum() / ((truth == a) | (found == b)).sum() for b in founds] for a in truths]
    ).reshape(len(truths), len(founds))
    best = (0, 0.0)
    short, long_ = (iou, range(len(founds))) if len(truths) <= len(founds) else (iou.T, range(len(truths)))
    for choice in itertools.permutations(long_, len(short)):
        values = [row[c] for row, c in zip(short, choice, strict=True) if row[c] >= limit]
        best = max(best, (len(values), sum(values)))
    seg = sum(
        iou[i, j]
        for i, a in enumerate(truths)
        for j, b in enumerate(founds)
        if 2 * ((truth == a) & (found == b)).sum() > (truth == a).sum()
    )
    return best, seg, len(truths), len(founds)


SMALL = st.sampled_from([0, 1, 2, 3, 40])


@settings(max_examples=60, deadline=None)
@given(
    pair=arrays(np.uint8, (2, 2, 3, 4), elements=SMALL),
    limit=st.sampled_from([0.1, 0.25, 0.5, 0.75]),
)
def test_scores_equal_brute_force(pair, limit):
    truth, found = (from_array(p, (1.0, 1.0, 1.0), modality="labels") for p in pair)
    (matched, iou_sum), seg, n_truth, n_found = brute_force(*pair, limit)
    scores = score(truth, found, limit)
    assert (scores.matched, scores.n_truth, scores.n_found) == (matched, n_truth, n_found)
    assert scores.iou_sum == pytest.approx(iou_sum)
    assert scores.seg_sum == pytest.approx(seg)
    pairs = match(truth, found, limit)
    assert pairs.iou.sum() == pytest.approx(iou_sum)
    assert len(set(pairs.truth_ids)) == len(set(pairs.found_ids)) == matched


@settings(max_examples=30, deadline=None)
@given(pair=arrays(np.uint8, (2, 3, 4, 5), elements=SMALL))
def test_overlap_counts_every_voxel(pair):
    over = overlap(*(from_array(p, (1.0, 1.0, 1.0), modality="labels") for p in pair))
    for ids, sizes, voxels in zip(
        (over.truth_ids, over.found_ids), (over.truth_sizes, over.found_sizes), pair, strict=True
    ):
        expected = {n: int((voxels == n).sum()) for n in np.unique(voxels) if n}
        assert dict(zip(ids.tolist(), sizes.tolist(), strict=True)) == expected
    for a, b, shared in zip(over.truth, over.found, over.shared, strict=True):
        assert shared == ((pair[0] == over.truth_ids[a]) & (pair[1] == over.found_ids[b])).sum()
    assert over.shared.sum() == ((pair[0] > 0) & (pair[1] > 0)).sum()


def test_a_perfect_answer_scores_one_under_any_names():
    truth, renamed = line(0, 1, 1, 0, 2, 2), line(0, 9, 9, 0, 4, 4)
    scores = score(truth, renamed)
    assert (scores.ap, scores.f1, scores.seg, scores.det, scores.mean_iou) == (1, 1, 1, 1, 1)
    pairs = match(truth, renamed)
    assert dict(zip(pairs.truth_ids.tolist(), pairs.found_ids.tolist(), strict=True)) == {1: 9, 2: 4}


def test_scores_of_a_hand_made_case():
    # 1 is found at IoU 2/3, 2 and 3 lie in one found cell, 4 is missed, and 8 is nothing.
    truth = line(1, 1, 1, 0, 2, 2, 3, 3, 3, 0, 4, 4, 0, 0)
    found = line(5, 5, 0, 0, 6, 6, 6, 6, 6, 0, 0, 0, 8, 8)
    scores = score(truth, found)
    assert (scores.matched, scores.n_truth, scores.n_found) == (2, 4, 3)
    assert scores.ap == pytest.approx(2 / 5)
    assert scores.f1 == pytest.approx(4 / 7)
    assert (scores.precision, scores.recall) == pytest.approx((2 / 3, 2 / 4))
    assert scores.seg == pytest.approx((2 / 3 + 2 / 5 + 3 / 5) / 4)
    assert (scores.missed, scores.spurious, scores.merged) == (1, 1, 1)
    assert scores.det == pytest.approx(1 - (5 + 10 + 1) / 40)


def test_half_covered_is_not_covered():
    scores = score(line(1, 1, 1, 1), line(2, 2, 3, 3))
    assert (scores.seg, scores.missed, scores.spurious) == (0.0, 1, 2)
    assert scores.matched == 1


def test_more_pairs_come_before_a_better_pair():
    # 1 fits 7 best (5/6), but only with 7 left to 2 do both find a partner.
    truth = line(1, 1, 1, 1, 1, 2, 0, 0)
    found = line(7, 7, 7, 8, 8, 7, 0, 0)
    pairs = match(truth, found, 0.2)
    assert dict(zip(pairs.truth_ids.tolist(), pairs.found_ids.tolist(), strict=True)) == {1: 8, 2: 7}


def test_frames_add_up():
    truth, found = line(1, 1, 0, 2), line(1, 1, 0, 0)
    total = score(truth, found) + score(truth, truth)
    assert total == Scores(3, 4, 3, 3.0, 3.0, 1, 0, 0)
    assert total.ap == pytest.approx(3 / 4)


def test_nothing_found_where_nothing_is_is_right():
    empty = line(0, 0, 0)
    scores = score(empty, empty)
    assert (scores.ap, scores.f1) == (1.0, 1.0)
    assert np.isnan([scores.seg, scores.det, scores.mean_iou]).all()
    assert score(empty, line(1, 0, 1)).ap == 0.0
    assert score(line(1, 0, 1), empty).det == 0.0


def test_centres_find_the_cell_they_lie_in():
    voxels = np.zeros((4, 10, 10), np.uint16)
    voxels[1:3, 1:4, 1:4], voxels[1:3, 6:9, 6:9] = 5, 6
    truth = from_array(voxels, (2.0, 1.0, 1.0), modality="labels", origin_um=(100, 0, 0))
    # In cell 5, again in cell 5, in the background, outside the field.
    points = np.array([[102, 2, 2], [104, 3, 3], [102, 5, 5], [0, 0, 0]], float)
    scores = match_centres(truth, points)
    assert (scores.matched, scores.missed, scores.spurious) == (1, 1, 3)
    assert (scores.precision, scores.recall) == (1 / 4, 1 / 2)
    assert match_centres(truth, np.zeros((0, 3))).recall == 0


@pytest.mark.parametrize("iou", [0.0, -0.5, 1.5, float("nan")])
def test_a_limit_outside_its_range_is_refused(iou):
    with pytest.raises(ConfigError, match="iou"):
        score(line(1), line(1), iou)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(GridError, match="different grids"):
        score(line(1, 1), line(1, 1, 1))
    floats = from_array(np.ones((1, 1, 2)), (1.0, 1.0, 1.0), modality="labels")
    with pytest.raises(ContentError, match="found: labels must be whole numbers"):
        score(line(1, 1), floats)
