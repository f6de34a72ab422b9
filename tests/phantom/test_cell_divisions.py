"""A division loses no volume and moves no centroid; cells round up before it, flatten after it; the dead are gone."""

from dataclasses import replace

import numpy as np
import pytest

from phantom.cells.config import CellsConfig
from phantom.cells.divisions import Cycle, divided, fated, grown
from phantom.cells.lives import Looks, newborn, put
from phantom.cells.packing import TOLERANCE, largest_overlap
from phantom.cells.simulation import simulated
from volumes.errors import ConfigError

LOOKS = Looks(4.0, 0.1, 0.2, 0.025, 0.3, 1.6)
CYCLE = Cycle(14400.0, 600.0, 0.0, 1.0)


class Everywhere:
    centre_um = np.zeros(3)
    extent_um = np.full(3, 60.0)

    def living(self, points):
        return np.ones(len(points), bool)


class Slab(Everywhere):
    """A thin layer: daughters fit along y and x only."""

    def living(self, points):
        return np.abs(points[:, 0]) < 1


@pytest.fixture
def lives(rng):
    cells = put(newborn(40, 1, LOOKS, rng), 100 * rng.standard_normal((40, 3)))
    return replace(cells, divides_s=np.where(np.arange(40) < 15, 100.0, np.inf))


def test_volume_and_centroid_stay(lives, rng):
    after = divided(lives, 100.0, LOOKS, CYCLE, Everywhere(), 41, rng)
    assert len(after) == 55
    mothers, now = lives.rows(np.arange(15)).seen(100.0, 600.0), after.seen(100.0, 600.0)
    for k, number in enumerate(mothers.number):
        pair = now.rows(now.mother == number)
        assert len(pair) == 2
        np.testing.assert_allclose(pair.volume_um3.sum(), mothers.volume_um3[k], rtol=1e-9)
        centroid = pair.volume_um3 @ pair.centre_um / pair.volume_um3.sum()
        np.testing.assert_allclose(centroid, mothers.centre_um[k], atol=1e-9)
        assert abs(pair.volume_um3[0] / mothers.volume_um3[k] - 0.5) < 0.07
        gap = np.linalg.norm(np.diff(pair.centre_um, axis=0)) - pair.radius_um.sum()
        assert gap == pytest.approx(0, abs=1e-9)
    assert sorted(after.number[-30:]) == list(range(41, 71))
    assert not set(mothers.number) & set(after.number)
    np.testing.assert_array_equal(after.rows(np.arange(25)).number, lives.number[15:])


def test_a_mother_rounds_up_and_her_daughters_flatten(lives, rng):
    before, mid, at = (lives.seen(t, 600.0).rows(np.arange(15)) for t in (-500.0, -200.0, 100.0))
    np.testing.assert_array_equal(before.condensed, 0)
    np.testing.assert_allclose(mid.condensed, 0.5)
    np.testing.assert_allclose(at.condensed, 1)
    np.testing.assert_allclose(at.bumps, 0)
    axes = np.linalg.svd(at.frame_um, compute_uv=False)
    np.testing.assert_allclose(axes, np.repeat(at.radius_um[:, None], 3, 1), rtol=1e-9)
    for cells in (mid, at):
        np.testing.assert_allclose(cells.volume_um3, before.volume_um3, rtol=1e-12)
    after = divided(lives, 130.0, LOOKS, CYCLE, Everywhere(), 41, rng)
    fading = [after.seen(t, 600.0).condensed[-30:] for t in (130.0, 400.0, 700.0)]
    assert (np.diff(fading, axis=0) < 0).all()
    np.testing.assert_array_equal(fading[-1], 0)


def test_daughters_inherit_their_brightness_and_nothing_is_negative(lives, rng):
    after = divided(lives, 100.0, LOOKS, CYCLE, Everywhere(), 41, rng).rows(np.arange(25, 55))
    ratio = after.brightness[:, :2] / lives.brightness[after.mother - 1][:, :2]
    assert 0.02 < np.log(ratio).std() < 0.15
    lacking = lives.brightness[after.mother - 1][:, 2] == 0
    np.testing.assert_array_equal(after.brightness[:, 2] == 0, lacking)


def test_a_cell_without_room_for_both_waits(lives, rng):
    flat = put(lives, lives.centre_um * [0, 1, 1])
    after = divided(flat, 100.0, LOOKS, CYCLE, Slab(), 41, rng)
    assert Slab().living(after.centre_um).all()
    assert set(after.mother[after.mother > 0]) | set(after.number) >= set(range(1, 16))


def test_growth_gives_back_what_was_lost_and_no_more(lives, rng):
    young = divided(lives, 100.0, LOOKS, CYCLE, Everywhere(), 41, rng)
    for _ in range(12):
        old = grown(young, CYCLE, 1200.0, 1e9)
        assert (old.radius_um >= young.radius_um).all()
        young = old
    mothers = lives.radius_um[young.mother[-30:] - 1]
    np.testing.assert_allclose(young.radius_um[-30:] ** 3, mothers**3, rtol=0.08)
    assert (young.radius_um <= young.full_um + 1e-12).all()
    np.testing.assert_array_equal(grown(young, CYCLE, 1200.0, 1.0).radius_um, young.radius_um)


