"""What divisions and links are worth: against the formulas written out for one case, and against what was simulated."""

from __future__ import annotations

from math import log, pi

import numpy as np
import pytest
from scipy.stats import multivariate_t, norm

from tracking3d.detections import Detections
from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.divisions import KEPT, LATEST, Habits, learnt_habits, triplets
from tracking3d.link.likelihood import ODD, Rates, Volumes, kept_out, link_gain, volumes
from tracking3d.link.motion import Motion, still
from tracking3d.link.scene import Scene, scene

RATES = Rates()


def _unmoving(seen: Scene, scale: float = 2.0) -> Motion:
    return still(seen)._replace(scale=np.full(3, scale))


def _unknown(seen: Scene) -> Volumes:
    return Volumes(np.full(len(seen), np.nan), np.zeros(len(seen)))


@pytest.fixture
def family() -> Scene:
    """A mother at 0 in frame 1, daughters at ±4 µm in frame 2, among strangers in frames 0 to 3, 20 µm apart."""
    strangers = [(t, 0.0, 20.0 * k, 20.0) for t in range(4) for k in range(-2, 3)]
    rows = np.array([(1, 0, 0, 0), (2, 0, -4, 0), (2, 0, 4, 0), *strangers])
    size = np.array([300.0, 150, 140, *[300] * len(strangers)])
    return scene(Detections.of(rows[:, 0].astype(int), rows[:, 1:], size))


def _at(seen: Scene, t: int, y: float, x: float = 0.0) -> int:
    return int(np.flatnonzero((seen.t == t) & (seen.zyx == (0, y, x)).all(axis=1))[0])


def test_a_division_is_worth_what_its_formula_says(family: Scene):
    mother, one, other = _at(family, 1, 0), _at(family, 2, -4), _at(family, 2, 4)
    motion, habits = _unmoving(family), Habits()
    found = candidates(family, motion, Gate())
    volume = volumes(family, np.full(len(family), -1))
    made = triplets(family, found, motion, volume, RATES, habits)
    at = np.flatnonzero((made.cells == (mother, one, other)).all(axis=1))
    place = multivariate_t(np.zeros(3), (habits.midpoint * 2.0) ** 2 * np.eye(3), df=4).logpdf(np.zeros(3))
    apart, spacing = 8.0, family.spacing[mother]
    expected = log(RATES.divide) + place + norm(habits.apart, habits.apart_spread).logpdf(log(apart / spacing))
    expected += -log(apart) - log(4 * pi * apart**2) + log(2) - log(RATES.vanish)
    for daughter in (one, other):
        expected += log(1 - RATES.miss) - family.log_density[daughter] - log(RATES.appear)
    expected += norm(habits.whole, habits.whole_spread).logpdf(log(290 / 300))
    expected += norm(0, habits.uneven_spread).logpdf(log(150 / 140))
    expected -= volume.log_stranger[one] + volume.log_stranger[other]
    assert made.gain[at] == pytest.approx([expected])


def test_a_link_is_worth_what_its_formula_says(family: Scene):
    one, stranger = _at(family, 1, 20, 20), _at(family, 3, 20, 20)
    motion, volume = _unmoving(family), volumes(family, np.full(len(family), -1))
    found = candidates(family, motion, Gate())
    at = np.flatnonzero((found.pairs == (one, stranger)).all(axis=1))
    place = multivariate_t(np.zeros(3), 4.0 * np.eye(3), df=4).logpdf(np.zeros(3))
    # Over a missed frame, into the last one, where a track's end is certain but not its beginning.
    expected = log(1 - RATES.divide - RATES.vanish) + log(RATES.miss) + log(1 - RATES.miss) + place
    expected -= family.log_density[stranger] + log(RATES.appear) + log(RATES.vanish)
    odds = np.exp(norm(0, volume.step).logpdf(0) - volume.log_stranger[stranger])
    expected += log((1 - ODD) * odds + ODD)
    assert link_gain(family, found, motion, volume, RATES)[at] == pytest.approx([expected])


