"""A flow has neither sources nor sinks, keeps inside the tissue, has the speed asked for, and turns what it carries."""

import numpy as np
import pytest

from phantom.cells.config import CellsConfig
from phantom.cells.flow import FlowConfig, flow
from phantom.cells.lives import Looks, newborn, put
from phantom.cells.packing import TOLERANCE, largest_overlap
from phantom.cells.room import room
from phantom.cells.simulation import simulated


class Ball:
    centre_um = np.array([10.0, 20.0, 30.0])
    extent_um = np.full(3, 100.0)

    def living(self, points):
        return ((points - self.centre_um) ** 2).sum(1) < 45.0**2


class Everywhere(Ball):
    def living(self, points):
        return np.ones(len(points), bool)


@pytest.fixture(params=[Ball(), Everywhere()], ids=["ball", "box"])
def carried(request, rng):
    where = room(request.param, request.param.centre_um, request.param.extent_um, 2.0, True)
    return where, flow(where, 0.05, 80.0, 0.0, rng)


def slopes(field, points, h=1e-4):
    """∂v_i/∂x_j at each point, (n, 3, 3)."""
    return np.stack([(field(points + h * e) - field(points - h * e)) / (2 * h) for e in np.eye(3)], -1)


def within_a_cell_of_nodes(where, n, rng):
    """Points away from the nodes' planes, where the slope of the taper jumps."""
    index = rng.integers(1, np.array(where.depth_um.shape) - 2, (n, 3)) + rng.uniform(0.1, 0.9, (n, 3))
    return where.low_um + where.step_um * index


def test_there_is_no_divergence(carried, rng):
    where, moving = carried
    slope = slopes(moving.velocity, within_a_cell_of_nodes(where, 400, rng))
    divergence = np.trace(slope, axis1=1, axis2=2)
    assert np.abs(slope).max() > 1e-4
    np.testing.assert_allclose(divergence, 0, atol=1e-6 * np.abs(slope).max())


def test_no_net_flow_through_any_closed_box(carried, rng):
    where, moving = carried
    low = where.low_um + (where.high_um - where.low_um) * 0.3
    side, n = 37.0, 60
    s = (np.arange(n) + 0.5) / n * side
    a, b = np.meshgrid(s, s, indexing="ij")
    net, gross = 0.0, 0.0
    for axis in range(3):
        for end, sign in ((0.0, -1), (side, 1)):
            face = np.insert(np.stack([a.ravel(), b.ravel()], 1), axis, end, axis=1) + low
            out = sign * moving.velocity(face)[:, axis]
            net += out.mean()
            gross += np.abs(out).mean()
    assert abs(net) < 0.01 * gross


def test_nothing_flows_through_the_walls(rng):
    tissue = Everywhere()
    where = room(tissue, tissue.centre_um, tissue.extent_um, 2.0, True)
    moving = flow(where, 0.05, 80.0, 0.0, rng)
    wall = where.low_um + rng.random((200, 3)) * (where.high_um - where.low_um)
    wall[:, 1] = where.low_um[1]
    assert np.abs(moving.velocity(wall)[:, 1]).max() < 1e-6
    assert np.abs(moving.velocity(wall)[:, [0, 2]]).max() > 1e-3


def test_the_speed_is_as_asked(carried, rng):
    where, moving = carried
    speed = np.sqrt((moving.velocity(where.drawn(4000, rng)) ** 2).sum(1).mean())
    assert speed == pytest.approx(0.05, rel=0.1)


def test_vorticity_is_the_antisymmetric_part_of_the_slope(carried, rng):
    where, moving = carried
    points = within_a_cell_of_nodes(where, 50, rng)
    slope, vorticity = slopes(moving.velocity, points, h=2.0), moving.vorticity(points)
    way = rng.standard_normal(3)
    turning = (slope - slope.swapaxes(1, 2)) @ way
    np.testing.assert_allclose(turning, np.cross(vorticity, way), atol=1e-9)


def test_cells_turn_with_the_flow(carried, rng):
    where, moving = carried
    lives = put(newborn(30, 1, Looks(4.0, 0.1, 0.1, 0.0, 0.3, 1.6), rng), where.drawn(30, rng))
    after = moving.moved(lives, 1.0, rng)
    turned = after.turn @ lives.turn.swapaxes(1, 2) - np.eye(3)
    middle = (lives.centre_um + after.centre_um) / 2
    spin = moving.vorticity(middle) / 2
    expected = np.stack([np.cross(spin, e) for e in np.eye(3)], -1)
    np.testing.assert_allclose(turned, expected, atol=1e-4)
    assert np.abs(turned).max() > 2e-4


def test_cells_stay_in_the_tissue_and_apart(rng):
    config = CellsConfig(motion=FlowConfig(speed_um_s=0.05), density=0.3)
    history = simulated(config, Ball(), [60.0 * k for k in range(6)], 0.5, rng)
    gone = []
    for before, after in zip(history.moments[:-1], history.moments[1:], strict=True):
        assert Ball().living(after.centre_um).all()
        assert largest_overlap(after) <= TOLERANCE
        _, a, b = np.intersect1d(before.number, after.number, return_indices=True)
        gone.append(np.linalg.norm(after.centre_um[b] - before.centre_um[a], axis=1).mean())
    assert 1.0 < np.mean(gone) < 5.0
    assert len(history.moments[0]) == pytest.approx(0.3 * 45**3 / 64, rel=0.1)


def test_neighbours_move_together(rng):
    config = CellsConfig(motion=FlowConfig(speed_um_s=0.05, jitter_um2_s=0.0), count=150, cycle_h=None)
    history = simulated(config, Everywhere(), [0.0, 60.0], 0.5, rng)
    a, b = history.moments
    shift = b.centre_um - a.centre_um
    away = np.linalg.norm(a.centre_um[:, None] - a.centre_um, axis=2) + 1e9 * np.eye(len(a))
    near = away.argmin(1)
    assert np.corrcoef(shift.ravel(), shift[near].ravel())[0, 1] > 0.6
