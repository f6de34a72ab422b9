"""The proof of a packing against brute force and branch and bound: after it, nothing better is left unsaid."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking3d.link.packing import Bundles, Packing, bundled, joined, pack
from tracking3d.link.proof import proved
from tracking3d.link.reference import chosen_of, optimum

SEEDS = st.integers(0, 2**32 - 1)


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
