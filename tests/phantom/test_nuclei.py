"""The movie shows what its truth says, and the truth keeps the rules of a lineage."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from phantom.imaging import Microscope
from phantom.nuclei import nuclei_movie, painted
from phantom.population import Nucleus
from volumes import Grid
from volumes.errors import ConfigError

SHAPE, SPACING, FRAMES, CELLS = (16, 64, 64), (1.0, 0.5, 0.5), 8, 8


def drawn(seed=0, **more):
    return nuclei_movie(SHAPE, SPACING, FRAMES, CELLS, seed, **{"divide": 2, **more})


@pytest.fixture(scope="module", params=[0, 1])
def movie(request):
    return drawn(request.param)


def test_every_cell_of_the_truth_is_in_the_labels_and_no_other(movie):
    for frame, labels in enumerate(movie.labels):
        present = np.unique(labels.channel())
        np.testing.assert_array_equal(present[present > 0], np.sort(movie.label[movie.truth.t == frame]))


def test_the_labels_lie_where_the_truth_says_and_are_as_large(movie):
    for frame, labels in enumerate(movie.labels):
        rows = np.flatnonzero(movie.truth.t == frame)
        voxels = labels.channel()
        centroids = ndimage.center_of_mass(voxels > 0, voxels, movie.label[rows])
        off = labels.grid.to_world(centroids) - movie.truth.zyx[rows]
        assert (np.abs(off) < 0.35 * np.asarray(SPACING)).all()
        size = ndimage.sum_labels(voxels > 0, voxels, movie.label[rows]) * labels.grid.voxel_um3
        np.testing.assert_allclose(size, 4 / 3 * np.pi * movie.truth.radius[rows] ** 3, rtol=0.12)


def test_no_two_cells_touch_and_none_leaves_the_field(movie):
    grid = movie.labels.grid
    for labels in movie.labels:
        voxels = labels.channel()
        for label in np.unique(voxels)[1:]:
            _, pieces = ndimage.label(voxels == label, ndimage.generate_binary_structure(3, 3))
            assert pieces == 1
    low, high = grid.to_world([[-0.5] * 3, np.subtract(SHAPE, 0.5)])
    radius = movie.truth.radius[:, None] * 0.85
    assert (movie.truth.zyx - radius >= low).all()
    assert (movie.truth.zyx + radius <= high).all()


def test_the_truth_is_a_tree_whose_cells_all_go_on(movie):
    truth = movie.truth
    born = truth.parent >= 0
    np.testing.assert_array_equal(born, truth.t > 0)
    np.testing.assert_array_equal(truth.t[born], truth.t[truth.parent[born]] + 1)
    children = np.bincount(truth.parent[born], minlength=len(truth))
    np.testing.assert_array_equal(children[truth.t < FRAMES - 1] >= 1, True)
    assert children.max() == 2
    assert len(truth.dividing) == 2
    np.testing.assert_array_equal(np.bincount(truth.t), [8, 8, 8, 9, 9, 10, 10, 10])


def test_a_cell_keeps_its_label_size_and_light_until_it_divides(movie):
    truth = movie.truth
    divided = np.isin(truth.parent, truth.dividing)
    same = (truth.parent >= 0) & ~divided
    for values in (movie.label, truth.radius, movie.photons):
        np.testing.assert_array_equal(values[same], values[truth.parent[same]])
    assert (movie.label[divided] != movie.label[truth.parent[divided]]).all()
    assert len(np.unique(movie.label[divided])) == divided.sum()


def test_daughters_share_the_mothers_volume_and_lie_about_her(movie):
    truth = movie.truth
    for mother in truth.dividing:
        daughters = np.flatnonzero(truth.parent == mother)
        assert (truth.radius[daughters] ** 3).sum() == pytest.approx(truth.radius[mother] ** 3)
        middle = truth.zyx[daughters].mean(0)
        assert np.linalg.norm(middle - truth.zyx[mother]) < truth.radius[mother]
        np.testing.assert_array_equal(movie.photons[daughters], movie.photons[mother])


def test_cells_move_a_little_and_differ(movie):
    truth = movie.truth
    same = (truth.parent >= 0) & ~np.isin(truth.parent, truth.dividing)
    steps = np.linalg.norm(truth.zyx[same] - truth.zyx[truth.parent[same]], axis=1) / truth.radius[same]
    assert 0.1 < np.median(steps) < 0.6
    assert steps.max() < 1.2
    first = truth.t == 0
    assert 1.05 < truth.radius[first].max() / truth.radius[first].min() < 1.6
    assert movie.photons[first].max() / movie.photons[first].min() > 1.1


def test_a_seed_gives_the_same_movie_again_frame_by_frame():
    one, again, other = drawn(3), drawn(3), drawn(4)
    np.testing.assert_array_equal(one.truth.zyx, again.truth.zyx)
    np.testing.assert_array_equal(one.image[5].array, again.image[5].array)
    np.testing.assert_array_equal(one.image[5].array, one.image[5].array)
    np.testing.assert_array_equal(one.labels[5].array, again.labels[5].array)
    assert (one.image[5].array != other.image[5].array).any()
    assert (one.image[5].array != one.image[6].array).mean() > 0.9


def test_without_noise_a_voxel_is_the_sum_of_the_light_about_it():
    """The mean is ``offset + background + Σ light(j) N(i − j)``: term by term, for a few voxels far from the border."""
    scope = Microscope(psf_sigma_um=(1.0, 0.5, 0.5), background=7.0, offset=50.0)
    movie = drawn(noise=False, microscope=scope)
    light = np.zeros(SHAPE)
    labels = movie.labels[2].channel()
    for row in np.flatnonzero(movie.truth.t == 2):
        light[labels == movie.label[row]] = movie.photons[row]
    places = [np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    for voxel in [(8, 32, 32), (7, 20, 40), (9, 44, 22)]:
        kernel = [np.exp(-0.5 * ((p - p[i]) / s) ** 2) for p, i, s in zip(places, voxel, (1.0, 0.5, 0.5), strict=True)]
        kernel = [k / k.sum() for k in kernel]
        expected = 57.0 + np.einsum("zyx,z,y,x", light, *kernel)
        assert movie.image[2].channel()[voxel] == pytest.approx(expected, rel=1e-4)
    assert movie.image[2].channel().sum() == pytest.approx(light.sum() + 57 * light.size, rel=1e-5)


def test_noise_scatters_about_the_mean():
    clean, noisy = drawn(noise=False), drawn()
    off = np.stack([noisy.image[i].channel() - clean.image[i].channel() for i in range(FRAMES)])
    variance = np.stack([clean.image[i].channel() - 100 + 4 for i in range(FRAMES)])
    z = off / np.sqrt(variance)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, rel=0.01)


def test_frames_carry_their_time_and_kind(movie):
    assert movie.image.dt_s == movie.labels.dt_s == 60.0
    assert [v.time_s for v in movie.image][:3] == [0, 60, 120]
    assert (movie.image[0].modality, movie.labels[0].modality) == ("fluorescence", "labels")
    assert (movie.image[0].data.dtype, movie.labels[0].data.dtype.kind) == (np.float32, "i")
    assert movie.image.grid == movie.labels.grid


def test_a_nucleus_is_the_ellipsoid_it_says():
    """The covariance of an ellipsoid's points is ``R diag(a² / 5) Rᵀ``."""
    turn, semi_axes = (0.5, -0.4, 0.8), (9.0, 6.0, 4.0)
    nucleus = Nucleus(3, 0, (15.2, 16.1, 14.7), semi_axes, turn, 1.0)
    grid = Grid((31, 62, 62), SPACING)
    points = grid.to_world(np.argwhere(painted([nucleus], grid) == 3))
    r = Rotation.from_rotvec(turn).as_matrix()
    expected = r @ np.diag(np.square(semi_axes) / 5) @ r.T
    np.testing.assert_allclose(points.mean(0), nucleus.centre_um, atol=0.05)
    np.testing.assert_allclose(np.cov(points.T), expected, atol=0.15)
    assert len(points) * grid.voxel_um3 == pytest.approx(4 / 3 * np.pi * np.prod(semi_axes), rel=0.02)


