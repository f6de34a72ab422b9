"""The sparse matching against scipy's dense one, and the packing of divisions against an integer program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp
from scipy.sparse import coo_array

from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.constraint import first_links
from tracking3d.link.divisions import Habits, triplets
from tracking3d.link.likelihood import Rates, kept_out, link_gain, volumes
from tracking3d.link.matching import closed, match, open_all, opened, sides
from tracking3d.link.motion import learnt
from tracking3d.link.packing import pack
from tracking3d.link.scene import scene
from tracking3d.tracks import Tracks

SEEDS = st.integers(0, 2**32 - 1)


def _graph(seed: int, most: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Gains (n, m), every third graph of whole numbers, which tie; and which edges there are."""
    rng = np.random.default_rng(seed)
    gain = rng.normal(0, 2, rng.integers(1, most, 2))
    return np.rint(gain) if seed % 3 == 0 else gain, rng.random(gain.shape) < rng.uniform(0.2, 1)


def _optimum(gain: np.ndarray, there: np.ndarray) -> float:
    """Best total by the Hungarian method; staying alone is worth 0."""
    full = np.where(there, np.maximum(gain, 0), 0)
    return float(full[linear_sum_assignment(full, maximize=True)].sum())


@given(SEEDS)
@settings(deadline=None, max_examples=150)
def test_matching_reaches_the_optimum_of_the_hungarian_method(seed: int):
    gain, there = _graph(seed)
    row, column = np.nonzero(there)
    mate = match(row, column, gain[row, column], *gain.shape)
    taken = np.flatnonzero(mate >= 0)
    assert there[taken, mate[taken]].all()
    assert len(np.unique(mate[taken])) == len(taken)
    assert gain[taken, mate[taken]].sum() == pytest.approx(_optimum(gain, there), abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=100)
def test_opening_and_closing_keep_the_optimum_of_what_is_open(seed: int):
    gain, there = _graph(seed)
    rng = np.random.default_rng(seed)
    row, column = np.nonzero(there)
    mine, theirs = sides(row, column, gain[row, column], *gain.shape)
    theirs.open[:] = True
    total = open_all(mine, theirs)
    for _ in range(12):
        here, there_side = (mine, theirs) if rng.random() < 0.5 else (theirs, mine)
        vertex = int(rng.integers(len(here.price)))
        change = (closed if here.open[vertex] else opened)(vertex, here, there_side)
        total += change
        assert (change <= 0) == (not here.open[vertex] or change == 0)
        assert total == pytest.approx(_optimum(gain, there & mine.open[:, None] & theirs.open), abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=50)
def test_prices_prove_the_optimum(seed: int):
    gain, there = _graph(seed)
    row, column = np.nonzero(there)
    mine, theirs = sides(row, column, gain[row, column], *gain.shape)
    theirs.open[:] = True
    total = open_all(mine, theirs)
    assert (mine.price >= -1e-12).all()
    assert (theirs.price >= -1e-12).all()
    assert (mine.price[row] + theirs.price[column] >= gain[row, column] - 1e-9).all()
    assert mine.price.sum() + theirs.price.sum() == pytest.approx(total, abs=1e-9)


def test_an_empty_graph_matches_nothing():
    none = np.zeros(0, int)
    assert match(none, none, np.zeros(0), 0, 0).shape == (0,)
    assert (match(none, none, np.zeros(0), 3, 2) == -1).all()


def _packing(seed: int, few: float) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 13))
    links = [(a, b) for a in range(n) for b in range(a, n) if rng.random() < 0.4]
    triplets = [(a, b, c) for a in range(n) for b in range(a + 1, n) for c in range(b + 1, n) if rng.random() < few]
    pairs, triples = np.array(links, int).reshape(-1, 2), np.array(triplets, int).reshape(-1, 3)
    return n, pairs, rng.normal(1, 2, len(pairs)), triples, rng.normal(2, 3, len(triples))


