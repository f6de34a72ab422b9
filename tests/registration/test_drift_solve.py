"""Positions from redundant pairs: exact where they agree, unmoved by a few that are wrong, silent where none lead."""

from __future__ import annotations

import numpy as np
import pytest

from registration.drift.solve import Pairs, solve

FLOOR = 0.01


def pairs_of(path, gaps=(1, 2, 4), noise=0.0, seed=0):
    ends = np.array([(a, a + g) for g in gaps for a in range(len(path) - g)])
    rng = np.random.default_rng(seed)
    shift = path[ends[:, 1]] - path[ends[:, 0]] + noise * rng.standard_normal((len(ends), 3))
    return Pairs(ends[:, 0], ends[:, 1], shift, np.full(len(ends), 0.9), np.full(len(ends), max(noise, 1e-6) * 3**0.5))


@pytest.fixture
def path(rng):
    out = np.cumsum(rng.standard_normal((30, 3)), axis=0)
    return out - out[7]


def test_pairs_that_agree_give_the_path(path):
    found = solve(30, pairs_of(path), 7, FLOOR)
    np.testing.assert_allclose(found.position_um, path, atol=1e-9)
    assert found.wrong == 0
    assert found.error_um[7] == 0


def test_without_outliers_it_is_least_squares(path):
    """Against numpy's own solver, where all residuals are far below what weighs less."""
    pairs = pairs_of(path, noise=0.001)
    design = np.zeros((len(pairs.first), 30))
    design[np.arange(len(pairs.first)), pairs.first] = -1
    design[np.arange(len(pairs.first)), pairs.second] = 1
    plain = np.linalg.lstsq(np.delete(design, 7, 1), pairs.shift_um, rcond=None)[0]
    found = solve(30, pairs, 7, 1.0)
    np.testing.assert_allclose(np.delete(found.position_um, 7, 0), plain, atol=1e-6)


def test_pairs_that_are_wrong_drop_out(path, rng):
    pairs = pairs_of(path, gaps=(1, 2, 4, 8), noise=0.02)
    bad = rng.choice(len(pairs.first), len(pairs.first) // 8, replace=False)
    pairs.shift_um[bad] += rng.uniform(5, 30, (len(bad), 3))
    found = solve(30, pairs, 7, FLOOR)
    assert np.linalg.norm(found.position_um - path, axis=1).max() < 0.15
    assert found.wrong == pytest.approx(len(bad) / len(pairs.first), abs=0.02)


def test_frames_that_no_pair_leads_to_have_no_place(path):
    pairs = pairs_of(path, gaps=(1,))
    kept = pairs.first != 19
    cut = Pairs(*(getattr(pairs, name)[kept] for name in ("first", "second", "shift_um", "likeness", "error_um")))
    found = solve(30, cut, 7, FLOOR)
    assert np.isnan(found.position_um[20:]).all()
    assert np.isnan(found.error_um[20:]).all()
    np.testing.assert_allclose(found.position_um[:20], path[:20], atol=1e-9)


def test_no_pair_at_all_places_the_reference_alone():
    none = Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    found = solve(3, none, 1, FLOOR)
    assert found.position_um[1].tolist() == [0, 0, 0]
    assert np.isnan(found.position_um[[0, 2]]).all()


def test_errors_add_up_along_a_chain(path):
    found = solve(30, pairs_of(path, gaps=(1,)), 7, FLOOR)
    steps = np.abs(np.arange(30) - 7)
    np.testing.assert_allclose(found.error_um, 1e-6 * np.sqrt(3 * steps), atol=1e-7)


def test_the_likelier_pair_is_believed():
    shift = np.array([[0.0, 0, 1], [0, 0, 2]])
    pairs = Pairs(np.array([0, 0]), np.array([1, 1]), shift, np.array([0.95, 0.3]), np.ones(2))
    found = solve(2, pairs, 0, 1.0)
    assert found.position_um[1, 2] < 1.1
