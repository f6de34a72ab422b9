"""Voxels say what the cells are: against a brute force in numpy, and against volume and centroid in closed form."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from phantom.cells.raster import Raster, rasterised
from phantom.cells.shape import BUMPS, harmonics, normalised
from phantom.cells.texture import Look
from volumes.errors import ConfigError, ContentError, GridError

PLAIN = Look(contrast=0, nucleoli=0, rim=0)


def some(centres, radius=5.0, seed=0, bumps=0.02, body=1.4, axes=0.15):
    """Tilted, bumpy nuclei of this radius at these places."""
    rng, n = np.random.default_rng(seed), len(centres)
    semi = np.exp(rng.normal(0, axes, (n, 1, 3)))
    frame = radius * Rotation.random(n, random_state=seed).as_matrix() * semi / np.cbrt(semi.prod(-1, keepdims=True))
    return Cells(
        np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        np.asarray(centres, float),
        frame,
        np.clip(rng.normal(0, bumps, (n, BUMPS)), -0.04, 0.04),
        np.full(n, body),
        np.zeros(n),
        np.ones((n, 3)),
        rng.integers(0, 2**62, n),
    )


def lattice(shape, spacing, turn=None, scale=1.0):
    """Centres of the voxels about the origin, (z, y, x, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), -1)
    points = index * np.asarray(spacing, float) * scale
    return points if turn is None else points @ turn.T


def everywhere(cells, shape):
    return np.tile(np.array([(0, 0, 0), shape]), (len(cells), 1, 1))


def drawn(cells, points, spacing, look=PLAIN, **more) -> Raster:
    boxes = more.pop("boxes", everywhere(cells, points.shape[:3]))
    return rasterised(cells, points.astype(np.float32), boxes, tuple(spacing), look, **more)


def depths(cells, points):
    """ρ of each cell at each point, (n, ...), straight from the definition."""
    scale, shift = normalised(cells.bumps)
    out = []
    for n in range(len(cells)):
        v = (points - cells.centre_um[n]) @ np.linalg.inv(cells.frame_um[n]).T / scale[n] + shift[n]
        far = np.maximum(np.linalg.norm(v, axis=-1), 1e-12)
        r = 1 + harmonics((v / far[..., None]).reshape(-1, 3)) @ cells.bumps[n]
        out.append(far / r.reshape(far.shape))
    return np.array(out)


def filled(cells, shape, spacing, parts=5):
    """The share of each voxel inside any nucleus, by counting points."""
    fine = lattice(np.array(shape) * parts, np.array(spacing) / parts)
    inside = (depths(cells, fine) <= 1).any(0)
    z, y, x = shape
    return inside.reshape(z, parts, y, parts, x, parts).mean((1, 3, 5))


CROWD = [(-4.0, -5.0, -3.0), (3.0, 2.0, -4.0), (0.5, -3.0, 5.5), (-2.0, 5.0, 4.0), (5.0, -5.0, 2.0)]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8)])
def test_rows_are_those_of_a_brute_force(spacing):
    cells, points = some(CROWD), lattice((20, 30, 30), spacing)
    raster, rho = drawn(cells, points, spacing), depths(cells, points)
    nearest = np.sort(rho, 0)
    clear = (np.abs(rho - 1) > 1e-4).all(0) & (nearest[1] - nearest[0] > 1e-4)
    expected = np.where(rho.min(0) <= 1, rho.argmin(0), -1)
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(raster.row[clear], expected[clear])
    assert ((rho <= 1).sum(0) > 1).any()  # some of them overlap
    assert set(np.unique(raster.row)) == {-1, 0, 1, 2, 3, 4}
    np.testing.assert_array_equal(raster.owner_row[raster.row >= 0], raster.row[raster.row >= 0])
    assert (raster.owner_row[raster.fill > 0] >= 0).all()
    assert (raster.fill[raster.owner_row < 0] == 0).all()


@pytest.mark.parametrize(("spacing", "most"), [((1.0, 1.0, 1.0), 0.2), ((3.0, 0.8, 0.8), 0.2), ((5.0, 5.0, 5.0), 0.1)])
def test_fill_is_the_share_of_the_voxel_inside(spacing, most):
    cells = some([(-3.2, 0.3, -3.0), (4.0, 0.0, 4.4)], 4.0)
    shape = tuple(np.ceil(np.array([20, 12, 20]) / spacing).astype(int))
    found, expected = drawn(cells, lattice(shape, spacing), spacing).fill, filled(cells, shape, spacing)
    assert np.abs(found - expected).max() < most
    edge = (expected > 0) & (expected < 1)
    assert np.abs(found - expected)[edge].mean() < 0.035


