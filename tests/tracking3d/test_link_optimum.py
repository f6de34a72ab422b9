"""The optimum by other means: small packings by going through every choice, large matchings by scipy's solvers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from tracking3d.link.matching import match
from tracking3d.link.packing import Bundles, bundled, joined, pack
from tracking3d.link.proof import proved

BATCH = 50
"""Problems of one seed: forty seeds are two thousand."""


def _problem(rng: np.random.Generator) -> tuple[int, np.ndarray, np.ndarray, Bundles]:
    """Links among three to five cells, cells kept out, divisions, and bundles of two to six places; a third ties."""
    n = int(rng.integers(3, 6))
    pairs = np.array([(a, b) for a in range(n) for b in range(a, n) if rng.random() < 0.6], int).reshape(-1, 2)
    families = [(a, n + b, n + c) for a in range(n) for b, c in combinations(range(a + 1, n), 2)]
    families = [family for family in families if rng.random() < 0.4]
    kinds = [bundled(np.array(families, int).reshape(-1, 3), rng.normal(3, 3, len(families)))]
    kinds += [
        bundled(rng.permutation(2 * n)[: rng.integers(2, 7)][None], rng.normal(3, 4, 1))
        for _ in range(rng.integers(0, 4))
    ]
    gain, bundles = rng.normal(1, 2, len(pairs)), joined(kinds)
    if rng.random() < 1 / 3:
        gain, bundles = np.rint(gain), bundles._replace(worth=np.rint(bundles.worth))
    return n, pairs, gain, bundles


def _best(n: int, pairs: np.ndarray, gain: np.ndarray, bundles: Bundles) -> float:
    """The largest total of all sets of choices that claim no place twice; places are bits of a number."""
    every = joined([bundled(pairs + np.array([0, n]), gain), bundles])
    claims = np.bincount(every.owner, 2.0**every.place, len(every.worth)).astype(np.int64)
    held, total = np.zeros(1, np.int64), np.zeros(1)
    for claim, worth in zip(claims, every.worth, strict=True):
        free = held & claim == 0
        held = np.concatenate([held, held[free] | claim])
        total = np.concatenate([total, total[free] + worth])
    return float(total.max())


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_every_small_packing_is_what_going_through_all_choices_finds(seed: int):
    rng = np.random.default_rng(seed)
    for number in range(BATCH):
        problem = _problem(rng)
        best = _best(*problem)
        better, proof = proved(pack(*problem), problem[3])
        assert better.total <= best + 1e-6, number
        assert better.total + proof.gap >= best - 1e-6, number
        if proof.proved.all():
            assert better.total == pytest.approx(best, abs=1e-5), number


def test_nearly_every_small_packing_is_proved_and_none_is_far_off():
    rng = np.random.default_rng(5)
    problems = [_problem(rng) for _ in range(300)]
    found = [proved(pack(*problem), problem[3]) for problem in problems]
    assert np.mean([proof.proved.all() for _, proof in found]) > 0.95
    assert sum(better.total for better, _ in found) >= 0.999 * sum(_best(*problem) for problem in problems)


def _crowd(n: int, whole: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges between n points and the same ones moved, some of them lost: row, column and gain; whole numbers tie."""
    rng = np.random.default_rng(n)
    place = rng.uniform(0, n ** (1 / 3), (n, 3))
    moved = place[rng.permutation(n)[: n - n // 20]] + rng.normal(0, 0.3, (n - n // 20, 3))
    distance, column = cKDTree(moved).query(place, k=range(1, 9), distance_upper_bound=1.5)
    row, rank = np.nonzero(np.isfinite(distance))
    gain = 1.5 - distance[row, rank] ** 2
    return row, column[row, rank], np.rint(4 * gain) if whole else gain


def _total(n: int, row: np.ndarray, column: np.ndarray, gain: np.ndarray) -> float:
    """What our matching gains; fails where it takes an edge that is not there, or a column twice."""
    mate = match(row, column, gain, n, int(column.max()) + 1)
    taken = np.flatnonzero(mate >= 0)
    of_edge = dict(zip(zip(row.tolist(), column.tolist(), strict=True), gain.tolist(), strict=True))
    assert len(np.unique(mate[taken])) == len(taken)
    return sum(of_edge[edge] for edge in zip(taken.tolist(), mate[taken].tolist(), strict=True))


@pytest.mark.parametrize("whole", [False, True], ids=["any gains", "whole gains"])
def test_a_matching_of_two_thousand_is_the_hungarian_methods(whole: bool):
    n = 2000
    row, column, gain = _crowd(n, whole)
    full = np.zeros((n, column.max() + 1))
    full[row, column] = np.maximum(gain, 0)
    best = full[linear_sum_assignment(full, maximize=True)].sum()
    assert _total(n, row, column, gain) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("whole", [False, True], ids=["any gains", "whole gains"])
def test_a_matching_of_twenty_thousand_is_scipys_sparse_one(whole: bool):
    n = 20_000
    row, column, gain = _crowd(n, whole)
    columns = int(column.max()) + 1
    # A column of its own lets each row stay alone; the shift makes every weight positive, and counts once a row.
    shift = 1.0 - gain.min()
    weight = np.concatenate([gain, np.zeros(n)]) + shift
    place = np.concatenate([row, np.arange(n)]), np.concatenate([column, columns + np.arange(n)])
    edges = csr_array((weight, place), shape=(n, columns + n))
    best = edges[min_weight_full_bipartite_matching(edges, maximize=True)].sum() - n * shift
    assert _total(n, row, column, gain) == pytest.approx(best, rel=1e-9)
