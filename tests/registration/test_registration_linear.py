"""The rigid parameters, their derivative, and the climb; the rotations of the search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from registration.linear.motion import RigidMotion, refine, rotation_slopes
from registration.linear.rotations import spread_rotations
from registration.linear.similarity import Similarity, draw
from registration.linear.start import disagreement, distinct, nudged, promising
from registration.prepared import prepare
from volumes import Affine


def enough(_matrix: np.ndarray, inside: float) -> bool:
    return inside >= 0.25


angles = st.tuples(*[st.floats(-3, 3)] * 3).map(np.array)


@settings(max_examples=50, deadline=None)
@given(angles)
def test_slopes_of_a_rotation_are_differences(vector):
    step = 1e-6
    numeric = [
        (Rotation.from_rotvec(vector + e).as_matrix() - Rotation.from_rotvec(vector - e).as_matrix()) / (2 * step)
        for e in np.eye(3) * step
    ]
    np.testing.assert_allclose(rotation_slopes(vector), numeric, atol=1e-5)


def test_slopes_at_no_rotation_join_those_beside_it():
    np.testing.assert_allclose(rotation_slopes(np.zeros(3)), rotation_slopes(np.full(3, 1e-6)), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(angles, st.tuples(*[st.floats(-50, 50)] * 6).map(np.array))
def test_motion_is_rigid_begins_at_its_start_and_turns_about_its_centre(turn, parameters):
    start = Affine.rigid(turn, (5.0, 6.0, 7.0)).matrix
    centre = np.array([10.0, -20.0, 30.0])
    motion = RigidMotion(start, centre, 40.0, 2.0)
    np.testing.assert_allclose(motion.matrix(np.zeros(6)), start, atol=1e-9)
    linear = motion.matrix(parameters)[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) > 0
    turned = motion.matrix(np.concatenate([parameters[:3], np.zeros(3)]))
    np.testing.assert_allclose(Affine(turned)([centre]), Affine(start)([centre]), atol=1e-9)


def test_climb_finds_a_small_motion_and_never_falls(specimen, points):
    truth = Affine.rigid((0.06, -0.05, 0.08), (3.0, -4.0, 2.0))
    fixed = prepare(specimen.seen(), None, 32, 0, "fixed")
    moving = prepare(specimen.seen(transform=truth), None, 32, 0, "moving")
    metric = Similarity(draw(fixed.scales[0], 20_000, 0), moving.scales[0], 32)
    found = refine(metric, RigidMotion(np.eye(4), fixed.centre_um, fixed.radius_um, 3.0), enough, 60, 1e-7)
    assert disagreement(found.matrix, truth.matrix, points) < 0.2
    assert found.similarity > metric.value(np.eye(4))[0]
    assert found.evaluations > 1


def test_climb_stays_where_there_is_no_overlap(specimen):
    fixed = prepare(specimen.seen(), None, 32, 0, "fixed")
    metric = Similarity(draw(fixed.scales[0], 1000, 0), fixed.scales[0], 32)
    far = Affine.rigid(translation_um=(500.0, 0.0, 0.0)).matrix
    found = refine(metric, RigidMotion(far, np.zeros(3), 30.0, 3.0), enough, 60, 1e-7)
    np.testing.assert_array_equal(found.matrix, far)
    assert found.overlap == 0


def test_search_rotations_are_proper_begin_with_none_and_cover_all():
    rotations = spread_rotations(500)
    np.testing.assert_array_equal(rotations[0], np.eye(3))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (501, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    anywhere = Rotation.random(300, rng=np.random.default_rng(0)).as_matrix()
    cosine = (np.einsum("aij,bij->ab", anywhere, rotations) - 1) / 2
    nearest = np.degrees(np.arccos(np.clip(cosine.max(axis=1), -1, 1)))
    assert nearest.max() < 35
    assert nearest.mean() < 20
    assert spread_rotations(0).shape == (1, 3, 3)


def test_promising_starts_hold_the_truth_of_a_large_turn(specimen, points):
    truth = Affine.rigid((0.4, 2.2, -0.9), (5.0, 3.0, -4.0))
    fixed = prepare(specimen.seen(), None, 32, 0, "fixed")
    moving = prepare(specimen.seen(transform=truth), None, 32, 0, "moving")
    metric = Similarity(draw(fixed.scales[0], 2000, 0), moving.scales[1], 32)
    starts = promising(metric, fixed, moving, 600, 10, enough)
    off = [disagreement(m, truth.matrix, points) for m in starts]
    assert min(off) < 0.5 * fixed.radius_um
    assert len(starts) <= 21
    assert all(np.linalg.det(m[:3, :3]) == pytest.approx(1) for m in starts)
    np.testing.assert_array_equal(starts[0], np.eye(4))


def test_nudged_starts_lie_around_the_given_one(specimen):
    fixed = prepare(specimen.seen(), None, 32, 0, "fixed")
    start = Affine.rigid((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)).matrix
    around = nudged(start, fixed)
    assert len(around) == 7
    np.testing.assert_array_equal(around[0], start)
    off = [disagreement(start, m, fixed.foreground_um) / fixed.radius_um for m in around[1:]]
    assert 0.05 < min(off) <= max(off) < 0.3


def test_distinct_keeps_the_better_of_two_alike(specimen):
    from registration.linear.motion import Candidate

    here, near, far = (Affine.rigid(translation_um=(d, 0.0, 0.0)).matrix for d in (0.0, 1.0, 50.0))
    kept = distinct([Candidate(m, 1.2, 1.0) for m in (here, near, far)], np.zeros((1, 3)), 10.0, 5)
    assert [c.matrix[0, 3] for c in kept] == [0.0, 50.0]
    assert distinct(kept, np.zeros((1, 3)), 10.0, 1) == kept[:1]
