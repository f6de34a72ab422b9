"""The projector against brute force, the search against the fit, and the refinement against differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registration.linear.rotations import spread_rotations
from registration.projection.cloud import averaged, evened, specimen
from registration.projection.fit import Scene, View
from registration.projection.picture import picture
from registration.projection.projector import largest_through, place, sum_through, surface
from registration.projection.refine import Free, moved, refine
from registration.projection.search import searched
from volumes import Grid, from_array


@pytest.fixture
def cloud(rng):
    seen = np.column_stack([rng.uniform(-9, 9, 200), rng.uniform(-1, 12, 200), rng.uniform(-1, 15, 200)])
    return seen, rng.random((200, 3)).astype(np.float32)


def test_sums_are_those_of_the_definition(cloud):
    seen, features = cloud
    out = np.empty((11, 14, 3), np.float32)
    mu = 0.1
    front = np.empty((11, 14))
    surface(seen, front)
    sum_through(seen, features, mu, np.where(np.isfinite(front), np.exp(mu * front), 0), out)
    inside = (seen[:, 1] >= 0) & (seen[:, 1] < 10) & (seen[:, 2] >= 0) & (seen[:, 2] < 13)
    wanted = np.zeros_like(out, np.float64)
    for row in range(11):
        for column in range(14):
            near = np.maximum(0, 1 - abs(seen[:, 1] - row)) * np.maximum(0, 1 - abs(seen[:, 2] - column)) * inside
            if not (near > 0).any():
                continue
            depth = seen[near > 0, 0].min()
            assert front[row, column] == pytest.approx(depth)
            wanted[row, column] = (near * np.exp(-mu * (seen[:, 0] - depth))) @ features
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)


def test_no_light_is_lost_inside_the_screen(cloud):
    seen, features = cloud
    inside = (seen[:, 1] >= 0) & (seen[:, 1] < 10) & (seen[:, 2] >= 0) & (seen[:, 2] < 13)
    out = np.empty((11, 14, 3), np.float32)
    sum_through(seen, features, 0.0, np.zeros((11, 14)), out)
    np.testing.assert_allclose(out.sum(axis=(0, 1)), features[inside].sum(axis=0), rtol=1e-5)


def test_the_largest_is_the_largest(cloud):
    seen, features = cloud
    on = np.floor(seen)
    out = np.empty((11, 14, 3), np.float32)
    largest_through(on, features, out)
    for row, column in ((2, 3), (5, 7), (9, 1)):
        here = (on[:, 1] == row) & (on[:, 2] == column)
        np.testing.assert_allclose(out[row, column], features[here].max(axis=0) if here.any() else 0)


def test_placing_is_the_matrix(cloud):
    points, _ = cloud
    matrix = np.random.default_rng(3).random((3, 4))
    out = np.empty_like(points)
    place(points, matrix, out)
    np.testing.assert_allclose(out, points @ matrix[:, :3].T + matrix[:, 3])


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(3, 9)] * 3), st.tuples(*[st.integers(1, 3)] * 3))
def test_blocks_keep_the_light_and_its_middle(blocks, factors):
    shape = tuple(b * f for b, f in zip(blocks, factors, strict=True))
    grid = Grid(shape, (2.0, 1.0, 1.5), (5.0, -3.0, 2.0), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)))
    values = np.kron(np.random.default_rng(sum(shape)).random((1, *blocks)), np.ones((1, *factors)))
    coarse, where = averaged(values, grid, list(factors))
    assert coarse.sum() * np.prod(factors) == pytest.approx(values.sum())

    def middle(array, of):
        points = of.to_world(np.argwhere(np.ones(of.shape)))
        return (array.ravel()[:, None] * points).sum(axis=0) / array.sum()

    np.testing.assert_allclose(middle(coarse[0], where), middle(values[0], grid), atol=1e-9)


def test_thick_planes_are_interpolated_where_they_lie():
    grid = Grid((6, 10, 10), (4.0, 1.0, 1.0), (1.0, 2.0, 3.0))
    world = grid.to_world(np.argwhere(np.ones(grid.shape))).reshape(*grid.shape, 3)
    fine, where = evened(world[..., 0][None].astype(np.float32), grid, 1.0)
    assert where.spacing_um == (1.0, 1.0, 1.0)
    np.testing.assert_allclose(where.extent_um, grid.extent_um)
    exact = where.to_world(np.argwhere(np.ones(where.shape))).reshape(*where.shape, 3)[..., 0]
    np.testing.assert_allclose(fine[0][2:-2], exact[2:-2], atol=1e-5)


@pytest.fixture(scope="module")
def scene():
    """A lopsided body before a camera that shows it in the way it lies, by its own features."""
    index = np.stack(np.meshgrid(*[np.arange(28.0)] * 3, indexing="ij"), -1)
    body = sum(
        h * np.exp(-((index - c) ** 2).sum(-1) / (2 * w**2))
        for c, w, h in (([14, 13, 15], 5, 1.0), ([9, 18, 10], 2, 1.5), ([18, 8, 19], 2, 1.2), ([16, 19, 20], 2, 0.9))
    )
    volume = from_array(body.astype(np.float32), (2.0, 2.0, 2.0), modality="CT")
    seen = from_array(body.sum(axis=0)[None].astype(np.float32), (2.0, 2.0, 2.0), modality="SWIR")
    known = specimen(volume, None, 0, "fixed", 2.0, 4, "sum")
    shown = picture(seen, None, 0, "moving", flat=False)
    at = (known.centre_um - shown.grid.centre_um[0])[1:]
    return Scene(known.at(2.0), shown.at(2.0), np.eye(3), "sum", 4.0), View(np.eye(3), at), known.radius_um


def test_the_true_view_explains_nearly_all(scene):
    setting, view, _ = scene
    assert setting.fit(view).left[0] < 0.02
    assert setting.fit(view).explained > setting.fit(view.turned(np.array([0.2, 0.0, 0.0]))).explained + 0.05


def test_what_a_fit_leaves_is_its_share(scene):
    setting, view, _ = scene
    fit = setting.fit(view.turned(np.array([0.3, 0.2, 0.0])))
    image = setting.screen.image[setting.screen.known]
    assert fit.left[0] == pytest.approx(float(fit.rests[0] @ fit.rests[0] / (image @ image)))
    assert np.linalg.norm(fit.weighed(fit)) == pytest.approx(np.sqrt(2))
    true = setting.fit(view)
    assert true.against(fit) == pytest.approx(-fit.against(true))
    assert true.against(fit) > 0.5


def test_the_search_ranks_the_true_view_first_at_its_true_shift(scene):
    setting, view, _ = scene
    best = searched(setting, spread_rotations(150), 0.0)[0]
    np.testing.assert_array_equal(best.view.rotation, np.eye(3))
    np.testing.assert_allclose(best.view.shift_um, view.shift_um, atol=1.5)
    assert 0.5 < best.explained <= 1.001


def test_refinement_climbs_back(scene):
    setting, view, radius = scene
    free = Free()
    off = moved(view, np.array([2.0, -2.0, 1.5, 2.0, -1.5]), radius, free)
    found = refine(setting, off, radius, free, 30)
    assert found.fit.explained > setting.fit(off).explained
    assert np.linalg.norm(found.view.shift_um - view.shift_um) < 0.5
    assert np.degrees(np.arccos(np.clip((np.trace(found.view.rotation) - 1) / 2, -1, 1))) < 2
    assert found.slopes.shape == (2 * setting.screen.known.sum(), 5)


def test_a_move_is_a_length_at_the_rim(scene):
    _, view, radius = scene
    free = Free(scale=True, attenuation=True)
    turned = moved(view, np.array([1.0, 0, 0, 0, 0, 0, 0]), radius, free)
    there = turned.rotation @ np.array([0.0, radius, 0.0])
    assert np.linalg.norm(there - [0.0, radius, 0.0]) == pytest.approx(1.0, abs=0.01)
    grown = moved(view, np.array([0, 0, 0, 0, 0, 1.0, 0]), radius, free)
    assert (grown.scale - 1) * radius == pytest.approx(1.0, abs=0.1)
    assert moved(view, np.array([0, 0, 0, 0, 0, 0, -5.0]), radius, free).attenuation == 0.0


def test_hot_pixels_are_taken_out_and_edges_stay(rng):
    image = np.zeros((1, 40, 40))
    image[0, 10:30, 12:28] = 100
    image += rng.normal(0, 1, image.shape)
    hot = image.copy()
    hot[0, 5, 5] = 5000
    one, two = (
        picture(from_array(i, (1.0, 1.0, 1.0), modality="SWIR"), None, 0, "p", flat=False) for i in (image, hot)
    )
    assert abs(two.image[5, 5] - one.image[5, 5]) < 0.1
    np.testing.assert_allclose(two.image[15:25, 15:25], one.image[15:25, 15:25], atol=0.02)