def test_appearing_at_first_and_vanishing_at_last_cost_nothing(family: Scene):
    gain = kept_out(family, RATES)
    assert gain[family.t == 0] == pytest.approx(log(RATES.false / RATES.vanish))
    assert gain[family.t == 3] == pytest.approx(log(RATES.false / RATES.appear))
    assert gain[family.t == 1] == pytest.approx(log(RATES.false / RATES.appear / RATES.vanish))


def test_the_true_daughters_are_the_likeliest_and_none_comes_late(family: Scene):
    motion = _unmoving(family)
    made = triplets(family, candidates(family, motion, Gate()), motion, _unknown(family), RATES, Habits())
    mother = _at(family, 1, 0)
    mine = made.cells[:, 0] == mother
    assert set(made.cells[mine][0, 1:].tolist()) == {_at(family, 2, -4), _at(family, 2, 4)}
    assert (np.diff(made.gain[mine]) <= 0).all()
    assert (np.bincount(made.cells[:, 0]) <= KEPT).all()
    assert (family.t[made.cells[:, 1:]] - family.t[made.cells[:, :1]] <= LATEST).all()
    assert (made.gain > 0).all()
    assert (made.cells[:, 1] != made.cells[:, 2]).all()


def test_volumes_that_do_not_add_up_speak_against_a_division(family: Scene):
    motion = _unmoving(family)
    found = candidates(family, motion, Gate())
    grown = family.log_volume.copy()
    cells = [_at(family, 1, 0), _at(family, 2, -4), _at(family, 2, 4)]
    grown[cells[1:]] += log(2)

    def worth(log_volume: np.ndarray) -> float:
        made = triplets(family, found, motion, Volumes(log_volume, np.zeros(len(family))), RATES, Habits())
        return float(made.gain[(made.cells == cells).all(axis=1)][0])

    assert worth(family.log_volume) > worth(grown) + 1


def test_habits_are_learnt_from_many_divisions(rng):
    n, apart = 400, 6.0
    mother = rng.uniform(0, 300, (n, 3))
    across = rng.normal(0, 1, (n, 3))
    across *= 0.5 * apart * np.exp(rng.normal(0, 0.1, (n, 1))) / np.linalg.norm(across, axis=1, keepdims=True)
    middle = mother + rng.normal(0, 0.5, (n, 3))
    share = 1 / (1 + np.exp(rng.normal(0, 0.2, n)))
    whole = 300 * 0.9 * np.exp(rng.normal(0, 0.1, n))
    volume = np.concatenate([np.full(n, 300.0), whole * share, whole * (1 - share)])
    cells = Detections.of(np.repeat([0, 1, 1], n), np.concatenate([mother, middle + across, middle - across]), volume)
    seen = scene(cells)
    family = np.argsort(seen.order).reshape(3, n).T
    habits = learnt_habits(seen, family, _unmoving(seen, 1.0))
    typical = np.median(np.log(apart / seen.spacing[family[:, 0]]))
    assert habits.apart == pytest.approx(typical, abs=0.1)
    assert habits.whole == pytest.approx(log(0.9), abs=0.03)
    assert habits.whole_spread == pytest.approx(0.1, abs=0.05)
    assert habits.uneven_spread == pytest.approx(0.2, abs=0.05)
    assert habits.midpoint == pytest.approx(0.45, abs=0.1)


def test_without_divisions_habits_stay_as_assumed(family: Scene):
    assert learnt_habits(family, np.zeros((0, 3), int), _unmoving(family)) == pytest.approx(Habits())


def test_the_change_of_volumes_is_learnt_from_links(rng):
    n = 500
    size = rng.lognormal(5, 0.5, n)
    cells = Detections.of(
        np.repeat([0, 1], n),
        np.tile(rng.uniform(0, 100, (n, 3)), (2, 1)),
        np.concatenate([size, size * np.exp(rng.normal(0, 0.15, n))]),
    )
    seen = scene(cells)
    where = np.argsort(seen.order)
    learnt = volumes(seen, np.where(seen.order >= n, where[seen.order - n], -1))
    assert learnt.step == pytest.approx(0.15, rel=0.15)
    spread = norm(0, np.std(np.log(size))).logpdf(0)
    assert learnt.log_stranger.max() == pytest.approx(spread, abs=0.1)
