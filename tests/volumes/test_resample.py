"""Resampling against SimpleITK, scipy and brute force."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from volumes.errors import TransformError
from volumes.grid import Grid
from volumes.resample import resample, sample
from volumes.transform import Affine, Composite
from volumes.volume import Channel, Volume, from_array

SEEDS = st.integers(0, 2**31)
SPACING = (2.0, 0.5, 0.7)


class Bent:
    """A map that is not linear: a shift that grows with the square of x."""

    def __call__(self, points):
        out = np.array(points, np.float64)
        out[:, 0] += 0.02 * out[:, 2] ** 2
        out[:, 1] += 0.5 * np.sin(out[:, 0])
        return out

    def inverse(self):
        raise NotImplementedError


class Broken(Bent):
    def __call__(self, points):
        return np.full_like(points, np.nan)


def random_grid(rng, shape):
    turn = Rotation.random(rng=rng).as_matrix() @ np.diag(rng.choice([-1.0, 1.0], 3))
    return Grid(shape, rng.uniform(0.4, 2, 3), rng.uniform(-5, 5, 3), turn.tolist())


def small_affine(rng):
    """A map near the identity, so that fields still overlap; sheared and scaled."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rng.uniform(-0.3, 0.3, 3)).as_matrix() @ (
        np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
    )
    matrix[:3, 3] = rng.uniform(-2, 2, 3)
    return Affine(matrix)


def as_itk(array, grid):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_um[::-1])
    image.SetOrigin(grid.origin_um[::-1])
    image.SetDirection(grid.axes[::-1, ::-1].ravel().tolist())
    return image


def itk_resample(moving, grid, like, transform, kind):
    """SimpleITK's answer, NaN (or −1 for integers) outside the field."""
    theirs = SimpleITK.AffineTransform(3)
    theirs.SetMatrix(transform.matrix[:3, :3][::-1, ::-1].ravel().tolist())
    theirs.SetTranslation(transform.matrix[:3, 3][::-1].tolist())
    outside = np.nan if moving.dtype.kind == "f" else -1
    fixed = as_itk(np.zeros(like.shape, np.uint8), like)
    return SimpleITK.GetArrayFromImage(SimpleITK.Resample(as_itk(moving, grid), fixed, theirs, kind, outside))


def field_of(rng, like, shape):
    """A random grid whose field is about that of another."""
    grid = random_grid(rng, shape)
    shift = like.centre_um[0] - grid.centre_um[0]
    return Grid(grid.shape, grid.spacing_um, np.asarray(grid.origin_um) + shift, grid.direction)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_linear_agrees_with_itk_on_any_two_grids(seed):
    rng = np.random.default_rng(seed)
    fixed = random_grid(rng, (6, 11, 9))
    moving = field_of(rng, fixed, (8, 7, 12))
    voxels = rng.random(moving.shape)
    transform = Affine.rigid((0, 0, 0)) if seed % 5 == 0 else small_affine(rng)
    ours = resample(Volume(voxels[None], moving, (Channel("a", "CT"),)), fixed, transform)
    theirs = itk_resample(voxels, moving, fixed, transform, SimpleITK.sitkLinear)
    np.testing.assert_array_equal(ours.valid, np.isfinite(theirs))
    np.testing.assert_allclose(ours.channel()[ours.valid], theirs[ours.valid], atol=1e-9)
    assert (ours.channel()[~ours.valid] == 0).all()


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_nearest_agrees_with_itk_on_any_two_grids(seed):
    rng = np.random.default_rng(seed)
    fixed = random_grid(rng, (6, 11, 9))
    moving = field_of(rng, fixed, (8, 7, 12))
    voxels = rng.integers(0, 1000, moving.shape).astype(np.int32)
    transform = small_affine(rng)
    ours = resample(Volume(voxels[None], moving, (Channel("a", "labels"),)), fixed, transform)
    theirs = itk_resample(voxels, moving, fixed, transform, SimpleITK.sitkNearestNeighbor)
    np.testing.assert_array_equal(ours.valid, theirs >= 0)
    np.testing.assert_array_equal(ours.channel()[ours.valid], theirs[ours.valid])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_linear_agrees_with_scipy_inside_the_field(seed):
    rng = np.random.default_rng(seed)
    volume = from_array(rng.random((7, 12, 10)), SPACING, modality="CT")
    transform, matrix = small_affine(rng), volume.grid.matrix
    index = np.linalg.inv(matrix) @ transform.matrix @ matrix
    theirs = ndimage.affine_transform(volume.channel(), index[:3, :3], index[:3, 3], order=1, cval=np.nan)
    ours = resample(volume, volume, transform)
    inside = np.isfinite(theirs)
    assert ours.valid[inside].all()
    np.testing.assert_allclose(ours.channel()[inside], theirs[inside], atol=1e-9)


