"""Migrating cells walk as Fürth's formula says, are drawn to a wound, and leave and enter at one rate."""

import numpy as np
import pytest

from phantom.cells.config import CellsConfig
from phantom.cells.lives import Looks, newborn
from phantom.cells.migration import Migration, MigrationConfig, walked
from phantom.cells.packing import TOLERANCE, largest_overlap
from phantom.cells.simulation import simulated

SPEED, PERSISTENCE = 0.2, 150.0


class Everywhere:
    centre_um = np.zeros(3)
    extent_um = np.full(3, 80.0)

    def living(self, points):
        return np.ones(len(points), bool)


def fuerth(t):
    """``2 d D (t − P (1 − e^(−t/P)))`` with D = S² P / d."""
    return 2 * SPEED**2 * PERSISTENCE * (t - PERSISTENCE * (1 - np.exp(-t / PERSISTENCE)))


@pytest.mark.parametrize("dt_s", [1.0, 60.0, 600.0])
def test_the_mean_square_displacement_is_fuerths(rng, dt_s):
    velocity = SPEED / np.sqrt(3) * rng.standard_normal((30000, 3))
    place = np.zeros_like(velocity)
    for step in range(1, 9):
        shift, velocity = walked(velocity, dt_s, SPEED, PERSISTENCE, rng)
        place += shift
        assert (place**2).sum(1).mean() == pytest.approx(fuerth(step * dt_s), rel=0.03)
        assert (velocity**2).sum(1).mean() == pytest.approx(SPEED**2, rel=0.03)


def test_velocities_forget_at_the_rate_of_persistence(rng):
    start = SPEED / np.sqrt(3) * rng.standard_normal((30000, 3))
    _, later = walked(start, 100.0, SPEED, PERSISTENCE, rng)
    kept = (start * later).sum(1).mean() / (start**2).sum(1).mean()
    assert kept == pytest.approx(np.exp(-100 / PERSISTENCE), abs=0.02)


def test_one_long_step_is_as_good_as_many(rng):
    start = np.tile([0.1, 0.0, -0.2], (40000, 1))
    once, _ = walked(start, 300.0, SPEED, PERSISTENCE, rng)
    place, velocity = np.zeros_like(start), start
    for _ in range(6):
        shift, velocity = walked(velocity, 50.0, SPEED, PERSISTENCE, rng)
        place += shift
    np.testing.assert_allclose(once.mean(0), place.mean(0), atol=0.5)
    np.testing.assert_allclose(once.std(0), place.std(0), rtol=0.03)


def test_cells_at_rest_stay(rng):
    shift, velocity = walked(np.zeros((5, 3)), 60.0, 0.0, PERSISTENCE, rng)
    np.testing.assert_array_equal(shift, 0)
    np.testing.assert_array_equal(velocity, 0)


def test_the_drift_points_at_the_wound_and_decays():
    motion = Migration(MigrationConfig(wound_um=(10.0, 0.0, 0.0), attraction_um_s=0.3, reach_um=40.0))
    points = np.array([[50.0, 0, 0], [10.0, 80, 0], [10.0, 0, 0]])
    expected = [[-0.3 * np.exp(-1), 0, 0], [0, -0.3 * np.exp(-2), 0], [0, 0, 0]]
    np.testing.assert_allclose(motion.drift(points), expected, atol=1e-12)
    np.testing.assert_array_equal(Migration(MigrationConfig()).drift(points), 0)


def test_cells_lie_along_their_course(rng):
    motion = Migration(MigrationConfig(speed_um_s=SPEED, elongation=0.8))
    lives = motion.started(newborn(50, 1, Looks(4.0, 0.1, 0.1, 0.0, 0.3, 1.6), rng), rng)
    lives = motion.moved(lives, 30.0, rng)
    course = lives.centre_um / np.linalg.norm(lives.centre_um, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs((lives.turn[:, :, 0] * course).sum(1)), 1, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(lives.turn), 1)
    np.testing.assert_allclose(lives.log_axes.sum(1), 0, atol=1e-12)
    speed = np.linalg.norm(lives.centre_um, axis=1) / 30
    assert np.corrcoef(speed, lives.log_axes[:, 0])[0, 1] > 0.99


def config(**motion):
    return CellsConfig(motion=MigrationConfig(**motion), density=0.1, cycle_h=None, deaths_per_h=0.0)


def test_cells_gather_at_a_wound(rng):
    drawn = config(speed_um_s=0.02, wound_um=(20.0, 0.0, 0.0), attraction_um_s=0.1)
    history = simulated(drawn, Everywhere(), [60.0 * k for k in range(8)], 0.5, rng)
    first, last = history.moments[0], history.moments[-1]
    both, a, b = np.intersect1d(first.number, last.number, return_indices=True)
    away = [np.linalg.norm(c.centre_um[rows] - [20.0, 0, 0], axis=1) for c, rows in ((first, a), (last, b))]
    assert len(both) > 50
    assert away[1].mean() < away[0].mean() - 5
    assert max(largest_overlap(cells) for cells in history.moments) <= TOLERANCE


def test_as_many_enter_as_leave(rng):
    history = simulated(config(speed_um_s=0.15), Everywhere(), [60.0 * k for k in range(8)], 0.5, rng)
    counts = {len(cells) for cells in history.moments}
    assert len(counts) == 1
    first, last = history.moments[0], history.moments[-1]
    new = np.setdiff1d(last.number, first.number)
    assert len(new) > 5
    assert (last.mother == 0).all()
    for before, after in zip(history.moments[:-1], history.moments[1:], strict=True):
        entered = after.rows(~np.isin(after.number, before.number)).centre_um
        assert (np.abs(after.centre_um) <= 40).all()
        assert (40 - np.abs(entered).max(1) < 5).mean() > 0.9 if len(entered) else True


def test_a_walk_between_neighbours_is_no_faster_than_a_free_one(rng):
    free = config(speed_um_s=0.05).model_copy(update={"density": 0.02})
    history = simulated(free, Everywhere(), [30.0 * k for k in range(6)], 0.5, rng)
    first, last = history.moments[0], history.moments[-1]
    _, a, b = np.intersect1d(first.number, last.number, return_indices=True)
    gone = ((last.centre_um[b] - first.centre_um[a]) ** 2).sum(1).mean()
    p = 180.0
    expected = 2 * 0.05**2 * p * (150 - p * (1 - np.exp(-150 / p)))
    assert gone == pytest.approx(expected, rel=0.5)
