"""The sparse matching against scipy's dense one, and the packing of bundles against an integer program."""

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
from tracking3d.link.matching import begin, closed, graph, match, open_all, opened, restore
from tracking3d.link.motion import learnt
from tracking3d.link.packing import Bundles, Packing, bundled, joined, pack
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
    made = graph(row, column, gain[row, column], *gain.shape)
    total = open_all(made, len(gain))
    for _ in range(12):
        place = int(rng.integers(len(made.price)))
        was_open = made.open[place]
        change = closed(np.array([place]), made) if was_open else opened(place, made)
        total += change
        assert change == 0 or (change < 0) == was_open
        among = there & made.open[: len(gain), None] & made.open[len(gain) :]
        assert total == pytest.approx(_optimum(gain, among), abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=100)
def test_places_that_leave_together_cost_what_they_cost_and_a_limit_stops_only_what_exceeds_it(seed: int):
    gain, there = _graph(seed)
    rng = np.random.default_rng(seed)
    row, column = np.nonzero(there)
    made = graph(row, column, gain[row, column], *gain.shape)
    total = open_all(made, len(gain))
    shut = rng.permutation(len(made.price))[: rng.integers(1, 7)]
    stays = np.isin(np.arange(len(made.price)), shut, invert=True)
    loss = total - _optimum(gain, there & stays[: len(gain), None] & stays[len(gain) :])
    most = float(rng.uniform(0, 1.5 * loss + 0.1))
    begin(made, 1)
    assert min(-closed(shut, made, most), most) == pytest.approx(min(loss, most), abs=1e-9)
    price = made.price.copy()
    restore(made)
    made.open[:] = True
    begin(made, 2)
    assert -closed(shut, made) == pytest.approx(loss, abs=1e-9)
    assert np.array_equal(made.open, stays)
    for prices in (price, made.price):
        left = prices[row] + prices[len(gain) + column] - gain[row, column]
        assert left[stays[row] & stays[len(gain) + column]].min(initial=0) >= -1e-9
        assert prices.sum() == pytest.approx(total, abs=1e-9)
    assert made.price[shut].sum() == pytest.approx(loss, abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=50)
def test_prices_prove_the_optimum(seed: int):
    gain, there = _graph(seed)
    row, column = np.nonzero(there)
    made = graph(row, column, gain[row, column], *gain.shape)
    total = open_all(made, len(gain))
    assert (made.price >= -1e-12).all()
    assert (made.price[row] + made.price[len(gain) + column] >= gain[row, column] - 1e-9).all()
    assert made.price.sum() == pytest.approx(total, abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=50)
def test_a_columns_price_is_what_the_total_loses_without_it(seed: int):
    gain, there = _graph(seed)
    row, column = np.nonzero(there)
    made = graph(row, column, gain[row, column], *gain.shape)
    total = open_all(made, len(gain))
    for lost in range(gain.shape[1]):
        without = there & (np.arange(gain.shape[1]) != lost)
        assert made.price[len(gain) + lost] == pytest.approx(total - _optimum(gain, without), abs=1e-9)


@given(SEEDS)
@settings(deadline=None, max_examples=50)
def test_a_trial_that_is_taken_back_leaves_no_trace(seed: int):
    gain, there = _graph(seed)
    rng = np.random.default_rng(seed)
    row, column = np.nonzero(there)
    made = graph(row, column, gain[row, column], *gain.shape)
    open_all(made, len(gain))
    price, mate = made.price.copy(), made.mate.copy()
    for trial in (1, 2):
        begin(made, trial)
        shut = rng.permutation(len(price))[:4]
        closed(shut, made)
        opened(int(shut[0]), made)
        restore(made)
        made.open[:] = True
        assert np.array_equal(made.price, price)
        assert np.array_equal(made.mate, mate)
        assert np.isinf(made.distance).all()


def test_an_empty_graph_matches_nothing():
    none = np.zeros(0, int)
    assert match(none, none, np.zeros(0), 0, 0).shape == (0,)
    assert (match(none, none, np.zeros(0), 3, 2) == -1).all()