def test_the_field_ends_half_a_voxel_past_the_outermost_centres():
    volume = from_array(np.arange(4.0).reshape(1, 1, 4), (1, 1, 1), modality="CT")
    ends = Grid((1, 1, 4), (1, 1, 1.0 + 0.998 / 3), (0, 0, -0.499))
    ours = resample(volume, ends)
    np.testing.assert_array_equal(ours.valid.ravel(), True)
    np.testing.assert_allclose(ours.channel().ravel()[[0, 3]], [0, 3])
    past = Grid((1, 1, 2), (1, 1, 4.002), (0, 0, -0.501))
    np.testing.assert_array_equal(resample(volume, past).valid.ravel(), False)


@pytest.mark.parametrize("shape", [(1, 1, 10), (4, 4, 10)])
def test_a_row_that_ends_in_the_outer_half_voxel_writes_nothing_past_its_end(shape):
    volume = from_array(np.ones(shape), (1, 1, 1), modality="CT")
    ours = resample(volume, Grid((1, 2, 3), (1, 9, 0.1), (0, 0, -0.4)))
    np.testing.assert_array_equal(ours.valid, [[[True] * 3, [False] * 3]])
    np.testing.assert_array_equal(ours.channel(), ours.valid)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.1, 1 / 3, 4.987), (2.0, 0.284, 0.127)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_the_identity_changes_no_bit(spacing, kind, rng):
    data = (rng.random((2, 9, 13, 40)) * 100 * 10.0 ** rng.integers(-6, 6, (2, 9, 13, 40))).clip(0, 200).astype(kind)
    direction = Rotation.from_rotvec([0.3, 0.4, -0.2]).as_matrix().tolist()
    volume = from_array(data, spacing, modality="CT", origin_um=(123.4, -56.7, 8.9), direction=direction)
    ours = resample(volume, volume)
    assert ours.data.dtype == (np.float64 if kind == np.float64 else np.float32)
    assert ours.valid.all()
    np.testing.assert_array_equal(ours.array, data.astype(ours.data.dtype))


def test_the_identity_leaves_a_nan_where_it_is(rng):
    data = rng.random((5, 6, 7))
    data[2, 3, 4], data[1, 1, 1] = np.nan, np.inf
    volume = from_array(data, SPACING, modality="CT")
    np.testing.assert_array_equal(resample(volume, volume).channel(), data)


@pytest.mark.parametrize("order", ["linear", "nearest"])
@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 0), (2, 3, -4), (-9, 0, 0)])
def test_a_shift_by_whole_voxels_is_a_slice(order, shift, rng):
    data = rng.random((5, 8, 9)).astype(np.float32)
    volume = from_array(data, (0.3, 0.7, 1.1), modality="CT", origin_um=(5, 6, 7))
    ours = resample(volume, volume, Affine.rigid(translation_um=np.multiply(shift, (0.3, 0.7, 1.1))), order)
    expected, valid = np.zeros_like(data), np.zeros(data.shape, bool)
    for index in np.ndindex(*data.shape):
        source = np.add(index, shift)
        if (source >= 0).all() and (source < data.shape).all():
            expected[index], valid[index] = data[tuple(source)], True
    np.testing.assert_array_equal(ours.valid, valid)
    np.testing.assert_array_equal(ours.channel(), expected)


