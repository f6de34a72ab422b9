"""Maps from landmarks: exact where they can be, else as ITK and brute force have them; refused where undetermined."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from registration.landmarks.landmarks import from_landmarks
from registration.landmarks.models import fitted, misses, moments, moments_without_each
from registration.quality import Status
from volumes import Affine
from volumes.errors import ConfigError, ContentError, HeaderError, TransformError

FAST = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**31)
LINEAR = ("rigid", "similarity", "affine")
MODELS = (*LINEAR, "thin_plate")
FIVE_AWAY = np.array([0.0, 3.0, 4.0])


def points_of(rng, n, size_um=8000.0):
    return rng.uniform(-size_um, size_um, (n, 3)) + rng.uniform(-5 * size_um, 5 * size_um, 3)


def truth_of(model, rng):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(rng=rng).as_matrix()
    if model == "similarity":
        matrix[:3, :3] *= rng.uniform(0.3, 3)
    if model in ("affine", "thin_plate"):
        matrix[:3, :3] @= np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
    matrix[:3, 3] = rng.uniform(-1e4, 1e4, 3)
    return Affine(matrix)


@given(SEEDS, st.sampled_from(MODELS), st.integers(5, 20))
@FAST
def test_exact_pairs_give_the_exact_map(seed, model, n):
    rng = np.random.default_rng(seed)
    truth, fixed = truth_of(model, rng), points_of(rng, n)
    fit = from_landmarks(fixed, truth(fixed), model)
    probes = points_of(rng, 50)
    np.testing.assert_allclose(fit.transform(probes), truth(probes), rtol=0, atol=1e-3)
    assert fit.error_um < 1e-6


def from_itk(transform, fixed, moving, points):
    flat = [np.ascontiguousarray(p[:, ::-1]).ravel().tolist() for p in (fixed, moving)]
    theirs = SimpleITK.LandmarkBasedTransformInitializer(transform, *flat)
    return np.array([theirs.TransformPoint(p[::-1].tolist())[::-1] for p in points])


@pytest.mark.parametrize("model", ["rigid", "affine"])
def test_the_linear_maps_are_itks(model, rng):
    fixed, probes = points_of(rng, 12), points_of(rng, 20)
    moving = truth_of(model, rng)(fixed) + rng.normal(scale=300, size=fixed.shape)
    itk = SimpleITK.VersorRigid3DTransform() if model == "rigid" else SimpleITK.AffineTransform(3)
    found = from_landmarks(fixed, moving, model).transform(probes)
    np.testing.assert_allclose(found, from_itk(itk, fixed, moving, probes), rtol=1e-9, atol=1e-4)


def test_a_similarity_is_itks_but_for_the_scale_which_is_of_least_squares(rng):
    """ITK takes Horn's scale, the ratio of the spreads: the same both ways, but not of the least error."""
    fixed = points_of(rng, 12)
    moving = truth_of("similarity", rng)(fixed) + rng.normal(scale=300, size=fixed.shape)
    mine = from_landmarks(fixed, moving, "similarity").transform
    linear = mine.matrix[:3, :3]
    by = (
        np.linalg.norm(moving - moving.mean(0)) / np.linalg.norm(fixed - fixed.mean(0)) / np.cbrt(np.linalg.det(linear))
    )
    probes = points_of(rng, 20)
    theirs = from_itk(SimpleITK.Similarity3DTransform(), fixed, moving, probes)
    np.testing.assert_allclose((probes - fixed.mean(0)) @ linear.T * by + moving.mean(0), theirs, rtol=1e-9, atol=1e-4)
    assert np.sum((mine(fixed) - moving) ** 2) < np.sum(
        (from_itk(SimpleITK.Similarity3DTransform(), fixed, moving, fixed) - moving) ** 2
    )


def by_search(model, fixed, moving, weights, start):
    """The least weighted squares, found by going downhill."""

    def matrix(p):
        if model == "affine":
            return np.vstack([p.reshape(3, 4), [0, 0, 0, 1]])
        out = Affine.rigid(p[:3], p[3:6]).matrix.copy()
        out[:3, :3] *= p[6] if model == "similarity" else 1
        return out

    def rests(p):
        moved = fixed @ matrix(p)[:3, :3].T + matrix(p)[:3, 3]
        return (np.sqrt(weights)[:, None] * (moved - moving)).ravel()

    turn = Rotation.from_matrix(start[:3, :3] / np.cbrt(np.linalg.det(start[:3, :3]))).as_rotvec()
    first = start[:3].ravel() if model == "affine" else np.r_[turn, start[:3, 3], np.cbrt(np.linalg.det(start[:3, :3]))]
    first = first[:6] if model == "rigid" else first
    return matrix(least_squares(rests, first, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14).x)


