"""Poses: what lies where before an instrument, forwards, backwards, and at every frame."""

import numpy as np
import pytest

from phantom.instruments.instrument import InstrumentConfig
from phantom.pose import Pose, posed, seeded
from volumes.errors import ConfigError

EXTENT = (90.0, 110.0, 120.0)
CENTRE = (3.0, -4.0, 5.0)


def pose(**more) -> Pose:
    asked = {"shape": (20, 30, 40), "spacing_um": (3.0, 2.0, 1.5), "rotation_deg": (10.0, -20.0, 30.0), **more}
    return posed(InstrumentConfig(**asked), CENTRE, EXTENT, 7, "one")


def somewhere(rng: np.random.Generator, n: int = 200) -> np.ndarray:
    return np.asarray(CENTRE) + (rng.random((n, 3)) - 0.5) * EXTENT


@pytest.mark.parametrize("bent", [0.0, 2.0])
def test_the_middle_of_the_field_shows_what_the_instrument_looks_at(bent):
    for target in (CENTRE, (10.0, 0.0, -7.0)):
        there = pose(looks_at_um=target, deformation_um=bent).world(np.array([target]), 0)
        np.testing.assert_allclose(there, pose().grid.centre_um, atol=1e-9)


@pytest.mark.parametrize("bent", [0.0, 2.0])
def test_world_and_specimen_are_inverse_at_every_frame(rng, bent):
    seen = pose(frames=4, drift_um=0.7, deformation_um=bent)
    points = somewhere(rng)
    for frame in range(4):
        np.testing.assert_allclose(seen.specimen(seen.world(points, frame), frame), points, atol=1e-9)


def test_a_rigid_pose_keeps_distances_and_a_scaled_one_multiplies_them(rng):
    points = somewhere(rng)
    apart = np.linalg.norm(points[1:] - points[:-1], axis=1)
    for scale in (1.0, 0.8):
        moved = pose(scale=(scale,) * 3).world(points, 0)
        np.testing.assert_allclose(np.linalg.norm(moved[1:] - moved[:-1], axis=1), scale * apart, rtol=1e-12)


def test_the_stage_starts_where_it_is_and_walks_at_random():
    seen = pose(frames=2000, drift_um=0.5)
    steps = np.diff(seen.drift_um, axis=0)
    assert not seen.drift_um[0].any()
    np.testing.assert_allclose(steps.std(0), 0.5, rtol=0.06)
    assert not seen.still
    assert pose(frames=5).still


def test_axes_turn_the_grid_and_not_the_specimen(rng):
    flipped = pose(axes=("x", "-z", "y"))
    np.testing.assert_array_equal(flipped.grid.axes, [[0, -1, 0], [0, 0, 1], [1, 0, 0]])
    plain = pose()
    points = somewhere(rng)
    off = plain.world(points, 0) - flipped.world(points, 0)
    np.testing.assert_allclose(off, np.broadcast_to(off[0], off.shape), atol=1e-9)


@pytest.mark.parametrize("axes", [("z", "y", "-y"), ("z", "z", "x")])
def test_axes_that_are_no_permutation_are_refused(axes):
    with pytest.raises(ConfigError, match="each of z, y, x once"):
        pose(axes=axes)


def test_stretch_is_the_derivative_of_the_index(rng):
    points = somewhere(rng, 20)
    straight = pose()
    expected = np.linalg.inv(straight.grid.matrix)[:3, :3] @ straight.to_world.matrix[:3, :3]
    np.testing.assert_allclose(straight.stretch(points), np.broadcast_to(expected, (20, 3, 3)), atol=1e-9)
    bent = pose(deformation_um=2.0)
    step = 0.05 * rng.standard_normal((20, 3))
    ahead = bent.grid.to_index(bent.world(points + step, 0)) - bent.grid.to_index(bent.world(points - step, 0))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", bent.stretch(points), 2 * step), ahead, atol=1e-4)


def test_each_instrument_is_bent_in_its_own_way_and_the_same_each_time(rng):
    points = somewhere(rng)
    config = InstrumentConfig(shape=(8, 8, 8), spacing_um=(1.0, 1.0, 1.0), deformation_um=2.0)
    one, again, other = (posed(config, CENTRE, EXTENT, 7, name).world(points, 0) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.5


def test_generators_differ_by_seed_name_and_purpose():
    draws = {seeded(s, n, p).random() for s in (0, 1) for n in ("a", "b") for p in (0, 1)}
    assert len(draws) == 8
    assert seeded(1, "a", 2).random() == seeded(1, "a", 2).random()