def _integer_optimum(n, links, gain, triplets, worth) -> float:
    """The best total by branch and bound (HiGHS)."""
    if len(links) + len(triplets) == 0:
        return 0.0
    places = [links[:, 0], n + links[:, 1], triplets[:, 0], n + triplets[:, 1], n + triplets[:, 2]]
    link, split = np.arange(len(links)), len(links) + np.arange(len(triplets))
    column = np.concatenate([link, link, split, split, split])
    once = coo_array((np.ones(len(column)), (np.concatenate(places), column)), shape=(2 * n, len(gain) + len(worth)))
    solved = milp(
        -np.concatenate([gain, worth]),
        constraints=LinearConstraint(once.tocsr(), -np.inf, 1),
        integrality=np.ones(once.shape[1]),
        bounds=Bounds(0, 1),
    )
    assert solved.success
    return float(-solved.fun)


def _value(parent, links, gain, triplets, worth) -> float:
    """What chosen parents are worth; KeyError where a choice is none of those offered."""
    of_link = dict(zip(map(tuple, links.tolist()), gain, strict=True))
    of_triplet = dict(zip(map(tuple, triplets.tolist()), worth, strict=True))
    total = 0.0
    for mother in np.unique(parent[parent >= 0]):
        children = np.flatnonzero(parent == mother).tolist()
        total += of_link[(mother, *children)] if len(children) == 1 else of_triplet[(mother, *children)]
    return total


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_packing_is_a_legal_choice_near_the_integer_optimum(seed: int):
    problem = _packing(seed, few=0.1)
    parent, total = pack(*problem)
    optimum = _integer_optimum(*problem)
    assert _value(parent, *problem[1:]) == pytest.approx(total, abs=1e-8)
    assert total <= optimum + 1e-6
    assert total >= 0.75 * optimum - 1e-6


def test_packing_of_crowded_divisions_loses_a_percent_at_most():
    problems = [_packing(seed, few=0.1) for seed in range(60)]
    reached = sum(pack(*problem)[1] for problem in problems)
    assert reached >= 0.99 * sum(_integer_optimum(*problem) for problem in problems)


def test_packing_of_a_real_scene_reaches_the_integer_optimum_to_a_thousandth(embryo: Tracks):
    cells = scene(embryo.detections)
    rates = Rates()
    motion = learnt(cells, first_links(cells, Gate()), 3)
    found, volume = candidates(cells, motion, Gate()), volumes(cells, np.full(len(cells), -1))
    gain = link_gain(cells, found, motion, volume, rates)
    splits = triplets(cells, found, motion, volume, rates, Habits())
    own = np.arange(len(cells))
    links = np.concatenate([found.pairs[gain > 0], np.column_stack([own, own])])
    worth = np.concatenate([gain[gain > 0], kept_out(cells, rates)])
    problem = len(cells), links, worth, splits.cells, splits.gain
    assert len(splits.gain) > 1000
    assert pack(*problem)[1] >= 0.999 * _integer_optimum(*problem)


def test_packing_without_divisions_is_the_matching():
    n, links, gain, _, _ = _packing(7, few=0.0)
    parent, total = pack(n, links, gain, np.zeros((0, 3), int), np.zeros(0))
    assert np.array_equal(parent, match(links[:, 1], links[:, 0], gain, n, n))
    assert total == pytest.approx(_integer_optimum(n, links, gain, np.zeros((0, 3), int), np.zeros(0)))


def test_a_division_enters_only_where_it_beats_both_links_it_displaces():
    #   0 --> 2      the links 0 → 2 and 1 → 3 are worth 3 each;
    #   1 --> 3      0 dividing into 2 and 3 costs both.
    links, gain = np.array([[0, 2], [1, 3]]), np.array([3.0, 3.0])
    for worth, parents in ((5.9, [-1, -1, 0, 1]), (6.1, [-1, -1, 0, 0])):
        parent, total = pack(4, links, gain, np.array([[0, 2, 3]]), np.array([worth]))
        assert parent.tolist() == parents
        assert total == pytest.approx(max(worth, 6.0))