@given(
    st.integers(0, 10_000),
    st.floats(0.05, 6.0),
    st.tuples(st.floats(0.6, 1.6), st.floats(0.8, 1.25)),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_fill_adds_up_to_the_volume_and_its_centre_is_the_centroid(seed, radius, stretch, turned):
    spacing = (stretch[0], stretch[1], 1.0)
    turn = Rotation.random(random_state=seed).as_matrix() if turned else None
    cells = some(np.random.default_rng(seed).uniform(-0.5, 0.5, (1, 3)), radius, seed)
    points = lattice((2 * int(1.6 * radius / 0.6 + 3),) * 3, spacing, turn)
    fill = drawn(cells, points, spacing).fill
    assert fill.sum() * np.prod(spacing) == pytest.approx(cells.volume_um3[0], rel=0.02)
    if radius >= 3:
        centroid = np.tensordot(fill, points, 3) / fill.sum()
        np.testing.assert_allclose(centroid, cells.centre_um[0], atol=0.05)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.4, 0.7, 0.7)])
@pytest.mark.parametrize("turned", [False, True])
def test_labels_lie_where_the_cell_is_and_are_as_large(spacing, turned):
    turn = Rotation.from_rotvec([0.3, -0.7, 0.4]).as_matrix() if turned else np.eye(3)
    for seed in range(6):
        cells = some(np.random.default_rng(seed).uniform(-0.5, 0.5, (1, 3)), 6.0, seed)
        points = lattice((22, 32, 32), spacing, turn)
        inside = drawn(cells, points, spacing).row == 0
        assert inside.sum() * np.prod(spacing) == pytest.approx(cells.volume_um3[0], rel=0.05)
        off = (points[inside].mean(0) - cells.centre_um[0]) @ turn / spacing
        np.testing.assert_allclose(off, 0, atol=0.1)


def bent(points):
    """A smooth map with shears of up to 0.14: ``x + u(x)``."""
    z, y, x = np.moveaxis(points, -1, 0)
    return points + np.stack([1.5 * np.sin(y / 12), 1.2 * np.cos(x / 11), 1.4 * np.sin(z / 10)], -1)


def test_a_cell_is_drawn_through_a_smooth_deformation():
    # The voxel's volume in the specimen is the determinant of the map's derivative, here by central differences.
    shape, cells = (28, 28, 28), some([(0.3, 1.4, 0.2)], 6.0)
    points, h = lattice(shape, (1, 1, 1)), 1e-5
    derivative = np.stack([(bent(points + h * e) - bent(points - h * e)) / (2 * h) for e in np.eye(3)], -1)
    volume, where = np.linalg.det(derivative), bent(points)
    raster = drawn(cells, where, (1, 1, 1))
    mass = raster.fill * volume
    assert mass.sum() == pytest.approx(cells.volume_um3[0], rel=0.02)
    np.testing.assert_allclose(np.tensordot(mass, where, 3) / mass.sum(), cells.centre_um[0], atol=0.05)
    rho = depths(cells, where)[0]
    clear = np.abs(rho - 1) > 1e-4
    np.testing.assert_array_equal((raster.row == 0)[clear], (rho <= 1)[clear])


def test_points_far_from_the_origin_lose_nothing():
    shift = np.array([2000.0, 5000.0, -3000.0])
    cells, points = some(CROWD), lattice((20, 24, 24), (1, 1, 1))
    near = drawn(cells, points, (1, 1, 1))
    far = drawn(dataclasses.replace(cells, centre_um=cells.centre_um + shift), points + shift, (1, 1, 1))
    np.testing.assert_allclose(far.fill, near.fill, atol=0.01)
    assert (far.row != near.row).mean() < 1e-3


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
@pytest.mark.parametrize("membranes", [False, True])
def test_slabs_glued_together_are_the_whole(spacing, membranes):
    turn = Rotation.from_rotvec([0.2, 0.5, -0.3]).as_matrix()
    cells, points = some(CROWD), bent(lattice((18, 24, 26), spacing, turn))
    whole = drawn(cells, points, spacing, Look(), membranes=membranes)
    for cut in (1, 7, 13):
        parts = [drawn(cells, part, spacing, Look(), membranes=membranes) for part in (points[:cut], points[cut:])]
        for name in (item.name for item in dataclasses.fields(Raster)):
            glued = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(glued, getattr(whole, name), err_msg=name)


def test_tight_boxes_draw_the_same_as_wide_ones():
    cells, spacing = some(CROWD), np.array([2.0, 1.0, 0.8])
    points = lattice((20, 30, 34), spacing)
    middle, reach = (np.array(points.shape[:3]) - 1) / 2, cells.reach_um[:, None]
    low = np.floor((cells.centre_um - reach) / spacing + middle).astype(int) - 1
    high = np.ceil((cells.centre_um + reach) / spacing + middle).astype(int) + 2
    boxes = np.clip(np.stack([low, high], 1), 0, points.shape[:3])
    tight, wide = (drawn(cells, points, spacing, Look(), **more) for more in ({"boxes": boxes}, {}))
    np.testing.assert_array_equal(tight.row, wide.row)
    np.testing.assert_array_equal(tight.fill, wide.fill)
    np.testing.assert_array_equal(tight.light, wide.light)