@pytest.mark.parametrize("model", LINEAR)
def test_weighted_fits_are_the_least_squares(model, rng):
    fixed = rng.uniform(-10, 10, (9, 3))
    truth = truth_of(model, rng)
    moving, weights = truth(fixed) + rng.normal(scale=1.0, size=fixed.shape), rng.uniform(0.2, 3, 9)
    mine = from_landmarks(fixed, moving, model, weights=weights)
    found = by_search(model, fixed, moving, weights / weights.sum(), truth.matrix)
    np.testing.assert_allclose(mine.transform.matrix, found, rtol=0, atol=1e-5)
    assert mine.error_um == pytest.approx(np.sqrt(weights @ mine.errors_um**2 / weights.sum()))


@given(SEEDS)
@FAST
def test_no_rigid_fit_is_ever_a_mirror_image(seed):
    rng = np.random.default_rng(seed)
    sets = moments(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.full(4, 0.25))
    for model in ("rigid", "similarity"):
        matrix = fitted(model, sets)[0, :3, :3]
        assert np.linalg.det(matrix) > 0
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3) * np.linalg.det(matrix) ** (2 / 3), atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_leaving_out_is_fitting_again_without(model, weighted, rng):
    fixed, smoothing = points_of(rng, 9), 400.0 if model == "thin_plate" else 0.0
    moving = truth_of(model, rng)(fixed) + rng.normal(scale=200, size=fixed.shape)
    weights = rng.uniform(0.5, 2, 9) if weighted else np.ones(9)
    weights /= weights.mean()
    fit = from_landmarks(fixed, moving, model, weights=weights if weighted else None, smoothing=smoothing)
    expected = []
    for i in range(9):
        rest = np.arange(9) != i
        # Weights are relative; λ stands beside them.
        options = {"weights": weights[rest] if weighted else None, "smoothing": smoothing / weights[rest].mean()}
        again = from_landmarks(fixed[rest], moving[rest], model, **options)
        expected.append(np.linalg.norm(again.transform(fixed[[i]]) - moving[[i]]))
    np.testing.assert_allclose(fit.left_outs_um, expected, rtol=1e-6)
    assert fit.left_out_um == pytest.approx(np.sqrt(weights @ fit.left_outs_um**2 / 9))


def test_moments_without_each_are_those_of_the_rest(rng):
    fixed, moving, weights = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.uniform(0.1, 1, 6)
    weights /= weights.sum()
    all_at_once = moments_without_each(fixed, moving, weights)
    for i in range(6):
        rest = np.arange(6) != i
        alone = moments(fixed[rest], moving[rest], weights[rest] / weights[rest].sum())
        for name in ("fixed_um", "moving_um", "fixed", "moving", "cross"):
            np.testing.assert_allclose(getattr(all_at_once, name)[i], getattr(alone, name)[0], atol=1e-12)


@pytest.mark.parametrize("model", LINEAR)
def test_the_expected_error_is_what_repeated_fits_scatter_by(model, rng):
    """FLE is told from the FRE, and the TRE from it: both held against 250 drawn cases."""
    truth, fixed = truth_of(model, rng), rng.uniform(-5000, 5000, (8, 3))
    targets = np.array([[0, 0, 0], [15000.0, 0, 0], [9000, -9000, 9000]])
    squared, predicted = [], []
    for _ in range(250):
        fit = from_landmarks(fixed, truth(fixed) + rng.normal(scale=30, size=fixed.shape), model)
        squared.append(((fit.transform(targets) - truth(targets)) ** 2).sum(axis=1))
        predicted.append(fit.expected_tre_um(targets) ** 2)
    np.testing.assert_allclose(np.sqrt(np.mean(predicted, 0)), np.sqrt(np.mean(squared, 0)), rtol=0.12)


def test_the_expected_error_of_a_rigid_map_is_fitzpatricks_formula(rng):
    fixed = rng.normal(size=(7, 3)) * (3000, 5000, 8000)
    fit = from_landmarks(fixed, fixed + rng.normal(scale=40, size=fixed.shape), "rigid")
    moved = fit.transform(fixed)
    axes = np.linalg.svd(moved - moved.mean(0))[2]
    targets = rng.normal(scale=9000, size=(5, 3))
    along = (fit.transform(targets) - moved.mean(0)) @ axes.T
    own = (moved - moved.mean(0)) @ axes.T
    distance, mean = ((p**2).sum(1, keepdims=True) - p**2 for p in (along, own))
    fle = fit.error_um**2 / (1 - 2 / 7)
    expected = np.sqrt(fle / 7 * (1 + (distance / mean.mean(0)).sum(1) / 3))
    np.testing.assert_allclose(fit.expected_tre_um(targets), expected, rtol=1e-9)


def test_a_thin_plate_and_a_fit_with_nothing_to_spare_have_no_expected_error(rng):
    fixed = points_of(rng, 6)
    for n, model in ((6, "thin_plate"), (4, "affine")):
        fit = from_landmarks(fixed[:n], fixed[:n] + rng.normal(size=(n, 3)), model)
        with pytest.raises(TransformError, match="no expected error"):
            fit.expected_tre_um(fixed)


