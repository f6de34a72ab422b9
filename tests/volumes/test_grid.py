"""A grid's two maps against SimpleITK, and what no grid may be."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from volumes.errors import HeaderError
from volumes.grid import Grid

SHAPE = (5, 7, 9)


@st.composite
def grids(draw):
    """Any legal grid: left- and right-handed, anisotropic, far from the origin."""
    shape = draw(st.tuples(*[st.integers(1, 40)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.05, 50)] * 3))
    origin = draw(st.tuples(*[st.floats(-1e4, 1e4)] * 3))
    turn = Rotation.random(rng=np.random.default_rng(draw(st.integers(0, 2**31)))).as_matrix()
    mirror = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    return Grid(shape, spacing, origin, (turn @ mirror).tolist())


def as_itk(grid):
    """The same grid in SimpleITK: x first, rows and columns of the direction reversed."""
    image = SimpleITK.Image([int(n) for n in grid.shape[::-1]], SimpleITK.sitkUInt8)
    image.SetSpacing(grid.spacing_um[::-1])
    image.SetOrigin(grid.origin_um[::-1])
    image.SetDirection(grid.axes[::-1, ::-1].ravel().tolist())
    return image


@given(grids(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_there_and_back(grid, seed):
    index = np.random.default_rng(seed).uniform(-50, 50, (20, 3))
    np.testing.assert_allclose(grid.to_index(grid.to_world(index)), index, atol=1e-7)


@given(grids(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_world_is_itk_read_backwards(grid, seed):
    image = as_itk(grid)
    for index in np.random.default_rng(seed).uniform(-50, 50, (5, 3)):
        theirs = image.TransformContinuousIndexToPhysicalPoint(index[::-1].tolist())[::-1]
        np.testing.assert_allclose(grid.to_world(index[None])[0], theirs, atol=1e-8)


@given(grids())
@settings(max_examples=40, deadline=None)
def test_corners_centre_and_extent_agree(grid):
    np.testing.assert_allclose(grid.corners_um.mean(0), grid.centre_um[0], atol=1e-8)
    np.testing.assert_allclose(grid.corners_um[0], grid.origin_um, atol=1e-12)
    diagonal = (np.asarray(grid.shape) - 1) * grid.spacing_um
    np.testing.assert_allclose(np.linalg.norm(grid.corners_um[-1] - grid.corners_um[0]), np.linalg.norm(diagonal))
    np.testing.assert_allclose(grid.extent_um, diagonal + grid.spacing_um)
    assert grid.voxel_um3 * np.prod(grid.shape) == pytest.approx(np.prod(grid.extent_um))


@given(grids(), st.tuples(*[st.floats(0.05, 80)] * 3))
@settings(max_examples=60, deadline=None)
def test_another_spacing_keeps_the_field_of_view(grid, spacing):
    other = grid.with_spacing(spacing)
    np.testing.assert_allclose(other.extent_um, grid.extent_um)
    np.testing.assert_allclose(other.centre_um, grid.centre_um, atol=1e-8)
    assert other.direction == grid.direction
    nearest = np.maximum(1, np.rint(np.asarray(grid.extent_um) / spacing))
    assert other.shape == tuple(nearest)


def test_left_handed_is_legal():
    grid = Grid(SHAPE, (1, 1, 1), direction=((1, 0, 0), (0, 1, 0), (0, 0, -1)))
    np.testing.assert_allclose(grid.to_world([[0, 0, 3]]), [[0, 0, -3]])
    assert np.linalg.det(grid.matrix) < 0


def test_close_means_within_a_share_of_a_voxel():
    grid = Grid(SHAPE, (2.0, 0.5, 0.5))
    assert grid.is_close(Grid(SHAPE, (2.0, 0.5, 0.5), (0, 0, 4e-4)))
    assert not grid.is_close(Grid(SHAPE, (2.0, 0.5, 0.5), (0, 0, 6e-4)))
    assert not grid.is_close(Grid((5, 7, 8), (2.0, 0.5, 0.5)))
    assert not grid.is_close(Grid(SHAPE, (2.001, 0.5, 0.5)))


def test_what_is_given_as_arrays_is_kept_as_plain_numbers():
    grid = Grid(np.array(SHAPE), np.array([1, 2, 3]), np.zeros(3), np.eye(3))
    assert grid == Grid(SHAPE, (1.0, 2.0, 3.0))
    assert hash(grid) == hash(Grid(SHAPE, (1.0, 2.0, 3.0)))
    assert type(grid.shape[0]) is int


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_spacing_that_cannot_be_is_refused(axis, bad):
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = bad
    with pytest.raises(HeaderError, match="spacing_um") as caught:
        Grid(SHAPE, spacing)
    assert caught.value.value is not None
    assert caught.value.remedy


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, -1, 4), (4, 4), (4, 4, 4, 4), (4, 4.5, 4), (4, np.nan, 4)])
def test_a_shape_that_cannot_be_is_refused(shape):
    with pytest.raises(HeaderError, match="shape"):
        Grid(shape, (1, 1, 1))


@pytest.mark.parametrize(
    ("direction", "why"),
    [
        (np.zeros((3, 3)), "singular"),
        ([[1, 0, 0], [0, 1, 0], [0, 1, 0]], "singular"),
        (np.diag([1, 1, 1 + 1e-3]), "orthonormal"),
        ([[1, 0, 0], [0, 1, 2e-4], [0, 0, 1]], "orthonormal"),
        ([[1, 0, 0], [0, np.nan, 0], [0, 0, 1]], "finite"),
        (np.eye(2), "3×3"),
    ],
)
def test_a_direction_that_cannot_be_is_refused(direction, why):
    with pytest.raises(HeaderError, match=why):
        Grid(SHAPE, (1, 1, 1), direction=np.asarray(direction).tolist())


def test_rounding_of_a_header_is_no_shear():
    rough = np.round(Rotation.from_rotvec([0.3, -0.2, 0.7]).as_matrix(), 5)
    assert Grid(SHAPE, (1, 1, 1), direction=rough.tolist()).shape == SHAPE


@pytest.mark.parametrize("origin", [(0, 0), (0, np.inf, 0), (np.nan, 0, 0)])
def test_an_origin_that_cannot_be_is_refused(origin):
    with pytest.raises(HeaderError, match="origin_um"):
        Grid(SHAPE, (1, 1, 1), origin)
