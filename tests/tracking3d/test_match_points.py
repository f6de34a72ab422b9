"""Detections matched to true cells by distance: brute force over all matchings, and the default distance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking3d.detections import Detections
from tracking3d.match_points import half_spacing_um, matched_nodes
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, TableError


def _best(one: np.ndarray, other: np.ndarray, reach: float) -> tuple[int, float]:
    """The most pairs within reach, and the least summed distance of so many, by trying all."""
    apart = np.linalg.norm(one[:, None] - other[None], axis=-1)
    apart = apart if len(one) <= len(other) else apart.T
    best = (0, 0.0)
    for choice in itertools.permutations(range(apart.shape[1]), apart.shape[0]):
        kept = [row[c] for row, c in zip(apart, choice, strict=True) if row[c] <= reach]
        best = max(best, (len(kept), -float(sum(kept))))
    return best


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), reach=st.floats(0.5, 4.0))
def test_pairs_are_the_most_and_then_the_nearest(seed: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 6, 2)
    cells, truth = (Detections.of(rng.integers(0, 2, k), rng.uniform(0, 5, (k, 3))) for k in (n, m))
    node = matched_nodes(cells, truth, reach)
    got = np.flatnonzero(node >= 0)
    assert len(set(node[got].tolist())) == len(got)
    assert (cells.t[got] == truth.t[node[got]]).all()
    for frame in range(2):
        rows = got[cells.t[got] == frame]
        apart = np.linalg.norm(cells.zyx_um[rows] - truth.zyx_um[node[rows]], axis=-1)
        assert (apart <= reach).all()
        pairs, total = _best(cells.zyx_um[cells.t == frame], truth.zyx_um[truth.t == frame], reach)
        assert (len(rows), apart.sum()) == (pairs, pytest.approx(-total, abs=1e-9))


def test_equal_places_match_and_a_shift_past_the_reach_does_not(embryo: Tracks) -> None:
    cells = embryo.detections
    order = np.random.default_rng(2).permutation(len(cells))
    assert np.array_equal(matched_nodes(cells.take(order), cells, 1e-6), order)
    moved = Detections.of(cells.t, cells.zyx_um + np.array([0, 0, 1000.0]))
    assert (matched_nodes(moved, cells, 500.0) == -1).all()


def test_half_the_spacing_of_a_lattice(rng: np.random.Generator) -> None:
    places = np.stack(np.meshgrid(*(np.arange(4.0),) * 3), -1).reshape(-1, 3) * (3.0, 4.0, 5.0)
    t = np.zeros(len(places), int)
    assert half_spacing_um(Detections.of(t, places)) == 1.5
    # A frame of one cell says nothing.
    more = Detections.of(np.append(t, 1), np.append(places, [[0.5, 0.5, 0.5]], axis=0))
    assert half_spacing_um(more) == 1.5
    with pytest.raises(TableError, match="no two cells"):
        half_spacing_um(Detections.of([0, 1], [(0, 0, 0), (1, 1, 1)]))


@pytest.mark.parametrize("reach", [0.0, -1.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(reach: float) -> None:
    one = Detections.of([0], [(0, 0, 0)])
    with pytest.raises(ConfigError, match="distance_um"):
        matched_nodes(one, one, reach)
