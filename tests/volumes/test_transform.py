"""Transforms against SimpleITK and plain algebra."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from volumes.errors import TransformError
from volumes.transform import Affine, Composite, Transform, as_affine

SEEDS = st.integers(0, 2**31)


class Wavy:
    """A map that is not linear, with an inverse that can be written down."""

    def __init__(self, amplitude):
        self.amplitude = amplitude

    def __call__(self, points):
        out = np.array(points, np.float64)
        out[:, 0] += self.amplitude * np.sin(out[:, 1])
        return out

    def inverse(self):
        return Wavy(-self.amplitude)


def random_affine(rng):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(rng=rng).as_matrix() @ np.diag(rng.uniform(0.5, 2, 3) * rng.choice([-1, 1], 3))
    matrix[:3, 3] = rng.uniform(-100, 100, 3)
    return Affine(matrix)


def as_itk(affine):
    """The same map over (x, y, z)."""
    theirs = SimpleITK.AffineTransform(3)
    theirs.SetMatrix(affine.matrix[:3, :3][::-1, ::-1].ravel().tolist())
    theirs.SetTranslation(affine.matrix[:3, 3][::-1].tolist())
    return theirs


def itk_apply(transform, points):
    return np.array([transform.TransformPoint(p[::-1].tolist())[::-1] for p in points])


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_composition_is_first_the_right_then_the_left(seed):
    rng = np.random.default_rng(seed)
    a, b, wavy = random_affine(rng), random_affine(rng), Wavy(3.0)
    x = rng.uniform(-50, 50, (10, 3))
    np.testing.assert_allclose((a @ b)(x), a(b(x)), atol=1e-9)
    np.testing.assert_allclose((a @ wavy)(x), a(wavy(x)), atol=1e-9)
    np.testing.assert_allclose((Composite((wavy,)) @ a)(x), wavy(a(x)), atol=1e-9)
    np.testing.assert_allclose((a @ Composite((wavy, b)))(x), a(wavy(b(x))), atol=1e-9)
    np.testing.assert_allclose(Composite((a, Composite((wavy, b))))(x), a(wavy(b(x))), atol=1e-9)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_inverse_brings_every_point_back(seed):
    rng = np.random.default_rng(seed)
    both = Composite((random_affine(rng), Wavy(2.0), random_affine(rng)))
    x = rng.uniform(-50, 50, (10, 3))
    np.testing.assert_allclose(both.inverse()(both(x)), x, atol=1e-8)
    np.testing.assert_allclose(both.parts[0].inverse()(both.parts[0](x)), x, atol=1e-9)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_composite_is_itks_with_the_last_added_applied_first(seed):
    rng = np.random.default_rng(seed)
    parts = [random_affine(rng) for _ in range(3)]
    theirs = SimpleITK.CompositeTransform([as_itk(part) for part in parts])
    x = rng.uniform(-50, 50, (5, 3))
    np.testing.assert_allclose(Composite(tuple(parts))(x), itk_apply(theirs, x), atol=1e-8)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_rigid_is_itks_turn_about_a_centre(seed):
    """ITK turns over (x, y, z); read backwards the handedness flips, so the rotation vector does too."""
    rng = np.random.default_rng(seed)
    vector, centre, shift = rng.uniform(-2, 2, 3), rng.uniform(-50, 50, 3), rng.uniform(-9, 9, 3)
    theirs = SimpleITK.VersorRigid3DTransform()
    theirs.SetCenter(centre[::-1].tolist())
    theirs.SetRotation((-vector[::-1]).tolist(), float(np.linalg.norm(vector)))
    theirs.SetTranslation(shift[::-1].tolist())
    x = rng.uniform(-50, 50, (5, 3))
    np.testing.assert_allclose(Affine.rigid(vector, shift, centre)(x), itk_apply(theirs, x), atol=1e-8)


def test_rigid_about_one_axis_is_itks_euler_angle():
    theirs = SimpleITK.Euler3DTransform([3.0, 2.0, 1.0], 0.0, 0.0, 0.4, [30.0, 20.0, 10.0])
    ours = Affine.rigid((-0.4, 0, 0), (10, 20, 30), (1, 2, 3))
    x = np.array([[0.0, 0, 0], [5, -7, 11]])
    np.testing.assert_allclose(ours(x), itk_apply(theirs, x), atol=1e-10)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_rigid_leaves_its_centre_and_all_distances(seed):
    rng = np.random.default_rng(seed)
    vector, centre, shift = rng.uniform(-1, 1, 3), rng.uniform(-50, 50, 3), rng.uniform(-9, 9, 3)
    ours = Affine.rigid(vector, shift, centre)
    np.testing.assert_allclose(ours(centre[None])[0], centre + shift, atol=1e-10)
    x = rng.uniform(-50, 50, (2, 3))
    assert np.linalg.norm(np.diff(ours(x), axis=0)) == pytest.approx(np.linalg.norm(np.diff(x, axis=0)))
    assert ours.rotation_deg == pytest.approx(np.degrees(np.linalg.norm(vector)))


@pytest.mark.parametrize("scale", [(1, 1, 1), (1.2, 1.1, -0.9), (2.0, 0.5, 1.5), (3, 2, -0.5)])
def test_the_angle_is_that_of_the_nearest_rotation(scale):
    turn = Rotation.from_rotvec([0.2, 0.1, -0.3])
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix() @ np.diag(scale)
    best, _ = Rotation.align_vectors(matrix[:3, :3].T, np.eye(3))
    assert Affine(matrix).rotation_deg == pytest.approx(np.degrees(best.magnitude()), abs=1e-6)


@pytest.mark.parametrize("arguments", [{"rotation_rad": (0.1, 0.2)}, {"translation_um": 5.0}, {"centre_um": (1, 2)}])
def test_rigid_refuses_what_is_no_triple(arguments):
    with pytest.raises(TransformError, match=next(iter(arguments))):
        Affine.rigid(**arguments)


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (np.diag([1.0, 1.0, 0.0, 1.0]), "singular"),
        (np.diag([1.0, 1.0, 1e-12, 1.0]), "singular"),
        (np.diag([1.0, np.nan, 1.0, 1.0]), "finite"),
        (np.diag([1.0, 1.0, 1.0, 2.0]), "last row"),
        (np.diag([1.0, 1.0, 1.0, 1.0 + 1e-6]), "last row"),
        (np.eye(3), "4×4"),
    ],
)
def test_a_matrix_that_is_no_map_is_refused(matrix, why):
    with pytest.raises(TransformError, match=why):
        Affine(matrix)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_change_of_unit_is_not_singular(scale):
    ours = Affine(np.diag([scale, scale, scale, 1.0]))
    np.testing.assert_allclose(ours.inverse()(ours([[1.0, 2, 3]])), [[1, 2, 3]])


def test_an_affine_cannot_be_changed_from_outside():
    matrix = np.eye(4)
    ours = Affine(matrix)
    matrix[0, 3] = 5
    assert ours == Affine.identity()
    with pytest.raises(ValueError, match="read-only"):
        ours.matrix[0, 3] = 5


def test_equal_affines_have_equal_hashes():
    zero = np.eye(4)
    zero[0, 3] = -0.0
    assert Affine(zero) == Affine.identity()
    assert hash(Affine(zero)) == hash(Affine.identity())
    assert Affine.identity() != Affine.rigid(translation_um=(0, 0, 1))
    assert Affine.identity() != "identity"


def test_as_affine_multiplies_in_the_order_of_application(rng):
    a, b, c = (random_affine(rng) for _ in range(3))
    np.testing.assert_allclose(as_affine(Composite((a, b, c))).matrix, a.matrix @ b.matrix @ c.matrix)
    assert as_affine(a) is a
    assert as_affine(Composite((a, Wavy(1.0)))) is None
    assert as_affine(Wavy(1.0)) is None


def test_an_empty_composite_is_refused():
    with pytest.raises(TransformError, match="at least one"):
        Composite(())


def test_any_object_with_both_methods_is_a_transform():
    assert isinstance(Wavy(1.0), Transform)
    assert isinstance(Affine.identity(), Transform)
    assert not isinstance(3.0, Transform)


def test_text_shows_the_matrix():
    assert "Affine([[1., 0., 0., 0.]" in repr(Affine.identity())