def _packing(seed: int, few: float = 0.1) -> tuple[int, np.ndarray, np.ndarray, Bundles]:
    """Links among up to 12 cells, divisions among them, and every other time bundles of two to six places."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 13))
    links = [(a, b) for a in range(n) for b in range(a, n) if rng.random() < 0.4]
    triplets = [(a, n + b, n + c) for a in range(n) for b in range(a + 1, n) for c in range(b + 1, n)]
    triplets = [triplet for triplet in triplets if rng.random() < few]
    kinds = [bundled(np.array(triplets, int).reshape(-1, 3), rng.normal(2, 3, len(triplets)))]
    for _ in range(int(rng.integers(0, 8)) if seed % 2 else 0):
        claims = rng.permutation(2 * n)[: rng.integers(2, 7)]
        kinds.append(bundled(claims[None], rng.normal(3, 4, 1)))
    pairs = np.array(links, int).reshape(-1, 2)
    return n, pairs, rng.normal(1, 2, len(pairs)), joined(kinds)


def _integer_optimum(n: int, links: np.ndarray, gain: np.ndarray, bundles: Bundles) -> float:
    """The best total by branch and bound (HiGHS)."""
    if len(links) + len(bundles.worth) == 0:
        return 0.0
    link = np.arange(len(links))
    place = np.concatenate([links[:, 0], n + links[:, 1], bundles.place])
    column = np.concatenate([link, link, len(links) + bundles.owner])
    once = coo_array((np.ones(len(column)), (place, column)), shape=(2 * n, len(gain) + len(bundles.worth)))
    solved = milp(
        -np.concatenate([gain, bundles.worth]),
        constraints=LinearConstraint(once.tocsr(), -np.inf, 1),
        integrality=np.ones(once.shape[1]),
        bounds=Bounds(0, 1),
    )
    assert solved.success
    return float(-solved.fun)


def _value(packing: Packing, n: int, links: np.ndarray, gain: np.ndarray, bundles: Bundles) -> float:
    """What was chosen is worth; fails where a link is none of those offered, or a place is claimed twice."""
    of_link = dict(zip(map(tuple, links.tolist()), gain, strict=True))
    child = np.flatnonzero(packing.parent >= 0)
    chosen = bundles.take(np.flatnonzero(packing.taken))
    claimed = np.concatenate([packing.parent[child], n + child, chosen.place])
    assert len(np.unique(claimed)) == len(claimed)
    return sum(of_link[(int(packing.parent[b]), int(b))] for b in child) + float(chosen.worth.sum())


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_packing_is_a_legal_choice_near_the_integer_optimum(seed: int):
    problem = _packing(seed)
    packing = pack(*problem)
    optimum = _integer_optimum(*problem)
    assert _value(packing, *problem) == pytest.approx(packing.total, abs=1e-8)
    assert packing.total <= optimum + 1e-6
    assert packing.total >= 0.75 * optimum - 1e-6


def test_packing_of_crowded_bundles_loses_a_percent_at_most():
    problems = [_packing(seed) for seed in range(60)]
    reached = sum(pack(*problem).total for problem in problems)
    assert reached >= 0.99 * sum(_integer_optimum(*problem) for problem in problems)


def test_packing_of_a_real_scene_reaches_the_integer_optimum_to_a_thousandth(embryo: Tracks):
    cells = scene(embryo.detections)
    rates = Rates()
    motion = learnt(cells, first_links(cells, Gate(), np.ones(len(cells), bool)), 3)
    found, volume = candidates(cells, motion, Gate()), volumes(cells, np.full(len(cells), -1))
    gain = link_gain(cells, found, motion, volume, rates)
    splits = triplets(cells, found, motion, volume, rates, Habits())
    own = np.arange(len(cells))
    links = np.concatenate([found.pairs[gain > 0], np.column_stack([own, own])])
    worth = np.concatenate([gain[gain > 0], kept_out(cells, rates)])
    problem = len(cells), links, worth, splits.bundles(len(cells))
    assert len(splits.gain) > 1000
    assert pack(*problem).total >= 0.999 * _integer_optimum(*problem)


def test_packing_without_bundles_is_the_matching():
    n, links, gain, _ = _packing(7)
    nothing = bundled(np.zeros((0, 3), int), np.zeros(0))
    packing = pack(n, links, gain, nothing)
    assert np.array_equal(packing.parent, match(links[:, 1], links[:, 0], gain, n, n))
    assert packing.total == pytest.approx(_integer_optimum(n, links, gain, nothing))


def test_a_division_enters_only_where_it_beats_both_links_it_displaces():
    #   0 --> 2      the links 0 → 2 and 1 → 3 are worth 3 each;
    #   1 --> 3      0 dividing into 2 and 3 costs both.
    links, gain = np.array([[0, 2], [1, 3]]), np.array([3.0, 3.0])
    for worth, parents in ((5.9, [-1, -1, 0, 1]), (6.1, [-1, -1, -1, -1])):
        packing = pack(4, links, gain, bundled(np.array([[0, 4 + 2, 4 + 3]]), np.array([worth])))
        assert packing.parent.tolist() == parents
        assert packing.taken.tolist() == [worth > 6]
        assert packing.total == pytest.approx(max(worth, 6.0))


def test_two_tracks_through_one_cell_claim_the_places_of_all_five():
    #   0 --> 2 --> 3    cell 2 stands for two cells that touch: 0 → 2 → 3 and 1 → 4 pass through it together,
    #   1 - - - - > 4    and every link of any of them alone is worth less.
    links = np.array([[0, 2], [2, 3], [1, 4], [1, 2], [2, 4]])
    through = bundled(np.array([[0, 2, 1, 5 + 2, 5 + 3, 5 + 4]]), np.array([9.0]))
    packing = pack(5, links, np.full(5, 2.9), through)
    assert packing.taken.tolist() == [True]
    assert (packing.parent == -1).all()
    assert pack(5, links, np.full(5, 3.1), through).total == pytest.approx(9.3)
