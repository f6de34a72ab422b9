"""Level sets, snakes and their fields against closed forms and peers; what refining keeps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tracking3d.match import score
from tracking3d.segment import segment
from tracking3d.segment.contours import curve, surface
from tracking3d.segment.contours.chan_vese import ChanVese, ChanVeseConfig
from tracking3d.segment.contours.geodesic import GeodesicConfig
from tracking3d.segment.contours.gradient_flow import gradient_vector_flow
from tracking3d.segment.contours.level_set import Forces, moved, signed_distance_um
from tracking3d.segment.contours.snakes import SnakesConfig
from tracking3d.segment.contours.sphere import sphere
from tracking3d.segment.gradient import gradient
from tracking3d.segment.thresholds.components import ThresholdConfig
from volumes.errors import GridError
from volumes.volume import from_array

SPACING = (1.0, 0.5, 0.5)
EACH = [ChanVeseConfig(), GeodesicConfig(), SnakesConfig(), SnakesConfig(form="slices")]


def ball(radius, shape=(24, 48, 48), spacing=SPACING):
    axes = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    return np.sqrt(sum(a**2 for a in axes)), sum(a**2 for a in axes) <= radius**2


def radius_of(mask, spacing=SPACING):
    return np.cbrt(mask.sum() * np.prod(spacing) * 3 / 4 / np.pi)


def forces(shape, speed=0.0, bending=0.0, current=(0.0, 0.0, 0.0)):
    flow = np.zeros((3, *shape), np.float32) + np.array(current, np.float32)[:, None, None, None]
    return Forces(np.full(shape, speed, np.float32), np.full(shape, bending, np.float32), flow)


def test_a_ball_under_its_curvature_shrinks_as_it_must():
    """dR/dt = −2 w / R, so R² = R₀² − 4 w t."""
    distance, _ = ball(8.0)
    phi = moved((8 - distance).astype(np.float32), forces(distance.shape, bending=1.0), SPACING, 0.04, 150)
    assert radius_of(phi > 0) == pytest.approx(np.sqrt(64 - 4 * 6.0), rel=0.07)


def test_a_ball_moves_outward_by_its_speed_and_along_a_current():
    distance, _ = ball(5.0)
    start = (5 - distance).astype(np.float32)
    assert radius_of(moved(start, forces(distance.shape, speed=1.0), SPACING, 0.2, 15) > 0) == pytest.approx(
        8, rel=0.03
    )
    carried = moved(start, forces(distance.shape, current=(0, 0, 1.0)), SPACING, 0.2, 15) > 0
    assert radius_of(carried) == pytest.approx(5, rel=0.05)
    shift = (np.argwhere(carried).mean(axis=0) - (np.array(distance.shape) - 1) / 2) * SPACING
    np.testing.assert_allclose(shift, [0, 0, 3], atol=0.25)


def test_the_signed_distance_is_that_to_the_outline():
    distance, mask = ball(6.0)
    phi = signed_distance_um(mask, SPACING)
    assert ((phi > 0) == mask).all()
    near = np.abs(6 - distance) < 3
    assert np.abs(phi - (6 - distance))[near].max() < 0.8  # a voxel's diagonal is 1.2


def test_chan_vese_parts_two_grey_levels_like_scikit_image():
    from skimage.segmentation import morphological_chan_vese

    _, truth = ball(6.0, (12, 32, 32))
    noise = np.random.default_rng(2).normal(0, 10, truth.shape)
    image = from_array((20 + 80 * truth + noise).astype(np.float32), SPACING, modality="fluorescence")
    _, start = ball(5.0, truth.shape)
    labels = from_array(start.astype(np.uint8), SPACING, modality="labels")
    found = ChanVese().refine(image, labels).channel() > 0
    peer = morphological_chan_vese(image.channel(), 20, init_level_set=start, smoothing=1) > 0
    for other, least in ((truth, 0.82), (peer, 0.8)):
        assert (found & other).sum() / (found | other).sum() > least


@pytest.mark.parametrize("config", EACH, ids=lambda c: c.kind)
def test_a_contour_comes_to_the_outline_from_within_and_without(config, draw):
    image, truth = draw([((8, 10, 11), (4, 4, 4))], noise=1.0)
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(image.grid.shape, SPACING, strict=True)), indexing="ij")
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, (8, 10, 11), strict=True)))
    for radius in (3.4, 4.8):
        given = from_array((distance <= radius).astype(np.uint16), SPACING, modality="labels")
        found = config.build().refine(image, given)
        assert score(truth, found).seg > score(truth, given).seg + 0.02


@pytest.mark.parametrize("config", EACH, ids=lambda c: c.kind)
def test_given_cells_keep_their_numbers_and_stay_apart(config, draw):
    image, truth = draw([((8, 10, 6.5), (3, 3, 3)), ((8, 10, 12.4), (3, 3, 3))])
    numbers = np.array([0, 70, 9], np.uint16)[truth.channel()]
    given = from_array(numbers, SPACING, modality="labels")
    found = config.build().refine(image, given)
    assert np.unique(found.array).tolist() == [0, 9, 70]
    assert not ((found.array == 9) & (given.array == 70)).any()
    assert score(given, found).seg > 0.7
    with pytest.raises(GridError, match="another grid"):
        config.build().refine(image, from_array(numbers[:4], SPACING, modality="labels"))


def test_a_contour_starts_from_the_segmenter_that_is_named(draw):
    image, _ = draw()
    few = ChanVeseConfig(start=ThresholdConfig(min_volume_um3=1e5))
    assert segment(image, ChanVeseConfig()).array.max() == 4
    assert segment(image, few).array.max() == 0
    with pytest.raises(ValueError, match="start"):
        ChanVeseConfig(start={"kind": "snakes"})


def test_gradient_vector_flow_solves_its_equation():
    """μ ∇²v = |∇f|² (v − ∇f), by a sparse solver, with anisotropic voxels."""
    shape, spacing, mu = (4, 7, 8), (1.5, 1.0, 0.7), 0.3
    edges = np.random.default_rng(4).random(shape).astype(np.float32)
    n = np.prod(shape)
    laplace = sparse.csr_array((n, n))
    for axis in range(3):
        k = shape[axis]
        second = sparse.diags_array([np.ones(k - 1), [-1, *[-2] * (k - 2), -1], np.ones(k - 1)], offsets=[-1, 0, 1])
        parts = [sparse.eye_array(m) for m in shape]
        parts[axis] = second / spacing[axis] ** 2
        laplace = laplace + sparse.kron(sparse.kron(parts[0], parts[1]), parts[2])
    pull = gradient(edges, spacing).reshape(3, -1).astype(float)
    strength = (pull**2).sum(axis=0)
    matrix = sparse.csc_array(sparse.diags_array(strength) - mu * laplace)
    exact = np.stack([sparse.linalg.spsolve(matrix, strength * p) for p in pull]).reshape(3, *shape)
    found = gradient_vector_flow(edges, spacing, mu, steps=4000)
    np.testing.assert_allclose(found, exact, atol=2e-3 * np.abs(exact).max())


def test_an_infinite_spacing_keeps_slices_apart():
    edges = np.random.default_rng(4).random((3, 9, 9)).astype(np.float32)
    together = gradient_vector_flow(edges, (np.inf, 1.0, 1.0))
    for z in range(3):
        alone = gradient_vector_flow(edges[z : z + 1], (1.0, 1.0, 1.0))
        np.testing.assert_allclose(together[:, z], alone[:, 0], atol=1e-6)


def test_the_curves_stiffness_is_the_five_banded_matrix():
    n, alpha, beta = 24, 0.3, 0.05
    h = 2 * np.pi / n
    second = (np.roll(np.eye(n), 1, 1) + np.roll(np.eye(n), -1, 1) - 2 * np.eye(n)) / h**2
    matrix = -alpha * second + beta * second @ second
    points = np.random.default_rng(0).normal(size=n)
    wave = np.fft.irfft(np.fft.rfft(points) * curve.stiffness(n, alpha, beta), n=n)
    np.testing.assert_allclose(wave, matrix @ points, atol=1e-9 * np.abs(matrix).max())
    assert (np.abs(matrix) > 1e-12).sum(axis=1).tolist() == [5] * n


def test_a_free_circle_and_a_free_sphere_shrink_by_their_lowest_eigenvalue():
    """Circle: R' = −(α + β) R. Sphere: R' = −(2 α + 4 β) R, since ΔX = −2 X there."""
    angle = np.arange(64) * 2 * np.pi / 64
    circle = curve.evolved(np.stack([np.sin(angle), np.cos(angle)], 1), np.zeros_like, 0.2, 0.1, 0.01, 50)
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), np.exp(-0.3 * 0.5), rtol=0.01)
    free = surface.evolved(sphere(3).points + 7, np.zeros_like, 3, 0.2, 0.1, 0.01, 50)
    np.testing.assert_allclose(free.mean(axis=0), 7, atol=1e-3)  # it stays where it is
    np.testing.assert_allclose(np.linalg.norm(free - 7, axis=1), np.exp(-0.8 * 0.5), rtol=0.02)


def test_the_spheres_laplacian_knows_the_spherical_harmonics():
    net = sphere(2)
    assert len(net.points) == 162
    assert len(net.points) - 3 * len(net.faces) // 2 + len(net.faces) == 2  # Euler
    z, y, x = net.points.T
    for harmonic, eigenvalue in ((np.ones(162), 0), (x, 2), (x * y, 6), (3 * z**2 - 1, 6)):
        quotient = harmonic @ (net.laplacian @ harmonic) / (harmonic @ harmonic)
        assert quotient == pytest.approx(eigenvalue, rel=0.04, abs=1e-9)


def test_a_filled_sphere_is_the_ball():
    shape, centre = (12, 30, 32), np.array([5.3, 7.4, 8.2])
    mask = surface.filled(sphere(4).points * 4.5 + centre, 4, shape, SPACING)
    axes = np.stack(np.indices(shape), axis=-1) * SPACING
    distance = np.linalg.norm(axes - centre, axis=-1)
    assert mask[distance < 4.45].all()
    assert not mask[distance > 4.5].any()
    back = surface.around(mask, SPACING, 2)
    assert np.linalg.norm(back - centre, axis=1) == pytest.approx(4.5, abs=0.6)


def test_a_surface_past_the_faces_is_cut_there():
    mask = surface.filled(sphere(2).points * 6 + np.array([0.0, 0.0, 16.0]), 2, (12, 30, 32), SPACING)
    assert mask[0, 0, -1]
    assert not mask[9].any()
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 6**3 / 8 / np.prod(SPACING), rel=0.2)
