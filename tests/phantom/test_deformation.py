"""Smooth deformations: exact inverses, kept volumes, the strength that was asked for, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phantom.deformation import STEEPEST, Deformation
from phantom.shears import Shear, Wave
from volumes.errors import ConfigError
from volumes.transform import Affine, Composite, Transform, as_affine

BOX = {"extent_um": (200.0, 400.0, 300.0), "centre_um": (50.0, -70.0, 1000.0)}
FAST = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**31)


def inside(rng, n):
    return np.asarray(BOX["centre_um"]) + (rng.random((n, 3)) - 0.5) * BOX["extent_um"]


def drawn(seed, rms_um=4.0, shortest_um=120.0, **more):
    return Deformation.random(rms_um, shortest_um, np.random.default_rng(seed), **BOX, **more)


def by_differences(transform, points, step):
    """∂y/∂x (n, 3, 3) by central differences."""
    columns = [(transform(points + step * e) - transform(points - step * e)) / (2 * step) for e in np.eye(3)]
    return np.stack(columns, -1)


@given(SEEDS, st.floats(0.0, 5.0), st.integers(1, 3))
@FAST
def test_the_inverse_brings_every_point_back(seed, rms_um, rounds):
    bent = drawn(seed, rms_um, rounds=rounds)
    far = np.random.default_rng(seed).uniform(-1e4, 1e4, (1000, 3))
    np.testing.assert_allclose(bent.inverse()(bent(far)), far, rtol=0, atol=1e-9)
    np.testing.assert_allclose(bent(bent.inverse()(far)), far, rtol=0, atol=1e-9)
    assert bent.inverse().inverse() == bent


@given(SEEDS)
@FAST
def test_volumes_are_kept_everywhere(seed):
    bent = drawn(seed)
    points = np.random.default_rng(seed).uniform(-1000, 1000, (200, 3))
    found = by_differences(bent, points, 0.05)
    np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-6)
    np.testing.assert_allclose(bent.jacobian(points), found, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(bent.jacobian(points)), 1.0, atol=1e-12)


@given(SEEDS, st.floats(0.1, 5.0))
@FAST
def test_the_strength_is_the_one_asked_for(seed, rms_um):
    points = inside(np.random.default_rng(seed), 20_000)
    moved = drawn(seed, rms_um)(points) - points
    assert np.sqrt((moved**2).sum(1).mean()) == pytest.approx(rms_um, rel=0.03)
    assert np.abs(moved.mean(0)).max() < 0.03 * rms_um


def test_twice_the_strength_moves_twice_as_far():
    points = inside(np.random.default_rng(0), 500)
    once, twice = drawn(7, 0.01)(points) - points, drawn(7, 0.02)(points) - points
    np.testing.assert_allclose(twice, 2 * once, atol=1e-5)


@given(SEEDS)
@FAST
def test_no_wave_is_shorter_than_the_shortest_nor_longer_than_thrice_it(seed):
    lengths = [1 / np.hypot(*wave.per_um) for shear in drawn(seed).shears for wave in shear.waves]
    assert min(lengths) >= 120 * (1 - 1e-12)
    assert max(lengths) <= 360 * (1 + 1e-12)


@given(SEEDS)
@FAST
def test_the_gradient_keeps_its_bounds(seed):
    bent = drawn(seed)
    rng = np.random.default_rng(seed)
    box, far = inside(rng, 2000), rng.uniform(-3000, 3000, (2000, 3))
    slopes = np.linalg.norm(by_differences(bent, far, 0.05) - np.eye(3), ord=2, axis=(1, 2))
    np.testing.assert_allclose(bent.steepness(far), slopes, atol=1e-6)
    assert bent.steepness(box).max() <= STEEPEST * 1.05
    assert slopes.max() <= bent.steepness_bound
    assert bent.steepness_bound < 5 * slopes.max()


def test_a_strength_of_zero_is_the_identity():
    points = inside(np.random.default_rng(0), 50)
    assert drawn(3, 0.0) == Deformation(())
    np.testing.assert_array_equal(drawn(3, 0.0)(points), points)
    assert drawn(3, 0.0).steepness_bound == 0


def test_one_shear_is_the_written_formula():
    wave = Wave(3.0, (0.01, -0.02), 0.3)
    z, y, x = points = np.random.default_rng(0).uniform(-500, 500, (3, 1000))
    expected = [z, y + 0.5 + 3 * np.cos(2 * np.pi * (0.01 * z - 0.02 * x + 0.3)), x]
    np.testing.assert_allclose(Deformation((Shear(1, 0.5, (wave,)),))(points.T), np.stack(expected, -1), atol=1e-12)


def test_shears_apply_first_to_last():
    first, second = Shear(0, 0.0, (Wave(9.0, (0.02, 0.01), 0.1),)), Shear(2, 0.0, (Wave(7.0, (0.02, 0.03), 0.6),))
    points = inside(np.random.default_rng(0), 100)
    both = Deformation((first, second))(points)
    np.testing.assert_allclose(both, Deformation((second,))(Deformation((first,))(points)), atol=1e-12)
    assert np.abs(both - Deformation((second, first))(points)).max() > 0.1


def test_the_seed_alone_decides():
    assert drawn(5) == drawn(5)
    assert hash(drawn(5)) == hash(drawn(5))
    assert drawn(5) != drawn(6)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_a_point_does_not_depend_on_its_neighbours(count):
    bent, points = drawn(1), inside(np.random.default_rng(0), count)
    one_by_one = [bent(point[None])[0] for point in points]
    np.testing.assert_array_equal(bent(points), np.reshape(one_by_one, (-1, 3)))


@pytest.mark.parametrize(("kind", "atol"), [(np.float32, 1e-4), (np.float64, 0)])
def test_points_can_be_moved_where_they_stand(kind, atol):
    points = inside(np.random.default_rng(0), 600).astype(kind).reshape(4, 15, 10, 3)
    expected = drawn(2)(points.reshape(-1, 3)).reshape(points.shape)
    drawn(2).move(points)
    assert points.dtype == kind
    np.testing.assert_allclose(points, expected, rtol=0, atol=atol)


def test_what_cannot_be_moved_where_it_stands():
    frozen = np.zeros((4, 3))
    frozen.flags.writeable = False
    for wrong in (np.zeros((4, 3), int), np.zeros((4, 6))[:, ::2], np.zeros((4, 2)), frozen):
        with pytest.raises(ConfigError, match="points"):
            drawn(2).move(wrong)


def test_a_call_leaves_its_points_alone():
    points = inside(np.random.default_rng(0), 10)
    before = points.copy()
    assert not np.array_equal(drawn(2)(points), before)
    np.testing.assert_array_equal(points, before)


def test_it_composes_with_affines():
    bent, turn = drawn(4), Affine.rigid((0.1, 0.2, -0.3), (5, 6, 7))
    points = inside(np.random.default_rng(0), 100)
    assert isinstance(bent, Transform)
    assert as_affine(turn @ bent) is None
    np.testing.assert_allclose((turn @ bent)(points), turn(bent(points)))
    np.testing.assert_allclose((bent @ turn)(points), bent(turn(points)))
    np.testing.assert_allclose((bent @ turn @ bent)(points), bent(turn(bent(points))))
    chain = Composite((turn, bent)) @ turn
    np.testing.assert_allclose(chain.inverse()(chain(points)), points, atol=1e-9)


def test_json_keeps_it_to_the_last_bit():
    bent = drawn(8)
    assert Deformation.from_dict(json.loads(json.dumps(bent.as_dict()))) == bent
    assert Deformation.from_dict(Deformation(()).as_dict()) == Deformation(())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("shears"),
        lambda d: d.update(seed=3),
        lambda d: d["shears"][0].update(axis=3),
        lambda d: d["shears"][0].update(axis="z"),
        lambda d: d["shears"][0].update(colour=1),
        lambda d: d["shears"][0].pop("waves"),
        lambda d: d["shears"][0].update(shift_um=float("nan")),
        lambda d: d["shears"][0]["waves"][0].update(amplitude_um=float("inf")),
        lambda d: d["shears"][0]["waves"][0].update(per_um=[0.1]),
        lambda d: d["shears"][0]["waves"][0].update(phase="late"),
        lambda d: d.update(shears=5),
    ],
)
def test_parameters_that_are_none(change):
    values = drawn(8).as_dict()
    change(values)
    with pytest.raises(ConfigError):
        Deformation.from_dict(values)


def test_tissue_is_not_torn():
    with pytest.raises(ConfigError, match="too steeply") as caught:
        drawn(0, 30.0)
    words = caught.value.remedy.split()
    drawn(0, float(words[words.index("about") + 1]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rms_um": -1.0},
        {"rms_um": float("nan")},
        {"shortest_um": 0.0},
        {"shortest_um": float("inf")},
        {"rounds": 0},
        {"extent_um": (1.0, 0.0, 1.0)},
        {"extent_um": (1.0, 2.0)},
        {"centre_um": (0.0, float("nan"), 0.0)},
    ],
)
def test_numbers_out_of_range(wrong):
    asked = {"rms_um": 1.0, "shortest_um": 100.0, "rng": np.random.default_rng(0)} | BOX | wrong
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Deformation.random(**asked)
