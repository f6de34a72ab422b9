"""The proof of a packing against brute force and branch and bound: after it, nothing better is left unsaid."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking3d.detections import Detections
from tracking3d.link.confidence import margins
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.packing import Bundles, Packing, bundled, joined, pack
from tracking3d.link.proof import proved
from tracking3d.link.reference import chosen_of, optimum
from tracking3d.tracks import Tracks

SEEDS = st.integers(0, 2**32 - 1)
NOTHING = bundled(np.zeros((0, 3), int), np.zeros(0))


def _problem(
    seed: int, n: int, links: float = 0.4, divisions: float = 0.1
) -> tuple[int, np.ndarray, np.ndarray, Bundles]:
    """Links and divisions among n cells, and every other time bundles of two to six places; every third time ties."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(a, b) for a in range(n) for b in range(a, n) if rng.random() < links], int).reshape(-1, 2)
    families = [(a, n + b, n + c) for a in range(n) for b, c in combinations(range(a + 1, n), 2)]
    families = [family for family in families if rng.random() < divisions]
    kinds = [bundled(np.array(families, int).reshape(-1, 3), rng.normal(2, 3, len(families)))]
    wide = int(rng.integers(0, 8)) if seed % 2 else 0
    kinds += [bundled(rng.permutation(2 * n)[: rng.integers(2, 7)][None], rng.normal(3, 4, 1)) for _ in range(wide)]
    gain, bundles = rng.normal(1, 2, len(pairs)), joined(kinds)
    if seed % 3 == 0:
        gain, bundles = np.rint(gain), bundles._replace(worth=np.rint(bundles.worth))
    return n, pairs, gain, bundles


def _value(packing: Packing, n: int, links: np.ndarray, gain: np.ndarray, bundles: Bundles) -> float:
    of_link = dict(zip(map(tuple, links.tolist()), gain, strict=True))
    child = np.flatnonzero(packing.parent >= 0)
    chosen = bundles.take(np.flatnonzero(packing.taken))
    claimed = np.concatenate([packing.parent[child], n + child, chosen.place])
    assert len(np.unique(claimed)) == len(claimed)
    return sum(of_link[(int(packing.parent[b]), int(b))] for b in child) + float(chosen.worth.sum())


def _brute(bundles: Bundles, places: int) -> float:
    """The best total over all subsets, by going through the choices one by one."""
    best = {frozenset[int](): 0.0}
    for k in range(len(bundles.worth)):
        claims = frozenset(bundles.place[bundles.start[k] : bundles.start[k + 1]].tolist())
        for held, total in list(best.items()):
            if not held & claims:
                best[held | claims] = max(best.get(held | claims, -np.inf), total + float(bundles.worth[k]))
    return max(best.values())


@given(SEEDS)
@settings(deadline=None, max_examples=100)
def test_the_integer_program_is_brute_force(seed: int):
    n, links, gain, bundles = _problem(seed, 4)
    kinds = joined([bundled(links + np.array([0, n]), gain), bundles])
    assert chosen_of(kinds, 2 * n)[1] == pytest.approx(_brute(kinds, 2 * n), abs=1e-7)


@given(SEEDS)
@settings(deadline=None, max_examples=150)
def test_a_proved_packing_is_the_optimum(seed: int):
    problem = _problem(seed, 3 + seed % 11)
    better, proof = proved(pack(*problem), problem[3])
    assert _value(better, *problem) == pytest.approx(better.total, abs=1e-7)
    best = optimum(*problem).total
    assert better.total <= best + 1e-6
    assert better.total + proof.gap >= best - 1e-6
    if proof.proved.all():
        assert better.total == pytest.approx(best, abs=1e-5)


def test_small_problems_are_nearly_all_proved():
    problems = [_problem(seed, 3 + seed % 11) for seed in range(60)]
    shares = [proved(pack(*problem), problem[3])[1].proved.mean() for problem in problems]
    assert np.mean(shares) > 0.95


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_every_solution_without_a_choice_is_worth_less_by_its_margin(seed: int):
    n, links, gain, bundles = _problem(seed, 3 + seed % 8)
    packing, proof = proved(pack(n, links, gain, bundles), bundles)
    margin = margins(packing, bundles, settle=False, most=np.inf)
    chosen = [bundles.place[bundles.start[k] : bundles.start[k + 1]] - n for k in np.flatnonzero(packing.taken)]
    children = set(np.flatnonzero(packing.parent >= 0).tolist()) | {int(b) for c in chosen for b in c if b >= 0}
    assert set(np.flatnonzero(np.isfinite(margin)).tolist()) == children
    if proof.regions:
        return
    for child in np.flatnonzero(packing.parent >= 0):
        others = ~((links[:, 1] == child) & (links[:, 0] == packing.parent[child]))
        without = optimum(n, links[others], gain[others], bundles).total
        assert -1e-9 <= margin[child] <= packing.total - without + 1e-5
    for k in np.flatnonzero(packing.taken):
        without = optimum(n, links, gain, bundles.take(np.delete(np.arange(len(packing.taken)), k))).total
        claimed = bundles.place[bundles.start[k] : bundles.start[k + 1]]
        for child in claimed[claimed >= n] - n:
            assert -1e-9 <= margin[child] <= packing.total - without + 1e-5


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_without_bundles_margins_are_exact(seed: int):
    n, links, gain, _ = _problem(seed, 3 + seed % 8)
    packing = pack(n, links, gain, NOTHING)
    margin = margins(packing, NOTHING, most=np.inf)
    for child in np.flatnonzero(packing.parent >= 0):
        others = ~((links[:, 1] == child) & (links[:, 0] == packing.parent[child]))
        assert margin[child] == pytest.approx(packing.total - pack(n, links[others], gain[others], NOTHING).total)


def test_a_margin_is_what_the_best_alternative_loses():
    #   0 --5--> 2      0 → 3 and 1 → 2 are worth 2 each: without 0 → 2 these two are left, 4 instead of 6;
    #   1 --1--> 3      without 1 → 3, 0 → 2 alone.
    links = np.array([[0, 2], [1, 3], [0, 3], [1, 2]])
    packing = pack(4, links, np.array([5.0, 1.0, 2.0, 2.0]), NOTHING)
    assert margins(packing, NOTHING)[2:] == pytest.approx([2.0, 1.0])
    assert margins(packing, NOTHING, most=0.5)[2:] == pytest.approx([0.5, 0.5])
    lonely = pack(2, np.array([[0, 1]]), np.array([3.0]), NOTHING)
    assert margins(lonely, NOTHING)[1] == pytest.approx(3.0)


def test_a_linker_says_how_much_it_has_proved(embryo: Tracks):
    cells = embryo.detections
    solution = ConstraintConfig().build().solve(cells)
    assert solution.proof.gap <= 1e-6
    assert solution.proof.proved.all()
    confidence = solution.tracks.confidence
    assert np.array_equal(np.isfinite(confidence), solution.tracks.parent >= 0)
    right = solution.tracks.parent == embryo.parent
    linked = solution.tracks.parent >= 0
    assert np.median(confidence[linked & right]) > 5.0
    assert (confidence[linked] >= 0).all()
    assert np.array_equal(ConstraintConfig().build().link(cells).parent, solution.tracks.parent)


def test_an_empty_table_is_proved():
    solution = ConstraintConfig().build().solve(Detections.of([], np.zeros((0, 3))))
    assert (solution.proof.gap, len(solution.tracks), len(solution.proof.proved)) == (0.0, 0, 0)
