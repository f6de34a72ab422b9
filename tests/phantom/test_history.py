"""Between moments cells are interpolated, their volumes kept; any instrument's frames get the true lineage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from phantom.cells.config import CellsConfig
from phantom.cells.history import History, turned
from phantom.cells.lives import Looks, newborn, put
from phantom.cells.simulation import simulated
from phantom.lineage import Lineage
from volumes.errors import ConfigError

LOOKS = Looks(4.0, 0.1, 0.2, 0.025, 0.3, 1.6)


class Everywhere:
    centre_um = np.zeros(3)
    extent_um = np.full(3, 50.0)

    def living(self, points):
        return np.ones(len(points), bool)


def moment(numbers, mothers=None, seed=0):
    rng = np.random.default_rng([seed, *numbers])
    cells = put(newborn(len(numbers), 1, LOOKS, rng), 20 * rng.standard_normal((len(numbers), 3))).seen(0.0, 1.0)
    fields = {name: getattr(cells, name) for name in cells.__dataclass_fields__}
    mother = np.array(mothers or [0] * len(numbers), np.int32)
    return Cells(**fields | {"number": np.array(numbers, np.int32), "mother": mother})


@pytest.fixture(scope="module")
def busy():
    """A short life with many divisions."""
    config = CellsConfig(density=0.2, cycle_h=0.4, mitosis_s=100.0, deaths_per_h=0.3)
    return simulated(config, Everywhere(), [60.0 * k for k in range(25)], 0.5, np.random.default_rng(11))


def test_the_moments_are_hit_exactly(busy):
    for time_s, cells in zip(busy.times_s, busy.moments, strict=True):
        assert busy.at(time_s) is cells


@pytest.mark.parametrize("time_s", [-1.0, 1441.0, np.nan])
def test_outside_of_the_span_is_refused(busy, time_s):
    with pytest.raises(ConfigError, match="live from"):
        busy.at(time_s)


@pytest.mark.parametrize(
    ("times", "count"), [([], 0), ([0.0, 0.0], 2), ([1.0, 0.0], 2), ([0.0, np.nan], 2), ([0.0], 2)]
)
def test_times_that_do_not_fit_are_refused(times, count):
    with pytest.raises(ConfigError, match="times_s"):
        History(np.array(times), tuple(moment([1]) for _ in range(count)))


@settings(deadline=None, max_examples=30)
@given(w=st.floats(0, 1), seed=st.integers(0, 1000))
def test_frames_keep_a_volume_that_stays_and_meet_both_ends(w, seed):
    rng = np.random.default_rng(seed)
    axes = np.exp(0.3 * rng.standard_normal((2, 5, 3)))
    axes /= np.cbrt(axes.prod(-1, keepdims=True))
    a, b = (4 * Rotation.random(5, rng=rng).as_matrix() * e[:, None] for e in axes)
    np.testing.assert_allclose(np.linalg.det(turned(a, b, w)), 64, rtol=1e-10)
    np.testing.assert_allclose(turned(a, b, 0.0), a, atol=1e-10)
    np.testing.assert_allclose(turned(a, b, 1.0), b, atol=1e-10)
    np.testing.assert_allclose(np.linalg.det(turned(a, 2 * b, w)), 64 * 8**w, rtol=1e-10)


def test_a_turn_is_even():
    turn = Rotation.from_rotvec([0.0, 0.6, 0.8]).as_matrix()
    axes = np.diag([5.0, 3.0, 2.0])
    quarter = turned(axes[None], (turn @ axes)[None], 0.25)[0]
    np.testing.assert_allclose(quarter, Rotation.from_rotvec([0.0, 0.15, 0.2]).as_matrix() @ axes, atol=1e-12)


def test_what_stays_moves_in_a_straight_line():
    a, b = moment([1, 2, 3]), moment([3, 1, 2], seed=1)
    between = History(np.array([0.0, 10.0]), (a, b)).at(2.5)
    np.testing.assert_array_equal(between.number, [1, 2, 3])
    np.testing.assert_allclose(between.centre_um, 0.75 * a.centre_um + 0.25 * b.centre_um[[1, 2, 0]])
    np.testing.assert_allclose(between.brightness, 0.75 * a.brightness + 0.25 * b.brightness[[1, 2, 0]])
    late = History(np.array([0.0, 10.0]), (a, b)).at(7.5)
    np.testing.assert_array_equal(late.number, [3, 1, 2])


def test_a_mother_gives_way_half_way_and_their_centroid_goes_straight():
    a, b = moment([1, 2]), moment([2, 5, 6], [0, 1, 1])
    history = History(np.array([0.0, 10.0]), (a, b))
    weight = b.volume_um3[1:] / b.volume_um3[1:].sum()
    start, end = a.centre_um[0], weight @ b.centre_um[1:]
    for time_s in (1.0, 4.9, 5.0, 8.0):
        cells = history.at(time_s)
        expected = start + (end - start) * time_s / 10
        if time_s < 5:
            np.testing.assert_array_equal(cells.number, [1, 2])
            np.testing.assert_allclose(cells.centre_um[0], expected)
            assert cells.volume_um3[0] == pytest.approx(a.volume_um3[0])
        else:
            np.testing.assert_array_equal(cells.number, [2, 5, 6])
            np.testing.assert_allclose(weight @ cells.centre_um[1:], expected)
            np.testing.assert_allclose(np.diff(cells.centre_um[1:], axis=0), np.diff(b.centre_um[1:], axis=0))


def brute(history, times):
    """Each row's parent by walking back through the frames, as (frame, number) → (frame, number); all heirs kept."""
    mothers = {int(n): int(m) for c in history.moments for n, m in zip(c.number, c.mother, strict=True)}
    seen = [set(history.at(t).number.tolist()) for t in times]
    out = {}
    for f, names in enumerate(seen):
        for name in names:
            ancestor, found = name, None
            while ancestor and found is None:
                found = next(((g, ancestor) for g in range(f - 1, -1, -1) if ancestor in seen[g]), None)
                ancestor = mothers.get(ancestor, 0)
            out[f, name] = found
    return out


