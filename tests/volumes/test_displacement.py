"""Displacement fields, held against SimpleITK's transform and filters and against maps known in closed form."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import volumes
from volumes import Affine, Composite, DisplacementField, Grid, Transform
from volumes.errors import ContentError, GridError, TransformError
from volumes.inverse_field import InverseField

FAST = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**31)


def random_grid(rng, shape=None):
    turn = Rotation.random(rng=rng).as_matrix() * rng.choice([-1, 1])
    shape = rng.integers(1, 9, 3).tolist() if shape is None else shape
    return Grid(shape, rng.uniform(0.5, 4, 3).tolist(), rng.uniform(-50, 50, 3).tolist(), turn.tolist())


def random_field(rng, size=1.0, shape=None):
    grid = random_grid(rng, shape)
    return DisplacementField(rng.normal(scale=size, size=(*grid.shape, 3)), grid)


def smooth_field(rng, size, shape=(10, 12, 14)):
    """Zero on the outermost voxels, so that the map is continuous."""
    grid = random_grid(rng, shape)
    middle = [slice(2, n - 2) for n in shape]
    u = np.zeros((*shape, 3))
    u[*middle] = rng.normal(size=(*(n - 4 for n in shape), 3))
    for axis in range(3):
        u[1:-1, 1:-1, 1:-1] = np.stack([np.roll(u, s, axis) for s in (-1, 0, 0, 1)]).mean(0)[1:-1, 1:-1, 1:-1]
    return DisplacementField(u * size * min(grid.spacing_um) / np.abs(u).max(), grid)


def points_about(field, rng, n, margin=1.5):
    shape = np.asarray(field.grid.shape)
    return field.grid.to_world(rng.uniform(-margin, shape - 1 + margin, (n, 3)))


def as_itk_image(field):
    """In µm and (x, y, z)."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(field.displacements_um[..., ::-1], float), isVector=True)
    image.SetSpacing(field.grid.spacing_um[::-1])
    image.SetOrigin(field.grid.origin_um[::-1])
    image.SetDirection(field.grid.axes[::-1, ::-1].ravel().tolist())
    return image


@given(SEEDS)
@FAST
def test_points_move_as_itk_moves_them_inside_and_out(seed):
    rng = np.random.default_rng(seed)
    field = random_field(rng)
    points = points_about(field, rng, 100)
    itk = SimpleITK.DisplacementFieldTransform(as_itk_image(field))
    theirs = [itk.TransformPoint(p[::-1].tolist())[::-1] for p in points]
    np.testing.assert_allclose(field(points), theirs, rtol=0, atol=1e-9)


def test_the_field_ends_half_a_voxel_past_its_centres():
    field = DisplacementField(np.full((2, 2, 2, 3), 5.0), Grid((2, 2, 2), (1.0, 1.0, 1.0)))
    points = np.array([[0, 0, -0.499], [0, 0, -0.501], [1.499, 1, 1], [1.501, 1, 1], [np.nan, 0, 0]])
    np.testing.assert_array_equal((field(points) - points)[:4, 0], [5, 0, 5, 0])
    assert np.isnan(field(points)[4, 0])


@given(SEEDS)
@FAST
def test_a_linear_map_is_sampled_exactly(seed):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3] += rng.uniform(-0.3, 0.3, (3, 4))
    grid = random_grid(rng, (5, 6, 7))
    field = DisplacementField.of(Affine(matrix), grid)
    points = grid.to_world(rng.uniform(0, 1, (100, 3)) * (np.asarray(grid.shape) - 1))
    np.testing.assert_allclose(field(points), Affine(matrix)(points), atol=1e-9)
    np.testing.assert_allclose(field.jacobian(), np.linalg.det(matrix), atol=1e-9)


def test_a_field_on_its_own_grid_is_itself(rng):
    field = random_field(rng, shape=(3, 4, 5))
    again = DisplacementField.of(field, field.grid)
    np.testing.assert_allclose(again.displacements_um, field.displacements_um, atol=1e-10)


@given(SEEDS, st.floats(0.05, 0.6))
@FAST
def test_the_inverse_brings_points_back(seed, size):
    rng = np.random.default_rng(seed)
    field = smooth_field(rng, size)
    points = points_about(field, rng, 300)
    np.testing.assert_allclose(field(field.inverse()(points)), points, rtol=0, atol=1e-6)
    np.testing.assert_allclose(field.inverse()(field(points)), points, rtol=0, atol=2e-5)
    assert field.inverse().inverse() is field


def test_the_inverse_of_a_stretch_needs_newton(rng):
    """A gradient of 2 is no contraction: a plain fixed-point iteration runs away."""
    grid = Grid((9, 9, 9), (1.0, 1.0, 1.0))
    stretch = Affine(np.diag([3.0, 3.0, 3.0, 1.0]))
    points = rng.uniform(0, 8, (200, 3))
    np.testing.assert_allclose(DisplacementField.of(stretch, grid).inverse()(3 * points), points, atol=1e-6)


