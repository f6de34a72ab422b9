"""Whom a fit can be trusted: wrong pairs are named, good ones pass, and nothing unrelated is ever called good."""

import numpy as np
import pytest

from registration.landmarks.landmarks import from_landmarks
from registration.quality import Status
from volumes import Affine, Grid
from volumes.errors import FusetrackError

MODELS = ("rigid", "similarity", "affine", "thin_plate")
TRUTH = Affine.rigid((0.3, -0.2, 0.5), (500, -300, 1000))
SIZE, NOISE = 10_000.0, 50.0


def pairs(seed, n):
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(-SIZE, SIZE, (n, 3))
    return fixed, TRUTH(fixed) + rng.normal(scale=NOISE, size=(n, 3)), rng


@pytest.mark.parametrize("model", MODELS)
def test_true_pairs_are_nearly_always_good(model):
    found = [from_landmarks(*pairs(seed, 12)[:2], model).status for seed in range(60)]
    assert found.count(Status.GOOD) >= 55


@pytest.mark.parametrize("model", MODELS)
def test_two_exchanged_pairs_are_named(model):
    named, names = 0, [f"p{i}" for i in range(12)]
    for seed in range(30):
        fixed, moving, _ = pairs(seed, 12)
        moving[[2, 7]] = moving[[7, 2]]
        try:
            fit = from_landmarks(fixed, moving, model, names=names)
        except FusetrackError as error:
            assert "mismatch" in error.remedy  # noqa: PT017
            named += 1
            continue
        assert fit.status is not Status.GOOD
        named += any("exchanged" in reason and "'p2'" in reason and "'p7'" in reason for reason in fit.reasons)
    assert named >= 28


@pytest.mark.parametrize("model", MODELS)
def test_one_misplaced_point_is_named(model):
    named = 0
    for seed in range(30):
        fixed, moving, rng = pairs(seed, 12)
        way = rng.normal(size=3)
        moving[4] += 2000 * way / np.linalg.norm(way)
        fit = from_landmarks(fixed, moving, model)
        assert fit.status is not Status.GOOD
        named += any(reason.startswith("'4' lies") for reason in fit.reasons)
    assert named >= 27


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [4, 6, 15])
def test_unrelated_points_are_never_good(model, n):
    failed = refused = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        try:
            fit = from_landmarks(*rng.uniform(-SIZE, SIZE, (2, n, 3)), model)
        except FusetrackError:
            refused += 1
            continue
        assert fit.status is not Status.GOOD
        failed += fit.status is Status.FAILED
    assert failed + refused >= (0 if model in ("affine", "thin_plate") and n == 4 else 24)


def test_points_nearly_on_a_line_or_in_a_plane_are_doubtful():
    fixed, _, _ = pairs(3, 10)
    for model, flat in (("rigid", (1, 0.01, 0.01)), ("affine", (1, 1, 0.01)), ("thin_plate", (0.01, 1, 1))):
        fit = from_landmarks(fixed * flat, TRUTH(fixed * flat), model)
        assert fit.status is Status.DOUBTFUL
        assert any("nearly" in reason for reason in fit.reasons)


def test_points_of_a_small_part_of_the_field_are_doubtful():
    fixed, moving, _ = pairs(5, 10)
    narrow = Grid((40, 40, 40), (500.0,) * 3, (-9750.0,) * 3)
    wide = Grid((40, 40, 40), (5000.0,) * 3, (-97500.0,) * 3)
    assert from_landmarks(fixed, moving, field=narrow).status is Status.GOOD
    fit = from_landmarks(fixed, moving, field=wide)
    assert fit.status is Status.DOUBTFUL
    assert "10% of the field" in fit.reasons[0]


def test_a_pair_that_alone_holds_the_others_in_place_is_named():
    """Three on a line and one aside: without that one a rigid map is undetermined."""
    fixed = np.array([[0, 0, 0], [1000, 0, 0], [2000.0, 0, 0], [0, 1500, 0]])
    fit = from_landmarks(fixed, TRUTH(fixed), names=["a", "b", "c", "aside"])
    assert fit.left_out_um is None
    assert np.isnan(fit.left_outs_um).tolist() == [False, False, False, True]
    assert "'aside'" in fit.reasons[0]


def test_a_spline_that_folds_is_doubtful():
    rng = np.random.default_rng(0)
    fixed = np.concatenate([rng.uniform(-SIZE, SIZE, (30, 3)), [[0, 0, 0], [100, 0, 0]]])
    moving = fixed.copy()
    moving[[-2, -1]] = [[150, 0, 0], [-50, 0, 0]]
    fit = from_landmarks(fixed, moving, "thin_plate")
    assert fit.status is Status.DOUBTFUL
    assert any("folds" in reason for reason in fit.reasons)


def test_the_figures_as_plain_values():
    fixed, moving, _ = pairs(1, 6)
    plain = from_landmarks(fixed, moving, names=list("abcdef")).as_dict()
    assert plain["status"] == "good"
    assert set(plain["errors_um"]) == set("abcdef")
    assert plain["error_um"] < plain["left_out_um"]
