"""Surfaces of cells: spheres in closed form, and the face between two that meet."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from phantom.cells.raster import rasterised
from phantom.cells.shape import BUMPS
from phantom.cells.texture import Look


def spheres(centres, radius=4.0, body=1.5):
    n = len(centres)
    return Cells(
        np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        np.asarray(centres, float),
        np.tile(radius * np.eye(3), (n, 1, 1)),
        np.zeros((n, BUMPS)),
        np.full(n, body),
        np.zeros(n),
        np.ones((n, 3)),
        np.arange(n),
    )


def drawn(cells, shape, spacing=(1.0, 1.0, 1.0), turn=None):
    """The raster on a lattice about the origin, and the points."""
    turn = np.eye(3) if turn is None else turn
    index = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), -1)
    points = index * spacing @ turn.T
    boxes = np.tile(np.array([(0, 0, 0), shape]), (len(cells), 1, 1))
    return rasterised(cells, points.astype(np.float32), boxes, spacing, Look(), membranes=True), points


@pytest.mark.parametrize("step", [0.15, 0.5, 1.0])
def test_a_free_sphere_has_a_gaussian_shell_on_its_body(step):
    # 0.3 µm / width exp(−((|x| − R)/width)²), the width 0.3 µm or a voxel.
    radius, body = 8 * step, 1.5
    raster, points = drawn(spheres([(0.2, 0.1, 0.0)], radius, body), (30, 30, 30), (step,) * 3)
    away = np.linalg.norm(points - [0.2, 0.1, 0.0], axis=-1) - body * radius
    width = max(0.3, step)
    expected = np.exp(-((away / width) ** 2))
    np.testing.assert_allclose(raster.membrane, 0.3 / width * np.where(expected > 1.2e-3, expected, 0), atol=2e-3)
    np.testing.assert_array_equal(raster.membrane_row == 0, raster.membrane > 0)


def test_a_shell_is_as_wide_as_the_voxel_across_it():
    spacing, turn = (3.0, 0.5, 0.5), Rotation.from_rotvec([0.5, 0.2, -0.8]).as_matrix()
    raster, points = drawn(spheres([(0, 0, 0)], 8.0), (15, 70, 70), spacing, turn)
    far = np.linalg.norm(points, axis=-1)
    normal = points @ turn / np.maximum(far, 1e-9)[..., None]
    width = np.linalg.norm(normal * spacing, axis=-1)
    expected = np.exp(-(((far - 12) / width) ** 2))
    shell = 0.3 / np.maximum(width, 0.3) * np.where(expected > 1.2e-3, expected, 0)
    np.testing.assert_allclose(raster.membrane, shell, atol=5e-3)


def test_a_membrane_gives_the_same_light_in_voxels_of_any_size():
    # Σ strength × volume = area ∫ t/w exp(−(d/w)²) dd = 4π R² t √π, up to the curvature.
    for step, shape in ((0.25, 120), (0.5, 70), (1.0, 40), (2.0, 24)):
        raster, _ = drawn(spheres([(0.1, 0.2, 0.05)], 6.0, 1.5), (shape,) * 3, (step,) * 3)
        light = float(raster.membrane.astype(float).sum()) * step**3
        assert light == pytest.approx(4 * np.pi * 9.0**2 * 0.3 * np.sqrt(np.pi), rel=0.12)


def test_two_that_meet_share_a_face_and_have_no_surface_inside_each_other():
    cells = spheres([(0, 0, -4.0), (0, 0, 4.0)])
    raster, points = drawn(cells, (21, 21, 41), (0.5,) * 3)
    z, y, x = np.moveaxis(points, -1, 0)
    face = (np.hypot(z, y) < 3) & (np.abs(x) < 1.5)
    np.testing.assert_allclose(raster.membrane[face], 0.6 * np.exp(-((x[face] / 0.5) ** 2)), atol=0.08)
    np.testing.assert_array_equal(
        raster.membrane_row[face & (raster.membrane > 0)] == 1, (x > 0)[face & (raster.membrane > 0)]
    )
    # Where the first body's surface would go on inside the second there is none.
    hidden = (np.abs(np.linalg.norm(points - [0, 0, -4.0], axis=-1) - 6) < 0.2) & (x > 1.2)
    assert hidden.any()
    assert raster.membrane[hidden].max() < 0.1


def test_two_that_stay_apart_have_two_surfaces():
    raster, points = drawn(spheres([(0, 0, -8.0), (0, 0, 8.0)]), (3, 3, 81), (0.5,) * 3)
    line = raster.membrane[1, 1]
    np.testing.assert_allclose(line, raster.membrane[1, 1, ::-1], atol=1e-6)
    peaks = np.flatnonzero((line[1:-1] > line[:-2]) & (line[1:-1] > line[2:])) + 1
    np.testing.assert_allclose(points[1, 1, peaks, 2], [-14, -2, 2, 14], atol=0.26)


def test_the_surface_holds_more_than_the_nucleus():
    cells = dataclasses.replace(spheres([(0, 0, 0)]), body=np.array([1.3]))
    raster, points = drawn(cells, (25, 25, 25), (0.5,) * 3)
    strongest = np.linalg.norm(points[raster.membrane > 0.9], axis=-1)
    np.testing.assert_allclose(strongest, 5.2, atol=0.2)
    assert raster.fill[np.linalg.norm(points, axis=-1) > 4.5].max() == 0