@pytest.mark.parametrize("step", [60.0, 250.0, 1430.0])
def test_tracks_are_those_of_brute_force(busy, step):
    times = np.arange(0, 1440.0, step)
    tracks = busy.tracks(times)
    expected = brute(busy, times)
    who = list(zip(tracks.frame.tolist(), tracks.number.tolist(), strict=True))
    assert sorted(who) == sorted(expected)
    heirs = {}
    for key, up in expected.items():
        heirs.setdefault(up, []).append(key)
    cut = 0
    for key, parent in zip(who, tracks.parent.tolist(), strict=True):
        if parent >= 0:
            assert who[parent] == expected[key]
        elif expected[key] is not None:
            assert len(heirs[expected[key]]) > 2
            cut += 1
    for up, all_heirs in heirs.items():
        if up is not None:
            assert sum(who[p] == up for p in tracks.parent.tolist() if p >= 0) == min(2, len(all_heirs))
    assert cut == sum(max(0, len(h) - 2) for up, h in heirs.items() if up is not None)
    if step == 1430.0:
        assert cut > 0


@pytest.mark.parametrize("step", [33.0, 250.0, 700.0])
def test_tracks_make_a_lineage(busy, step):
    times = np.arange(0, 1440.0, step)
    tracks = busy.tracks(times)
    zyx = np.concatenate([busy.at(t).centre_um for t in times])
    lineage = Lineage(tracks.frame, zyx, tracks.parent)
    for k in range(0, len(lineage), 17):
        there = busy.at(times[tracks.frame[k]])
        assert there.number[tracks.row[k]] == tracks.number[k]
    assert len(lineage.dividing) > 5


def family():
    """1 divides into 2 and 3; both divide before the next frame: 2 into 4 and 5, 3 into 6 and 7."""
    moments = (moment([1]), moment([2, 3], [1, 1]), moment([4, 5, 6, 7], [2, 2, 3, 3]))
    return History(np.array([0.0, 1.0, 2.0]), moments)


def test_of_four_grandchildren_one_of_each_branch_is_kept():
    tracks = family().tracks([0.0, 2.0])
    np.testing.assert_array_equal(tracks.number, [1, 4, 5, 6, 7])
    np.testing.assert_array_equal(tracks.parent, [-1, 0, -1, 0, -1])


def test_of_three_heirs_the_daughter_comes_first():
    moments = (moment([1]), moment([2, 3], [1, 1]), moment([4, 5, 3], [2, 2, 1]))
    tracks = History(np.array([0.0, 1.0, 2.0]), moments).tracks([0.0, 2.0])
    np.testing.assert_array_equal(tracks.parent[np.argsort(tracks.number)], [-1, 0, 0, -1])


def test_both_grandchildren_of_the_only_branch_left_are_kept():
    moments = (moment([1]), moment([2, 3], [1, 1]), moment([4, 5], [2, 2]))
    tracks = History(np.array([0.0, 1.0, 2.0]), moments).tracks([0.0, 2.0])
    np.testing.assert_array_equal(tracks.parent, [-1, 0, 0])


def test_a_cell_that_was_away_is_the_same_cell():
    moments = (moment([1, 2]), moment([2]), moment([1, 2]))
    tracks = History(np.array([0.0, 1.0, 2.0]), moments).tracks([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(tracks.parent, [-1, -1, 1, 0, 2])


def test_a_moment_without_cells():
    history = History(np.array([0.0, 1.0]), (Cells.none(), moment([1])))
    assert [len(history.at(t)) for t in (0.0, 0.4, 0.6, 1.0)] == [0, 0, 1, 1]
    assert history.tracks([0.0, 1.0]).parent.tolist() == [-1]


def test_the_same_generator_gives_the_same_history(busy):
    config = CellsConfig(density=0.2, cycle_h=0.4, mitosis_s=100.0, deaths_per_h=0.3)
    again = simulated(config, Everywhere(), busy.times_s, 0.5, np.random.default_rng(11))
    for a, b in zip(busy.moments, again.moments, strict=True):
        for name in a.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
