"""Similarity and affine motions: their parameters, what they may do, and what they find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from registration.linear.align import Freedom
from registration.linear.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.linear.motion import AffineMotion, RigidMotion, SimilarityMotion
from registration.quality import Status
from volumes import Affine, Grid
from volumes.errors import HeaderError, TransformError

MOTIONS = [RigidMotion, SimilarityMotion, AffineMotion]
CENTRE = np.array([10.0, -20.0, 30.0])
RADIUS, UNIT = 40.0, 2.0
QUICK = {"rotations": 60, "starts": 4, "fine_bins": 32}
"""The specimen has a hundredth of noise and few voxels: it bears more bins than the default at the finest."""


def mapped(linear: np.ndarray, shift: tuple[float, float, float]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return Affine(matrix)


SHEARED = mapped(
    Rotation.from_rotvec([0.1, -0.15, 0.12]).as_matrix()
    @ np.array([[1.1, 0.05, 0.0], [0.0, 0.92, -0.06], [0, 0, 1.06]]),
    (4.0, -3.0, 5.0),
)
GROWN = mapped(1.15 * Rotation.from_rotvec([0.1, -0.2, 0.15]).as_matrix(), (4.0, -3.0, 5.0))


def off_um(found: Affine, truth: Affine, points: np.ndarray) -> float:
    return float(np.linalg.norm(found(points) - truth(points), axis=1).mean())


@pytest.fixture(scope="module")
def fixed(specimen):
    return specimen.seen()


@pytest.fixture(scope="module")
def sheared(specimen):
    return specimen.seen(transform=SHEARED, tone=lambda b: 1.5 - b)


@pytest.mark.parametrize("kind", MOTIONS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_slope_of_every_motion_is_that_of_differences(kind, seed):
    rng = np.random.default_rng(seed)
    motion = kind(SHEARED.matrix, CENTRE, RADIUS, UNIT)
    weights, at = rng.normal(size=(3, 4)), rng.normal(0, 3, kind.size)
    step = 1e-4
    numeric = [
        (weights * (motion.matrix(at + e) - motion.matrix(at - e))[:3]).sum() / (2 * step)
        for e in np.eye(kind.size) * step
    ]
    np.testing.assert_allclose(motion.slope(at, weights), numeric, atol=1e-6)


@pytest.mark.parametrize("kind", MOTIONS)
def test_every_motion_begins_at_its_start_and_a_step_moves_the_rim_by_a_unit(kind):
    motion = kind(np.eye(4), CENTRE, RADIUS, UNIT)
    np.testing.assert_allclose(motion.matrix(np.zeros(kind.size)), np.eye(4), atol=1e-12)
    rim = CENTRE + RADIUS * np.concatenate([np.eye(3), -np.eye(3)])
    for parameter in np.eye(kind.size):
        moved = np.linalg.norm(Affine(motion.matrix(parameter))(rim) - rim, axis=1)
        assert moved.max() == pytest.approx(UNIT, rel=0.05)


def test_a_similarity_keeps_shapes_and_an_affine_reaches_any_map():
    grown = SimilarityMotion(np.eye(4), CENTRE, RADIUS, UNIT).matrix(np.array([1.0, 2, -1, 3, 4, 5, 6]))[:3, :3]
    np.testing.assert_allclose(grown @ grown.T, np.exp(2 * 3 * UNIT / RADIUS) * np.eye(3), atol=1e-12)
    wanted = (SHEARED.matrix[:3, :3] - np.eye(3)).ravel() * RADIUS / UNIT
    reached = AffineMotion(np.eye(4), CENTRE, RADIUS, UNIT).matrix(np.append(wanted, np.zeros(3)))
    np.testing.assert_allclose(reached[:3, :3], SHEARED.matrix[:3, :3], atol=1e-12)
    np.testing.assert_allclose(Affine(reached)([CENTRE]), [CENTRE], atol=1e-9)


def test_bounds_hold_the_stretch_of_all_but_rigid_motions():
    free = Freedom(AffineMotion, 1.5)
    assert free.allows(np.diag([1.49, 1.0, 0.68]))
    assert not free.allows(np.diag([1.51, 1.0, 1.0]))
    assert not free.allows(np.diag([1.0, 0.66, 1.0]))
    assert Freedom().allows(np.eye(3) * 7)
    with pytest.raises(ValidationError):
        AffineConfig(most_stretch=1.0)


def test_an_affine_map_is_found_across_contrasts(fixed, sheared, points):
    found = AffineConfig(**QUICK).build().register(fixed, sheared)
    assert found.status is Status.GOOD, found.reasons
    assert off_um(found.transform, SHEARED, points) < 0.8
    assert found.quality.jacobian_min == pytest.approx(np.linalg.det(SHEARED.matrix[:3, :3]), rel=0.03)
    stiff = RigidConfig(**QUICK).build().register(fixed, sheared)
    assert stiff.quality.similarity_after < found.quality.similarity_after
    assert stiff.quality.halves_um > 3 * found.quality.halves_um


def test_a_similarity_finds_how_much_larger(specimen, fixed, points):
    found = SimilarityConfig(**QUICK).build().register(fixed, specimen.seen(transform=GROWN))
    assert off_um(found.transform, GROWN, points) < 0.6
    linear = found.transform.matrix[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.linalg.det(linear) ** (2 / 3) * np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) ** (1 / 3) == pytest.approx(1.15, rel=0.01)


def test_a_start_keeps_what_the_kind_allows_and_its_middle(fixed, sheared, points):
    """With no climb worth the name, what is left of a start shows: about the middle of the field, not the origin."""
    kept = AffineConfig(**QUICK).build()._begun(SHEARED, np.array([1000.0, 0, 0]))
    np.testing.assert_allclose(kept.matrix, SHEARED.matrix, atol=1e-9)
    stiff = RigidConfig(**QUICK).build()._begun(SHEARED, np.array([1000.0, 0, 0]))
    np.testing.assert_allclose(np.linalg.svd(stiff.matrix[:3, :3])[1], 1)
    np.testing.assert_allclose(stiff([[1000.0, 0, 0]]), SHEARED([[1000.0, 0, 0]]))
    found = AffineConfig(**QUICK).build().register(fixed, sheared, start=SHEARED)
    assert off_um(found.transform, SHEARED, points) < 0.8


def test_impossible_starts_are_refused_with_a_remedy(fixed):
    long = Affine(np.diag([1.8, 1.0, 1.0, 1.0]))
    with pytest.raises(TransformError, match="most_stretch"):
        AffineConfig(**QUICK).build().register(fixed, fixed, start=long)
    with pytest.raises(TransformError, match="mirrored"):
        AffineConfig(**QUICK).build().register(fixed, fixed, start=Affine(np.diag([1.0, 1.0, -1.0, 1.0])))


def test_mirror_images_are_found_only_when_asked_for(fixed, points):
    mirrored = fixed.with_data(fixed.array[0][:, :, ::-1])
    truth = Affine(np.diag([1.0, 1.0, -1.0, 1.0]))
    refused = SimilarityConfig(**QUICK).build().register(fixed, mirrored)
    assert np.linalg.det(refused.transform.matrix[:3, :3]) > 0
    found = SimilarityConfig(**QUICK, mirrored=True).build().register(fixed, mirrored)
    assert found.status is Status.GOOD, found.reasons
    # The grid runs from −66 to 63 µm, so that its mirror image lies 3 µm off the origin's.
    shifted = mapped(truth.matrix[:3, :3], (0.0, 0.0, -3.0))
    assert off_um(found.transform, shifted, points) < 0.6


def test_fields_may_differ_as_much_as_is_said(fixed, specimen):
    small = specimen.seen(Grid((12, 12, 12), (1.0, 1.0, 1.0), (-5.0, -5.0, -5.0)))
    with pytest.raises(HeaderError, match="most_field_ratio"):
        RigidConfig(**QUICK, most_field_ratio=5).build().register(fixed, small)
    assert RigidConfig(**QUICK, most_field_ratio=20).build().register(fixed, small).quality.evaluations > 0


def test_a_stretch_that_ends_at_its_bound_is_told(specimen):
    """The bound is a little more than what the specimen was stretched by, so that it does not hinder the climb."""
    wide = Affine(np.diag([1.0, 1.0, 1.2, 1.0]))
    for most, told in ((1.205, True), (1.5, False)):
        config = AffineConfig(**QUICK, most_stretch=most)
        found = config.build().register(specimen.seen(), specimen.seen(transform=wide))
        assert any("most_stretch" in reason for reason in found.reasons) == told
        assert (found.status is Status.GOOD) != told
