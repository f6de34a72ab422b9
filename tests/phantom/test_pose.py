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


def test_a_pose_is_the_formula_by_hand():
    """A quarter turn about z takes y to x; the scale runs along the specimen's axes, before the turn."""
    seen = pose(rotation_deg=(90.0, 0.0, 0.0), scale=(1.0, 2.0, 0.5), origin_um=(100.0, 200.0, 300.0))
    middle = np.array([100 + 9.5 * 3.0, 200 + 14.5 * 2.0, 300 + 19.5 * 1.5])
    moved = seen.world(np.asarray(CENTRE) + 10 * np.eye(3), 0) - middle
    np.testing.assert_allclose(moved, [[10, 0, 0], [0, 0, 20], [0, -5, 0]], atol=1e-9)


def test_the_specimen_moves_by_the_drift_in_the_world(rng):
    points = somewhere(rng)
    for bent in (0.0, 2.0):
        seen = pose(frames=3, drift_um=0.7, deformation_um=bent)
        moved = seen.world(points, 2) - seen.world(points, 0)
        np.testing.assert_allclose(moved, np.broadcast_to(seen.drift_um[2], moved.shape), atol=1e-9)
        np.testing.assert_allclose(seen.world(points, 0), seen.to_world(points), atol=1e-12)


def test_drift_bend_and_turn_are_drawn_apart_from_each_other(rng):
    """What is asked of one changes nothing in another; a longer movie goes on where a shorter one ends."""
    points = somewhere(rng)
    calm, bent, longer = (pose(frames=n, drift_um=0.7, deformation_um=d) for n, d in ((4, 0.0), (4, 2.0), (9, 2.0)))
    np.testing.assert_array_equal(calm.drift_um, bent.drift_um)
    np.testing.assert_array_equal(longer.drift_um[:4], bent.drift_um)
    still = pose(deformation_um=2.0)
    np.testing.assert_array_equal(still.world(points, 0), longer.world(points, 0))
    assert not np.allclose(np.diff(calm.drift_um, axis=0), 0.7 * seeded(7, "one", 0).standard_normal((4, 3))[1:])
    twice = pose(frames=4, drift_um=1.4)
    np.testing.assert_allclose(twice.drift_um, 2 * calm.drift_um, rtol=1e-12)


def test_a_bend_is_as_strong_over_the_specimen_as_asked(rng):
    points = somewhere(rng, 4000)
    off = pose(deformation_um=1.5).world(points, 0) - pose().world(points, 0)
    bend = off - off.mean(0)
    assert np.sqrt((bend**2).sum(1).mean()) == pytest.approx(1.5, rel=0.03)


def test_stretch_tells_the_volume_of_a_voxel(rng):
    points = somewhere(rng, 20)
    for scale, bent in (((1.0, 1.0, 1.0), 0.0), ((1.2, 0.5, 0.9), 0.0), ((1.2, 0.5, 0.9), 2.0)):
        size = np.abs(np.linalg.det(pose(scale=scale, deformation_um=bent, axes=("x", "-z", "y")).stretch(points)))
        np.testing.assert_allclose(size, np.prod(scale) / 9.0, rtol=1e-5)
