"""Whether a result says itself that it is wrong, how far off it may be, and where small fields are looked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import volumes
from registration.linear.halves import halves_um
from registration.linear.linear import RigidConfig
from registration.linear.motion import RigidMotion
from registration.linear.similarity import Similarity, draw
from registration.linear.start import disagreement, promising
from registration.prepared import prepare
from registration.quality import Bounds, Quality, Status, judge
from volumes import Affine, Grid

TRUTH = Affine.rigid((0.2, -0.15, 0.1), (5.0, -4.0, 6.0))
QUICK = RigidConfig(rotations=100, starts=4)


def halves(specimen, pose: Affine, moving: volumes.Volume) -> float:
    fixed = prepare(specimen.seen(), None, 32, 0, "fixed")
    field = Similarity(draw(fixed.at(6.0), 6000, 0), prepare(moving, None, 32, 0, "moving").at(6.0), 32)
    start = RigidMotion(pose.matrix, fixed.centre_um, fixed.radius_um, 6.0)
    return halves_um(field, start, fixed.foreground_um, 1e-6)


def test_halves_agree_at_the_right_pose_and_part_at_a_wrong_one(specimen):
    moving = specimen.seen(transform=TRUTH, tone=lambda b: 1.5 - b)
    right = halves(specimen, TRUTH, moving)
    assert right < 1.5
    assert halves(specimen, Affine.rigid((0.0, 0.0, 2.0)), moving) > 3 * right


def test_halves_that_hold_nothing_of_the_other_field_move_nowhere(specimen):
    away = Affine.rigid(translation_um=(900.0, 0.0, 0.0))
    assert halves(specimen, away, specimen.seen()) == 0


@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_the_spread_is_of_the_order_of_the_error(specimen, points, noise):
    other = Grid((37, 41, 43), (3.0, 3.0, 3.0), (-55.0, -61.0, -64.0))  # so that the grain differs
    found = QUICK.build().register(specimen.seen(noise=noise), specimen.seen(other, TRUTH, noise=1.3 * noise))
    error = np.linalg.norm(found.transform(points) - TRUTH(points), axis=1).mean()
    assert found.status is Status.GOOD, found.reasons
    assert error / 5 < found.quality.spread_um < 10 * error + 0.5


def test_two_specimens_of_one_kind_are_never_good():
    """Lumps in an ellipsoid: outlines alike, insides that have nothing to do with each other."""
    rng = np.random.default_rng(4)
    axes = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
    body = np.exp(-((sum((a / w) ** 2 for a, w in zip(axes, (0.5, 0.6, 0.7), strict=True))) ** 2))
    lumps = [ndimage.gaussian_filter(rng.standard_normal(body.shape), 2.5) for _ in range(2)]
    one, two = (
        volumes.from_array((1 + 6 * np.abs(lump)) * body, (2.0, 2.0, 2.0), modality="fluorescence") for lump in lumps
    )
    assert QUICK.build().register(one, two).status is not Status.GOOD


def test_parted_halves_are_a_doubt_with_a_remedy():
    sure = Quality(1.05, 1.2, 1.01, 0.9, 10.0, 5.0, 1.0, 1.0, 0.5, 100, halves_um=1.0)
    bounds = Bounds(least_overlap=0.25, doubtful_spread_um=4.0)
    assert judge(sure, bounds)[0] is Status.GOOD
    unsure = Quality(**(sure.as_dict() | {"halves_um": 4.5}))
    status, reasons = judge(unsure, bounds)
    assert status is Status.DOUBTFUL
    assert "half" in reasons[0]
    mirror = Quality(**(sure.as_dict() | {"jacobian_min": -1.0, "jacobian_max": -1.0}))
    assert judge(mirror, bounds)[0] is Status.FAILED
    assert judge(mirror, Bounds(0.25, 4.0, mirrored=True))[0] is Status.GOOD


def test_a_long_field_crosswise_still_holds_the_specimen(specimen, points):
    """Turned by a quarter, a field of twice as long as wide leaves most samples outside, but none of the specimen."""
    long = Grid((18, 18, 60), (5.0, 5.0, 5.0), (-45.0, -45.0, -150.0))
    turned = Affine.rigid((0.0, np.pi / 2, 0.0))
    found = QUICK.build().register(specimen.seen(long), specimen.seen(long, turned), start=turned)
    assert found.status is Status.GOOD, found.reasons
    assert np.linalg.norm(found.transform(points) - turned(points), axis=1).mean() < 1.5


def test_a_small_stack_is_looked_for_everywhere_in_a_large_field(specimen):
    small = Grid((16, 16, 16), (2.0, 2.0, 2.0), (900.0, 400.0, 700.0))
    there = np.array([14.0, 18.0, 24.0])
    truth = Affine.rigid(translation_um=tuple(there - np.array([915.0, 415.0, 715.0])))
    fixed = prepare(specimen.seen(small, truth.inverse()), None, 32, 0, "fixed")
    moving = prepare(specimen.seen(), None, 32, 0, "moving")
    field = Similarity(draw(fixed.at(2.0), 1500, 0), moving.at(2.0), 32)
    starts = promising(field, fixed, moving, 0, 6, lambda _matrix, inside: inside > 0.5)
    nearest = min(disagreement(start, truth.matrix, fixed.foreground_um) for start in starts)
    assert nearest < 8
