"""Scores of segmentations: brute force on small labels, closed forms of moved cubes, MONAI, and what may not matter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking3d.cell_outcomes import LIMITS, without_small
from tracking3d.cell_scores import SCORES, evaluate, interval, outcomes, pooled, scores
from tracking3d.match import score
from tracking3d.overlap import overlap
from volumes.errors import ConfigError, GridError
from volumes.timelapse import TimeLapse
from volumes.volume import Volume, from_array

SPACING = (2.0, 0.5, 0.25)
SMALL = st.sampled_from([0, 0, 1, 2, 3, 70000])
PAIR = arrays(np.uint32, (2, 2, 3, 4), elements=SMALL)


def volume(voxels: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> Volume:
    return from_array(voxels, spacing, modality="labels")


def values(truth: np.ndarray, found: np.ndarray, **options: object) -> dict[str, float]:
    """All scores of two arrays."""
    return scores(outcomes(volume(truth), volume(found), **options))


def brute_force(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """The scores from masks: a matching at each limit by trying all, splits and merges as their definitions say."""
    a, b = ([labels == n for n in np.unique(labels) if n] for labels in (truth, found))
    iou = np.array([[(m & w).sum() / (m | w).sum() for w in b] for m in a]).reshape(len(a), len(b))
    inside = np.array([[2 * (m & w).sum() > w.sum() for w in b] for m in a], bool).reshape(len(a), len(b))
    cover = np.array([[2 * (m & w).sum() > m.sum() for w in b] for m in a], bool).reshape(len(a), len(b))
    aps, best = [], (0, 0.0)
    for limit in LIMITS:
        best = max(_matchings(iou, limit))
        aps.append(best[0] / (len(a) + len(b) - best[0]) if len(a) + len(b) else 1.0)
        if limit == 0.5:
            at_half = best
    n, m, (tp, total) = len(a), len(b), at_half
    merged = sum(any(cover[i, j] and cover[:, j].sum() > 1 for j in range(m)) for i in range(n))
    cost = 5 * np.maximum(cover.sum(0) - 1, 0).sum() + 10 * (~cover.any(1)).sum() + (~cover.any(0)).sum()
    nan = float("nan")
    return {
        "AP": aps[0],
        "AP50:95": float(np.mean(aps)),
        "F1": 2 * tp / (n + m) if n + m else 1.0,
        "precision": tp / m if m else 1.0,
        "recall": tp / n if n else 1.0,
        "PQ": total / (tp + (m - tp) / 2 + (n - tp) / 2) if n + m else 1.0,
        "mean IoU": total / tp if tp else nan,
        "SEG": (iou * cover).sum() / n if n else nan,
        "DET": 1 - min(cost, 10 * n) / (10 * n) if n else nan,
        "split rate": (inside.sum(1) > 1).sum() / n if n else nan,
        "merge rate": merged / n if n else nan,
    }


def _matchings(iou: np.ndarray, limit: float) -> list[tuple[int, float]]:
    """(pairs, summed IoU) of every one-to-one matching."""
    short = iou if iou.shape[0] <= iou.shape[1] else iou.T
    out = [(0, 0.0)]
    for choice in itertools.permutations(range(short.shape[1]), short.shape[0]):
        kept = [row[c] for row, c in zip(short, choice, strict=True) if row[c] >= limit]
        out.append((len(kept), float(sum(kept))))
    return out


@settings(max_examples=60, deadline=None)
@given(pair=PAIR)
def test_scores_equal_brute_force(pair: np.ndarray) -> None:
    mine, theirs = values(*pair), brute_force(*pair)
    assert {name: mine[name] for name in theirs} == pytest.approx(theirs, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(frames=st.lists(PAIR, min_size=1, max_size=3))
def test_frames_pool_as_the_counts_of_each(frames: list[np.ndarray]) -> None:
    pairs = [(volume(a), volume(b)) for a, b in frames]
    counts = sum((score(*pair) for pair in pairs[1:]), start=score(*pairs[0]))
    mine = scores(pooled([outcomes(*pair) for pair in pairs]))
    theirs = {"AP": counts.ap, "F1": counts.f1, "SEG": counts.seg, "DET": counts.det, "mean IoU": counts.mean_iou}
    assert {name: mine[name] for name in theirs} == pytest.approx(theirs, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(pair=PAIR, seed=st.integers(0, 99))
def test_names_order_and_direction_do_not_matter(pair: np.ndarray, seed: int) -> None:
    truth, found = pair
    expected = values(truth, found)
    new = np.random.default_rng(seed).permutation(200_000)[:70001] + 1
    new[0] = 0
    assert values(new[truth], found) == pytest.approx(expected, nan_ok=True)
    assert values(truth, new[found]) == pytest.approx(expected, nan_ok=True)
    assert values(truth[::-1, :, ::-1], found[::-1, :, ::-1]) == pytest.approx(expected, nan_ok=True)
    turned = [volume(labels.transpose(2, 0, 1), (SPACING[2], SPACING[0], SPACING[1])) for labels in pair]
    assert scores(outcomes(*turned)) == pytest.approx(expected, nan_ok=True)
    other = values(found, truth)
    for name in ("AP", "AP50:95", "F1", "PQ", "mean IoU", "boundary mean um", "boundary p95 um"):
        assert other[name] == pytest.approx(expected[name], nan_ok=True)
    assert (other["precision"], other["recall"]) == pytest.approx((expected["recall"], expected["precision"]))


@pytest.mark.parametrize("shift", range(6))
def test_a_cube_that_moved_has_closed_forms(shift: int) -> None:
    side, dx = 6, SPACING[2]
    truth, found = np.zeros((2, 12, 12, 20), np.uint16)
    truth[3:9, 3:9, 3:9] = 1
    found[3:9, 3:9, 3 + shift : 9 + shift] = 4
    got = values(truth, found)
    iou = (side - shift) / (side + shift)
    assert got["AP"] == float(iou >= 0.5)
    # In tenths, since a limit may be met exactly.
    met = sum((side - shift) * 100 >= round(100 * limit) * (side + shift) for limit in LIMITS)
    assert got["AP50:95"] == pytest.approx(met / len(LIMITS))
    assert got["SEG"] == pytest.approx(iou if 2 * (side - shift) > side else 0.0)
    if shift == 1:
        assert got["PQ"] == pytest.approx(iou)
        # Of 152 surface voxels the 36 of one face lie one step outside the other's surface, and 16 of the far side's
        # inner part one step within it; all others lie on it.
        assert got["boundary mean um"] == pytest.approx((36 + 16) * dx / 152)
        assert got["boundary p95 um"] == pytest.approx(dx)


def test_boundaries_equal_distances_between_all_surface_voxels(rng: np.random.Generator) -> None:
    from scipy.ndimage import binary_erosion, generate_binary_structure
    from scipy.spatial.distance import cdist

    cross = generate_binary_structure(3, 1)
    for _ in range(12):
        z, y, x = np.indices((9, 14, 16))
        centre, radius = rng.uniform([3, 5, 5], [5, 8, 10]), rng.uniform(2.5, 4.5, 3)
        ball = (((np.stack([z, y, x], -1) - centre) / radius) ** 2).sum(-1) <= 1
        moved = (((np.stack([z, y, x], -1) - centre - rng.uniform(-0.8, 0.8, 3)) / radius) ** 2).sum(-1) <= 1
        got = values(ball * 7, moved * np.uint16(3))
        one, two = (np.argwhere(m & ~binary_erosion(m, cross)) * SPACING for m in (ball, moved))
        apart = cdist(one, two)
        there, back = apart.min(1), apart.min(0)
        assert got["boundary mean um"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
        assert got["boundary p95 um"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call
def test_monai_agrees(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    for _ in range(4):
        truth, found = np.zeros((2, 10, 24, 24), np.int32)
        for label in range(1, 6):
            z, y, x = rng.integers(0, [5, 18, 18])
            dz, dy, dx = rng.integers(-1, 2, 3)
            truth[z + 1 : z + 5, y + 1 : y + 6, x + 1 : x + 6] = label
            if label < 5:
                found[z + 1 + dz : z + 5 + dz, y + 1 + dy : y + 6 + dy, x + 1 + dx : x + 6 + dx] = label + 10
        got = values(truth, found)
        quality = compute_panoptic_quality(torch.as_tensor(found), torch.as_tensor(truth), smooth_numerator=0.0)
        assert got["PQ"] == pytest.approx(float(quality), rel=1e-6)
        table = outcomes(volume(truth), volume(found))
        ids = np.unique(truth[truth > 0])
        for row in np.flatnonzero(table.true & table.found):
            partner = np.bincount(found[truth == ids[row]]).argsort()[::-1]
            partner = next(n for n in partner if n)
            masks = [torch.as_tensor(m[None, None]) for m in (found == partner, truth == ids[row])]
            options = {"include_background": True, "spacing": SPACING}
            mean = compute_average_surface_distance(*masks, symmetric=True, **options)
            far = compute_hausdorff_distance(*masks, percentile=95, **options)
            assert table.boundary_mean_um[row] == pytest.approx(float(mean), rel=1e-5)
            assert table.boundary_p95_um[row] == pytest.approx(float(far), rel=1e-5)


def test_one_plane_has_an_outline_and_no_faces() -> None:
    truth, found = np.zeros((2, 1, 9, 9), np.uint16)
    truth[0, 1:8, 1:8], found[0, 2:7, 2:7] = 1, 1
    got = values(truth, found)
    # 24 outer voxels: 20 beside an inner one along an axis, the 4 corners a diagonal away; 16 inner: one step away.
    dy, dx = SPACING[1:]
    outer = 10 * dx + 10 * dy + 4 * np.hypot(dy, dx)
    inner = [min(dy, dx) if corner else step for step in (dy, dx) for corner in (False,) * 6 + (True,) * 2]
    assert got["boundary mean um"] == pytest.approx((outer + sum(inner)) / 40)


def test_small_objects_of_either_side_are_left_out() -> None:
    truth, found = np.zeros((2, 4, 8, 8), np.uint16)
    truth[:, :4, :4], truth[0, 6, 6:8] = 1, 2
    found[:, :4, :4], found[0, 6, 0:3] = 5, 6
    assert values(truth, found)["AP"] == pytest.approx(1 / 3)
    assert values(truth, found, min_voxels=3)["AP"] == pytest.approx(1 / 2)
    assert values(truth, found, min_voxels=4)["AP"] == 1.0
    over = without_small(overlap(volume(truth), volume(found)), 3)
    assert (over.truth_ids.tolist(), over.found_ids.tolist(), over.shared.tolist()) == ([1], [5, 6], [64])
    with pytest.raises(ConfigError, match="min_voxels"):
        values(truth, found, min_voxels=-1)


def test_splits_and_merges_of_a_hand_made_case() -> None:
    #        one cell in two        two cells in one     one as it is
    truth = [1, 1, 1, 1, 1, 1, 0, 2, 2, 2, 3, 3, 3, 0, 4, 4, 4]
    found = [5, 5, 5, 6, 6, 6, 0, 7, 7, 7, 7, 7, 7, 0, 8, 8, 8]
    got = values(*(np.array(row, np.uint16).reshape(1, 1, -1) for row in (truth, found)))
    assert (got["split rate"], got["merge rate"]) == (1 / 4, 2 / 4)


def test_intervals_are_those_of_the_binomial_they_resample() -> None:
    from scipy.stats import binom

    n, hit = 40, 30
    truth = np.arange(1, n + 1, dtype=np.uint16).repeat(2).reshape(1, 1, -1)
    found = np.where(truth <= hit, truth, 0)
    table = outcomes(volume(truth), volume(found))
    low, high = interval(table, resamples=4000, seed=3)
    for name in ("recall", "AP", "SEG"):
        assert low[name] * n == pytest.approx(binom.ppf(0.025, n, hit / n), abs=1)
        assert high[name] * n == pytest.approx(binom.ppf(0.975, n, hit / n), abs=1)
    assert (low["precision"], high["precision"]) == (1.0, 1.0)
    assert interval(table, 50, seed=3) == interval(table, 50, seed=3)
    assert interval(table, 50, seed=3) != interval(table, 50, seed=4)


def test_the_value_lies_in_its_interval_and_movies_are_pooled() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(1, 41, dtype=np.uint16), 8).reshape(1, 1, 16, 20).repeat(2, axis=0)
    found = np.where(rng.random(truth.shape) < 0.8, truth, 0)
    movies = [TimeLapse.from_array(labels, SPACING, dt_s=1.0, modality="labels") for labels in (truth, found)]
    got = evaluate(*movies, resamples=300)
    assert list(got) == list(SCORES)
    for one in got.values():
        assert one.low <= one.value <= one.high
    frames = pooled([outcomes(a, b) for a, b in zip(*movies, strict=True)])
    assert {name: one.value for name, one in got.items()} == scores(frames)
    assert not any(name.startswith("boundary") for name in evaluate(*movies, boundaries=False, resamples=5))
    with pytest.raises(GridError, match="2 true frames for 1"):
        evaluate(movies[0], movies[1][0])


def test_nothing_at_all_and_impossible_demands() -> None:
    empty = volume(np.zeros((1, 2, 2), np.uint16))
    got = evaluate(empty, empty)
    assert got["AP"].value == got["PQ"].value == 1.0
    assert np.isnan([got["SEG"].value, got["boundary mean um"].value, got["AP"].low]).all()
    missed = evaluate(volume(np.ones((1, 2, 2), np.uint16)), empty)
    assert (missed["AP"].value, missed["SEG"].value, missed["DET"].value) == (0.0, 0.0, 0.0)
    with pytest.raises(ConfigError, match="resample"):
        interval(outcomes(empty, empty), resamples=0)
    with pytest.raises(ConfigError, match="frames"):
        pooled([])