@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "i8", "u8", "?", "f2", ">i2", ">f8"])
def test_nearest_keeps_every_type_and_every_bit(kind, rng):
    data = rng.integers(0, 2**15 if kind == "f2" else 2**62, (4, 5, 6)).astype(kind)
    volume = from_array(data, SPACING, modality="labels")
    for transform in (Affine.rigid((0, 0, np.pi), centre_um=volume.grid.centre_um), Composite((Flip(volume.grid),))):
        ours = resample(volume, volume, transform, "nearest")
        assert ours.data.dtype == data.dtype.newbyteorder("=")
        np.testing.assert_array_equal(ours.channel(), data[::-1, ::-1])


class Flip:
    """The same half turn about x, but not known to be linear."""

    def __init__(self, grid):
        self.turn = Affine.rigid((0, 0, np.pi), centre_um=grid.centre_um)

    def __call__(self, points):
        return self.turn(points)

    def inverse(self):
        return self


@pytest.mark.parametrize("kind", [">f4", ">f8", ">u2"])
def test_linear_takes_any_byte_order(kind, rng):
    data = (rng.random((4, 5, 6)) * 100).astype(kind)
    native = data.astype(data.dtype.newbyteorder("="))
    shift = Affine.rigid(translation_um=(0.3, 0.1, 0.2))
    ours, theirs = (
        resample(from_array(d, SPACING, modality="CT"), Grid((4, 5, 6), SPACING), shift) for d in (data, native)
    )
    assert ours.data.dtype == theirs.data.dtype
    np.testing.assert_array_equal(ours.array, theirs.array)


def test_labels_are_taken_by_nearest_and_all_else_linearly():
    data = np.array([0, 10], np.uint8).reshape(1, 1, 2)
    middle = Affine.rigid(translation_um=(0, 0, 0.6))
    labels, image = (from_array(data, (1, 1, 1), modality=m) for m in ("labels", "CT"))
    assert resample(labels, labels, middle).channel()[0, 0, 0] == 10
    assert resample(image, image, middle).channel()[0, 0, 0] == pytest.approx(6, rel=1e-6)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_voxel_is_valid_only_if_all_that_it_is_made_of_is(seed):
    """Scipy spreads the share of valid neighbours with the same weights; all must be valid."""
    rng = np.random.default_rng(seed)
    hole = rng.random((7, 9, 8)) > 0.1
    volume = from_array(rng.random((7, 9, 8)), SPACING, modality="CT", valid=hole)
    transform = small_affine(rng)
    points = volume.grid.to_index(transform(volume.grid.to_world(np.indices(hole.shape).reshape(3, -1).T)))
    inside = ((points >= -0.5) & (points <= np.subtract(hole.shape, 0.5))).all(1)
    share = ndimage.map_coordinates(hole.astype(float), points.T, order=1, mode="nearest")
    expected = (inside & (share > 1 - 1e-8)).reshape(hole.shape)
    ours = resample(volume, volume, transform)
    np.testing.assert_array_equal(ours.valid, expected)
    assert (ours.channel()[~expected] == 0).all()
    clear = resample(volume.with_data(np.where(hole, volume.channel(), 1e9)), volume, transform)
    np.testing.assert_array_equal(clear.channel(), ours.channel())


def test_an_invalid_voxel_stays_invalid_through_nearest_and_identity(rng):
    hole = rng.random((4, 5, 6)) > 0.3
    volume = from_array(rng.integers(1, 9, (4, 5, 6)), SPACING, modality="labels", valid=hole)
    for order in ("nearest", "linear"):
        ours = resample(volume, volume, order=order)
        np.testing.assert_array_equal(ours.valid, hole)
        np.testing.assert_array_equal(ours.channel(), np.where(hole, volume.channel(), 0))