@given(st.permutations(range(5)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_rows_changes_nothing(order):
    cells, points, picked = some(CROWD), lattice((16, 20, 20), (1.2, 1, 1)), np.array(order)
    one = drawn(cells, points, (1.2, 1, 1), Look(), membranes=True)
    other = drawn(cells.rows(picked), points, (1.2, 1, 1), Look(), membranes=True)
    for name in ("fill", "light", "membrane"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("row", "owner_row", "membrane_row"):
        np.testing.assert_array_equal(getattr(one, name), np.append(picked, -1)[getattr(other, name)])


def test_two_equal_spheres_meet_in_a_plane():
    cells = some([(0, 0, -4.0), (0, 0, 4.0)], 6.0, bumps=0, axes=0)
    points = lattice((16, 16, 30), (1, 1, 1))
    raster = drawn(cells, points, (1, 1, 1))
    inside = raster.row >= 0
    np.testing.assert_array_equal(raster.row[inside], (points[..., 2] > 0)[inside])
    assert raster.fill.max() == 1
    both = (depths(cells, points) < 0.9).all(0)
    assert both.any()
    assert (raster.fill[both] == 1).all()


@pytest.mark.parametrize(("radius", "within"), [(6.0, 0.01), (3.0, 0.015), (1.0, 0.04)])
@pytest.mark.parametrize("difficulty", [0.5, 1.0])
def test_the_light_of_a_nucleus_is_as_much_as_its_fill(radius, within, difficulty):
    ratio = []
    for seed in range(20):
        cells = some(np.random.default_rng(seed).uniform(-0.5, 0.5, (1, 3)), radius, seed)
        side = int(3.6 * radius) + 4
        raster = drawn(cells, lattice((side,) * 3, (1, 1, 1)), (1, 1, 1), Look.at(difficulty))
        ratio.append(raster.light.sum() / raster.fill.sum())
    assert np.median(np.abs(np.array(ratio) - 1)) < within * (0.5 + difficulty)
    assert np.abs(np.array(ratio) - 1).max() < 3.5 * within * (0.5 + difficulty)
    assert abs(np.mean(ratio) - 1) < within


def test_the_texture_moves_and_turns_with_the_cell():
    cells, points = some([(0.2, -0.4, 0.1)], 7.0), lattice((24, 24, 24), (1, 1, 1))
    turn, move = Rotation.from_rotvec([0.4, 1.0, -0.6]).as_matrix(), np.array([40.0, -7.0, 12.0])
    moved = dataclasses.replace(cells, centre_um=cells.centre_um @ turn.T + move, frame_um=turn @ cells.frame_um)
    here, there = (drawn(*pair, (1, 1, 1), Look(flat=0)) for pair in ((cells, points), (moved, points @ turn.T + move)))
    assert here.light[here.fill == 1].std() > 0.1
    np.testing.assert_allclose(there.light, here.light, atol=2e-3)
    other = drawn(dataclasses.replace(cells, seed=cells.seed + 1), points, (1, 1, 1), Look(flat=0))
    assert np.abs(other.light - here.light).mean() > 0.02


def test_two_grids_see_the_same_texture():
    # Sums of 3³ fine voxels are what a coarse grid sees.
    cells = some([(0.2, -0.4, 0.1)], 7.0)
    fine = drawn(cells, lattice((60, 60, 60), (0.4,) * 3), (0.4,) * 3, Look(flat=0)).light
    coarse = drawn(cells, lattice((20, 20, 20), (1.2,) * 3), (1.2,) * 3, Look(flat=0)).light
    expected = fine.reshape(20, 3, 20, 3, 20, 3).mean((1, 3, 5))
    assert np.corrcoef(coarse[expected > 0.5], expected[expected > 0.5])[0, 1] > 0.9


def test_no_cells_make_an_empty_raster():
    raster = drawn(Cells.none(), lattice((3, 4, 5), (1, 1, 1)), (1, 1, 1), membranes=True)
    assert (raster.row == -1).all()
    assert raster.fill.shape == raster.membrane.shape == (3, 4, 5)
    assert not raster.light.any()
    assert not raster.membrane.any()


def test_a_cell_with_an_empty_box_is_not_drawn():
    cells, points = some([(0, 0, 0)]), lattice((8, 8, 8), (1, 1, 1))
    assert (drawn(cells, points, (1, 1, 1), boxes=np.zeros((1, 2, 3), int)).row == -1).all()


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"points_um": np.zeros((4, 4, 3), np.float32)}, GridError, "points_um"),
        ({"boxes": np.zeros((2, 2, 3), int)}, GridError, "boxes"),
        ({"boxes": np.array([[[0, 0, 0], [9, 8, 8]]])}, GridError, "boxes"),
        ({"boxes": np.array([[[-1, 0, 0], [8, 8, 8]]])}, GridError, "boxes"),
        ({"voxel_um": (1, 0, 1)}, ConfigError, "voxel_um"),
        ({"voxel_um": (1, np.nan, 1)}, ConfigError, "voxel_um"),
        ({"points_um": np.full((8, 8, 8, 3), np.nan, np.float32)}, ContentError, "points_um"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, error, field):
    cells, points = some([(0, 0, 0)]), lattice((8, 8, 8), (1, 1, 1)).astype(np.float32)
    given = {"cells": cells, "points_um": points, "boxes": everywhere(cells, (8, 8, 8)), "voxel_um": (1, 1, 1)}
    with pytest.raises(error, match=field):
        rasterised(**{**given, **change}, look=PLAIN)