def test_a_fold_has_no_inverse(rng):
    mirror = DisplacementField.of(Affine(np.diag([1.0, 1.0, -1.0, 1.0])), Grid((5, 5, 5), (1, 1, 1), (-2, -2, -2)))
    with pytest.raises(TransformError, match="folds") as caught:
        mirror.inverse()([[0.5, 0.5, 0.5]])
    assert caught.value.remedy
    assert mirror.folded_fraction() == 1


def test_a_gap_at_the_border_is_told_and_a_taper_closes_it(rng):
    grid = Grid((6, 6, 6), (1.0, 1.0, 1.0))
    shift = DisplacementField(np.broadcast_to([1.0, 0.0, 0.0], (6, 6, 6, 3)), grid)
    gap = np.array([[0.0, 2.0, 2.0]])
    with pytest.raises(TransformError, match="1 in the gap"):
        shift.inverse()(gap)
    np.testing.assert_array_equal(
        shift.inverse()([[2.0, 2, 2], [6.2, 2, 2], [9, 9, 9]]), [[1, 2, 2], [5.2, 2, 2], [9] * 3]
    )
    wide = shift.tapered(4)
    assert wide.folded_fraction() == 0
    points = rng.uniform(-8, 13, (500, 3))
    np.testing.assert_allclose(wide(wide.inverse()(points)), points, atol=1e-6)
    core = rng.uniform(0, 5, (100, 3))
    np.testing.assert_allclose(wide(core), shift(core), atol=1e-12)


def test_a_taper_lies_where_the_field_lies(rng):
    field = random_field(rng, shape=(3, 4, 5))
    wide = field.tapered(2)
    points = field.grid.to_world(rng.uniform(0, 1, (50, 3)) * (2, 3, 4))
    np.testing.assert_allclose(wide(points), field(points), atol=1e-10)
    assert not wide.displacements_um[0].any()
    with pytest.raises(GridError, match="margin"):
        field.tapered(0)


@given(SEEDS)
@FAST
def test_the_determinant_is_itks_inside(seed):
    rng = np.random.default_rng(seed)
    field = random_field(rng, 0.3, (5, 6, 7))
    # ITK differentiates along the axes of the index, so the field is turned into them first.
    along = DisplacementField(
        field.displacements_um @ field.grid.axes, Grid(field.grid.shape, field.grid.spacing_um, field.grid.origin_um)
    )
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.DisplacementFieldJacobianDeterminant(as_itk_image(along)))
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(field.jacobian()[inner], theirs[inner], atol=1e-6)


def test_a_fold_one_voxel_wide_is_seen():
    """Central differences of a zigzag are 0: they would call it harmless."""
    u = np.zeros((4, 4, 8, 3))
    u[..., 2] = np.where(np.arange(8) % 2, 0.8, -0.8)
    field = DisplacementField(u, Grid((4, 4, 8), (1.0, 1.0, 1.0)))
    assert (field.jacobian()[:, :, 1:-1] == 1).all()
    assert field.folded_fraction() == 6 / 8
    assert DisplacementField(u / 4, field.grid).folded_fraction() == 0


def test_it_composes_and_resamples(rng):
    moving = volumes.from_array(rng.random((8, 9, 10)), (1.0, 1.0, 1.0), modality="fluorescence")
    turn = Affine.rigid((0.1, 0, 0), (0.3, 0, 0))
    field = DisplacementField.of(turn, moving.grid)
    assert isinstance(field, Transform)
    assert isinstance(field.inverse(), Transform)
    points = rng.uniform(0, 7, (20, 3))
    for composed in (turn @ field, field @ turn, Composite((field, turn, field)), field.inverse() @ turn):
        expected = points
        for part in reversed(composed.parts):
            expected = part(expected)
        np.testing.assert_allclose(composed(points), expected)
    straight, bent = (volumes.resample(moving, moving, transform) for transform in (turn, field))
    np.testing.assert_array_equal(bent.mask(), straight.mask())
    np.testing.assert_allclose(bent.array, straight.array, atol=1e-6)


def test_its_numbers_cannot_be_changed_and_float32_stays(rng):
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0))
    field = DisplacementField(rng.random((2, 2, 2, 3)).astype(np.float32), grid)
    assert field.displacements_um.dtype == np.float32
    assert DisplacementField(np.ones((2, 2, 2, 3), int), grid).displacements_um.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        field.displacements_um[0] = 1
    at = grid.to_world([[1, 0, 1]])
    np.testing.assert_allclose(field(at) - at, field.displacements_um[1, 0, 1][None], atol=1e-7)


def test_fields_that_are_refused():
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(GridError, match="each voxel"):
        DisplacementField(np.zeros((3, 2, 2, 2)), grid)
    for wrong in (np.nan, np.inf, 1j):
        with pytest.raises(ContentError, match="finite"):
            DisplacementField(np.full((2, 2, 2, 3), wrong), grid)
    with pytest.raises(TransformError, match="tolerance"):
        InverseField(DisplacementField(np.zeros((2, 2, 2, 3)), grid), 0.0)


def test_a_transform_that_gives_no_points_is_not_sampled():
    class Broken:
        def __call__(self, points):
            return np.asarray(points) * np.nan

        def inverse(self):
            return self

    with pytest.raises(TransformError, match="plane z = 0"):
        DisplacementField.of(Broken(), Grid((2, 2, 2), (1.0, 1.0, 1.0)))