@pytest.mark.parametrize("order", ["linear", "nearest"])
def test_a_map_that_is_not_linear_agrees_with_scipy(order, rng):
    volume = from_array(rng.random((8, 16, 14)), (1.0, 0.5, 0.5), modality="CT", origin_um=(1, 2, 3))
    fixed = Grid((6, 9, 8), (1.1, 0.8, 0.7), (1.3, 2.2, 3.1))
    transform = Affine.rigid((0.05, 0.1, 0.02)) @ Bent()
    points = volume.grid.to_index(transform(fixed.to_world(np.indices(fixed.shape).reshape(3, -1).T)))
    inside = ((points >= -0.5) & (points <= np.subtract(volume.grid.shape, 0.5))).all(1)
    if order == "linear":
        expected = ndimage.map_coordinates(volume.channel(), points.T, order=1, mode="nearest")
    else:
        i, j, k = np.floor(np.clip(points, 0, np.subtract(volume.grid.shape, 1)) + 0.5).astype(int).T
        expected = volume.channel()[i, j, k]
    ours = resample(volume, fixed, transform, order)
    assert 0.3 < inside.mean() < 1
    np.testing.assert_array_equal(ours.valid.ravel(), inside)
    np.testing.assert_allclose(ours.channel().ravel(), np.where(inside, expected, 0), atol=1e-9)


def test_both_roads_give_one_answer(rng):
    volume = from_array(rng.random((6, 9, 8)), SPACING, modality="CT", valid=rng.random((6, 9, 8)) > 0.05)
    linear = resample(volume, volume, Flip(volume.grid))
    affine = resample(volume, volume, Flip(volume.grid).turn)
    np.testing.assert_array_equal(linear.valid, affine.valid)
    np.testing.assert_allclose(linear.channel(), affine.channel(), atol=1e-12)


def test_a_map_to_nowhere_is_refused(rng):
    volume = from_array(rng.random((3, 4, 5)), SPACING, modality="CT")
    with pytest.raises(TransformError, match="not finite"):
        resample(volume, volume, Broken())


def test_a_picture_of_one_plane_agrees_with_scipy(rng):
    volume = from_array(rng.random((20, 30)), (3.0, 1.0, 1.0), modality="optical")
    turn = Affine.rigid((0.2, 0, 0), (0, 0.3, 0.4), volume.grid.centre_um)
    ours = resample(volume, volume, turn)
    index = np.linalg.inv(volume.grid.matrix) @ turn.matrix @ volume.grid.matrix
    theirs = ndimage.affine_transform(volume.channel()[0], index[1:3, 1:3], index[1:3, 3], order=1, cval=np.nan)
    inside = np.isfinite(theirs)
    assert inside.mean() > 0.7
    np.testing.assert_allclose(ours.channel()[0][inside], theirs[inside], atol=1e-12)
    assert not resample(volume, volume, Affine.rigid(translation_um=(1.6, 0, 0))).valid.any()


def test_channels_time_and_grid_come_along(rng):
    channels = (Channel("a", "PET"), Channel("b", "PET"))
    volume = from_array(rng.random((2, 4, 5, 6)), SPACING, modality="PET", channels=channels, time_s=3.0)
    fixed = from_array(np.zeros((3, 4, 5)), (1, 1, 1), modality="MRI")
    ours = resample(volume, fixed)
    assert (ours.channels, ours.time_s, ours.grid) == (channels, 3.0, fixed.grid)
    one = resample(volume.with_data(volume.channel("b"), [channels[1]]), fixed)
    np.testing.assert_array_equal(ours.channel("b"), one.channel())


def test_samples_are_what_resampling_gives(rng):
    volume = from_array(rng.random((2, 6, 9, 8)), SPACING, modality="CT", valid=rng.random((6, 9, 8)) > 0.05)
    fixed = Grid((5, 6, 7), (2.2, 0.8, 0.9), (0.3, -0.4, 0.1))
    values, valid = sample(volume, fixed.to_world(np.indices(fixed.shape).reshape(3, -1).T), channel=1)
    ours = resample(volume, fixed)
    np.testing.assert_array_equal(valid, ours.valid.ravel())
    np.testing.assert_allclose(values, ours.channel(1).ravel(), atol=1e-9)


def test_a_point_that_is_nowhere_has_no_sample(rng):
    volume = from_array(rng.random((3, 4, 5)), SPACING, modality="CT")
    values, valid = sample(volume, np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -1e300], [2.0, 0.5, 0.7]]))
    np.testing.assert_array_equal(valid, [False, False, False, True])
    np.testing.assert_allclose(values, [0, 0, 0, volume.channel()[1, 1, 1]])