@pytest.mark.parametrize("spacing", [(2.0, 0.5, 0.5), (0.5, 0.5, 0.5)])
@pytest.mark.parametrize("cells", [1, 15])
def test_fields_of_any_shape_are_filled(spacing, cells):
    movie = nuclei_movie((16, 64, 64), spacing, 3, cells, seed=7, divide=1)
    assert len(np.unique(movie.labels[0].array)) == cells + 1
    assert len(np.unique(movie.labels[2].array)) == cells + 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"frames": 0}, "at least one"),
        ({"cells": 0}, "at least one"),
        ({"divide": 9}, "divide"),
        ({"divide": -1}, "divide"),
        ({"frames": 1, "divide": 1}, "divide"),
        ({"radius_um": 0.8}, "too small"),
        ({"radius_um": np.nan}, "too small"),
        ({"radius_um": 9.0}, "no room for cell 1"),
        ({"cells": 400, "radius_um": 2.0}, "no room for cell"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, why):
    asked = {"frames": FRAMES, "cells": CELLS, "divide": 0, **arguments}
    with pytest.raises(ConfigError, match=why):
        nuclei_movie(SHAPE, SPACING, seed=0, **asked)


def test_a_division_without_room_is_refused():
    """In a field hardly wider than the cell, some cells fit whose daughters do not."""
    problems = []
    for seed in range(12):
        try:
            nuclei_movie((16, 28, 28), SPACING, 3, 1, seed, divide=1, radius_um=5.5)
        except ConfigError as error:
            problems.append(error.problem)
    assert "no cell has room to divide" in problems