def test_fates_follow_their_rates(rng):
    many = newborn(20000, 1, LOOKS, rng)
    fates = fated(many, Cycle(14400.0, 600.0, 0.0, 0.0), np.zeros(20000), rng, midway=False)
    assert fates.divides_s.mean() == pytest.approx(14400, rel=0.01)
    assert np.isinf(fates.dies_s).all()
    midway = fated(many, Cycle(14400.0, 600.0, 0.0, 0.0), np.zeros(20000), rng, midway=True)
    assert (midway.divides_s < 1440).mean() == pytest.approx(2**0.1 - 1, abs=0.01)
    dying = fated(many, Cycle(np.inf, 600.0, 1e-4, 0.0), np.zeros(20000), rng, midway=False)
    assert dying.dies_s.mean() == pytest.approx(10600, rel=0.03)
    assert np.isinf(dying.divides_s).all()


def test_the_dying_shrink_fade_and_are_gone(rng):
    config = CellsConfig(count=60, cycle_h=None, deaths_per_h=6.0, mitosis_s=120.0)
    history = simulated(config, Everywhere(), [60.0 * k for k in range(12)], 0.5, rng)
    counts = [len(cells) for cells in history.moments]
    assert counts[-1] < counts[0]
    assert sorted(counts, reverse=True) == counts
    gone = sorted(set(history.moments[0].number) - set(history.moments[-1].number))
    for number in gone:
        rows = [cells.rows(cells.number == number) for cells in history.moments if number in cells.number]
        shine = np.array([row.brightness[0, 0] for row in rows])
        volume = np.array([row.volume_um3[0] for row in rows])
        assert (np.diff(shine) <= 0).all()
        assert (np.diff(volume) <= 1e-9).all()
    late = [cells.condensed for cells in history.moments]
    assert max(c.max() for c in late) > 0.9


def test_a_life_never_breaks_a_rule(rng):
    config = CellsConfig(density=0.45, cycle_h=0.5, mitosis_s=120.0, deaths_per_h=0.5, brightness_spread=0.2)
    history = simulated(config, Everywhere(), [60.0 * k for k in range(10)], 0.5, rng)
    born = 0
    for before, after in zip(history.moments[:-1], history.moments[1:], strict=True):
        assert largest_overlap(after) <= TOLERANCE
        assert (np.abs(after.centre_um) <= 30).all()
        for mother in np.setdiff1d(after.mother, [0]):
            pair = after.rows(after.mother == mother)
            if mother in before.number:
                born += 1
                hers = before.volume_um3[before.number == mother][0]
                np.testing.assert_allclose(pair.volume_um3.sum(), hers, rtol=1e-9)
    assert born > 10
    assert history.moments[0].brightness[:, 0].std() > 0


def test_a_cycle_too_short_for_its_moments_is_refused(rng):
    with pytest.raises(ConfigError, match="cycle_h"):
        simulated(CellsConfig(count=5, cycle_h=0.05), Everywhere(), [0.0, 60.0], 0.5, rng)


def test_brightness_has_the_spread_of_its_difficulty(rng):
    spreads = [np.log(newborn(4000, 1, CellsConfig().looks(h), rng).brightness[:, 0]).std() for h in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(spreads, [0.05, 0.3, 0.55], rtol=0.05)
    shine = newborn(4000, 1, CellsConfig().looks(0.5), rng).brightness
    assert np.median(shine[:, 0]) == pytest.approx(1, abs=0.03)
    assert abs(np.corrcoef(shine[:, 0], shine[:, 2])[0, 1]) < 0.05
    assert (shine[:, 2] == 0).mean() == pytest.approx(0.2, abs=0.03)


def test_newborn_cells_have_the_sizes_shapes_and_turns_asked_for(rng):
    cells = newborn(4000, 7, Looks(5.0, 0.2, 0.25, 0.03, 0.3, 1.6), rng)
    logs = np.log(cells.radius_um)
    assert np.median(cells.radius_um) == pytest.approx(5.0, rel=0.01)
    assert logs.std() == pytest.approx(0.2, rel=0.05)
    assert np.abs(logs - np.log(5)).max() <= 0.5 + 1e-9
    np.testing.assert_allclose(cells.log_axes.sum(1), 0, atol=1e-12)
    assert cells.log_axes.std() == pytest.approx(0.25 * np.sqrt(2 / 3), rel=0.05)
    assert cells.bumps.std() == pytest.approx(0.03, rel=0.05)
    assert np.median(cells.body) == pytest.approx(1.6, rel=0.01)
    assert (cells.body >= 1).all()
    assert np.abs(cells.turn.mean(0)).max() < 5 / np.sqrt(3 * 4000)
    assert len(np.unique(cells.seed)) == 4000
    seen = cells.seen(0.0, 1.0)
    np.testing.assert_allclose(seen.radius_um, cells.radius_um)
    np.testing.assert_allclose(np.linalg.norm(seen.frame_um, axis=1), cells.radius_um[:, None] * np.exp(cells.log_axes))


def test_cells_fill_the_field_that_is_asked_for(rng):
    middle, sides = np.array([4.0, -6.0, 2.0]), np.array([40.0, 44.0, 30.0])
    config = CellsConfig(density=0.2, radius_um=3.0, size_spread=0.1, centre_um=tuple(middle), size_um=tuple(sides))
    (cells,) = simulated(config, Everywhere(), [0.0], 0.5, rng).moments
    assert (np.abs(cells.centre_um - middle) <= sides / 2).all()
    assert cells.volume_um3.sum() / sides.prod() == pytest.approx(0.2, rel=0.12)
    np.testing.assert_allclose(np.ptp(cells.centre_um, axis=0), sides, rtol=0.2)
    counted = CellsConfig(count=17, radius_um=3.0, density=0.2)
    (few,) = simulated(counted, Everywhere(), [0.0], 0.5, rng).moments
    assert few.number.tolist() == list(range(1, 18))