REFUSED = {
    "two points": (lambda f, m: (f[:2], m[:2], "rigid"), TransformError, "at least 3"),
    "three for an affine map": (lambda f, m: (f[:3], m[:3], "affine"), TransformError, "at least 4"),
    "three for a thin plate": (lambda f, m: (f[:3], m[:3], "thin_plate"), TransformError, "at least 4"),
    "on a line": (lambda _, m: (np.outer(np.arange(8), [9, 7, 5]), m, "rigid"), TransformError, "one line"),
    "moving line": (lambda f, _: (f, np.outer(np.arange(8), [1e3] * 3), "rigid"), TransformError, "one line"),
    "in a plane": (lambda f, m: (f * (0, 1, 1), m, "affine"), TransformError, "one plane"),
    "thin plate in a plane": (lambda f, m: (f * (1, 0, 1), m, "thin_plate"), TransformError, "one plane"),
    "moving in a plane": (lambda f, m: (f, m * (0, 1, 1), "affine"), TransformError, "one plane"),
    "all at one place": (lambda f, m: (f * 0, m, "rigid"), ContentError, "at one place"),
    "twice": (lambda f, m: (f[[0, 1, 2, 3, 0]], m[:5], "rigid"), ContentError, "'0' and '4' lie at one place"),
    "moving twice": (lambda f, m: (f[:5], m[[0, 1, 2, 3, 2]], "rigid"), ContentError, "'2' and '4' lie at one place"),
    "not finite": (lambda f, m: (np.where(f == f[2, 1], np.nan, f), m, "rigid"), ContentError, "row 2"),
    "counts": (lambda f, m: (f, m[:7], "rigid"), ContentError, "as many"),
    "flat": (lambda f, m: (f[:, :2], m[:, :2], "rigid"), ContentError, "a row"),
    "rigid mirror": (lambda f, m: (f, m * (-1, 1, 1), "rigid"), TransformError, "mirror image"),
    "similar mirror": (lambda f, m: (f, m[:, ::-1] * 2, "similarity"), TransformError, "mirror image"),
    "affine mirror": (lambda f, m: (f, m * (1, 1, -1), "affine"), TransformError, "mirror image"),
    "thin mirror": (lambda f, m: (f, m * (1, 1, -1), "thin_plate"), TransformError, "mirror image"),
    "mm for µm": (lambda f, m: (f, m / 1000, "similarity"), HeaderError, "factor of 1e"),
    "no such model": (lambda f, m: (f, m, "bspline"), ConfigError, "no such model"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_leaves_a_map_undetermined_is_refused(case, rng):
    change, kind, words = REFUSED[case]
    fixed = points_of(rng, 8)
    with pytest.raises(kind, match=words) as caught:
        from_landmarks(*change(fixed, Affine.rigid((0.1, 0.2, 0.3))(fixed)))
    assert caught.value.field
    assert caught.value.remedy or caught.value.value is not None


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"weights": [1, 1, 1, 0]}, ContentError),
        ({"weights": [1, 1, 1, np.nan]}, ContentError),
        ({"weights": [[1], [1], [1], [1]]}, ContentError),
        ({"names": ["a", "b"]}, ContentError),
        ({"smoothing": 1.0}, ConfigError),
        ({"smoothing": -1.0, "model": "thin_plate"}, ConfigError),
        ({"smoothing": np.nan, "model": "thin_plate"}, ConfigError),
        ({"weights": [1, 1, 1, 1], "model": "thin_plate"}, ConfigError),
    ],
)
def test_options_that_would_do_nothing_or_harm_are_refused(options, kind, rng):
    fixed = points_of(rng, 4)
    with pytest.raises(kind):
        from_landmarks(fixed, fixed, **options)


def test_three_points_give_a_rigid_map_that_nothing_checks(rng):
    fixed = points_of(rng, 3)
    fit = from_landmarks(fixed, Affine.rigid((0, 0.4, 0), (1, 2, 3))(fixed))
    assert fit.left_out_um is None
    assert fit.status is Status.DOUBTFUL
    assert "nothing checks it" in fit.reasons[0]


def test_what_was_given_is_not_kept_by_reference(rng):
    fixed = points_of(rng, 5)
    fit = from_landmarks(fixed, fixed + 1, "thin_plate")
    before = fit.transform(np.zeros((1, 3)))
    fixed += 100
    np.testing.assert_array_equal(fit.transform(np.zeros((1, 3))), before)


def test_misses_take_one_matrix_for_all_or_one_each(rng):
    points, matrices = rng.normal(size=(4, 3)), np.tile(np.eye(4), (4, 1, 1))
    np.testing.assert_allclose(misses(matrices, points, points + FIVE_AWAY), 5)
    np.testing.assert_allclose(misses(matrices[:1], points, points + FIVE_AWAY), 5)
