"""The loops behind made-up specimens, each against the same written out in plain numpy or scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from phantom.cells.texture import noise_cube, shine
from phantom.nuclei.drawing import EDGE, FAR, drawn
from phantom.nuclei.placing import _apart
from phantom.nuclei.population import population
from phantom.nuclei.recipe import Bodies, Optics, Recipe, Stain
from phantom.nuclei.seeing import _along_z, _left, _noisy, _smear, _smooth, _specks, _transfer
from phantom.nuclei.shapes import REACH, SIDE, no_shapes, real_shapes

SHAPE = (20, 22, 24)


@pytest.mark.parametrize("seed", range(4))
def test_thrown_places_are_kept_as_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 10, (400, 3)) * rng.uniform(0.5, 2, 3) - 3
    least = 1.7
    kept: list[int] = []
    for i, place in enumerate(points):
        if all(np.linalg.norm(place - points[j]) >= least for j in kept):
            kept.append(i)
    assert _apart(points, least).tolist() == kept


def test_no_place_is_kept_of_none() -> None:
    assert len(_apart(np.zeros((0, 3)), 1.0)) == 0


def test_a_given_shape_is_read_between_its_points() -> None:
    tables = real_shapes()
    rng = np.random.default_rng(2)
    bodies = Bodies(diameter=9.0, real=1.0, elongation=0.3)
    nuclei = population(np.array([[10.2, 11.4, 11.9]]), Recipe(bodies=bodies), len(tables), rng)
    found = drawn(nuclei, SHAPE, tables, 0.0).rho
    points = np.indices(SHAPE).reshape(3, -1) - nuclei.centre[0][:, None]
    v = np.linalg.solve(nuclei.frame[0], points)
    at = (v + REACH) * (SIDE - 1) / (2 * REACH)
    true = ndimage.map_coordinates(tables[nuclei.shape[0]], at, order=1, mode="constant", cval=FAR).reshape(SHAPE)
    near = (np.linalg.norm(v, axis=0) < REACH - 0.01).reshape(SHAPE) & (true < FAR - 0.1)
    assert near.sum() > 500
    assert np.abs(found - true)[near].max() < 1e-4


def test_light_is_brightness_times_texture_inside() -> None:
    rng = np.random.default_rng(4)
    recipe = Recipe(bodies=Bodies(diameter=11.0, bumps=0.0, elongation=0.0), stain=Stain(spread=0.4, split=0.0))
    nuclei = population(np.array([[9.6, 10.7, 12.2]]), recipe, 0, rng)
    found = drawn(nuclei, SHAPE, no_shapes(), 0.0)
    inside = np.argwhere(found.rho < 0.7)
    assert len(inside) > 100
    for place in inside[::17]:
        v = np.linalg.solve(nuclei.frame[0], place - nuclei.centre[0])
        rho = float(np.linalg.norm(v))
        true = nuclei.brightness[0] * shine(noise_cube(), nuclei.dress[0], *v, rho)
        assert found.light[tuple(place)] == pytest.approx(true, rel=1e-3)


def test_a_nucleus_ends_softly_over_a_voxel() -> None:
    rng = np.random.default_rng(0)
    bodies = Bodies(diameter=14.0, bumps=0.0, elongation=0.0, size_spread=0.0)
    nuclei = population(np.array([[10.0, 11.0, 12.0]]), Recipe(bodies=bodies), 0, rng)
    dress = nuclei.dress.copy()
    dress[:, 0], dress[:, 2], dress[:, 15:] = 0, 0, 0
    found = drawn(replace(nuclei, dress=dress, brightness=np.ones(1)), SHAPE, no_shapes(), 0.0)
    away = np.linalg.norm(np.indices(SHAPE) - np.array([10, 11, 12]).reshape(3, 1, 1, 1), axis=0)
    expected = np.clip(0.5 + 0.5 * (7 - away) / EDGE, 0, 1)
    assert np.abs(found.light - expected).max() < 1e-3


def test_nuclei_in_contact_keep_their_gap() -> None:
    rng = np.random.default_rng(0)
    bodies = Bodies(diameter=12.0, bumps=0.0, elongation=0.0, size_spread=0.0)
    centres = np.array([[10.0, 11.0, 7.0], [10.0, 11.0, 15.0]])
    nuclei = population(centres, Recipe(bodies=bodies), 0, rng)
    close, apart = (drawn(nuclei, SHAPE, no_shapes(), gap) for gap in (0.0, 0.4))
    row, gapped = close.labels[10, 11], apart.labels[10, 11]
    assert set(row[4:19]) == {1, 2}
    assert (gapped == 0)[8:15].any()
    assert (gapped == 0).sum() > (row == 0).sum()
    assert apart.light[10, 11, 11] < 0.05


def test_specks_are_gaussians_over_what_is_there() -> None:
    rng = np.random.default_rng(1)
    light = rng.uniform(0, 0.5, SHAPE).astype(np.float32)
    specks = np.array([[8.3, 9.1, 10.7, 1.2, 2.0], [1.0, 20.5, 2.2, 0.8, 0.7], [10.0, 9.0, 11.0, 1.0, 1.5]])
    expected = light.astype(float)
    place = np.indices(SHAPE)
    for z, y, x, sigma, bright in specks:
        square = (place[0] - z) ** 2 + (place[1] - y) ** 2 + (place[2] - x) ** 2
        expected = np.maximum(expected, bright * np.exp(-square / (2 * sigma**2)))
    found = light.copy()
    _specks(specks, found)
    assert np.abs(found - expected).max() < 2.0 * np.exp(-0.5 * 2.5**2)  # beyond three σ nothing is drawn
    bright = expected > 0.6
    assert np.allclose(found[bright], expected[bright], rtol=1e-4)


def test_smearing_is_a_convolution_that_keeps_the_mean() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 12, 14)).astype(np.float32)
    found, side = noise.copy(), 0.6
    _smear(found, side)
    kernel = np.array([side, 1, side]) / (1 + 2 * side)
    true = ndimage.convolve1d(ndimage.convolve1d(noise, kernel, axis=2), kernel, axis=1)
    assert np.allclose(found[:, 1:-1, 1:-1], true[:, 1:-1, 1:-1], atol=1e-5)


def test_a_transfer_is_the_product_of_its_axes_and_keeps_the_light() -> None:
    transfer = _transfer(SHAPE, (2.0, 1.0, 0.0), 0.7)
    assert transfer.shape == SHAPE
    assert transfer[0, 0, 0] == pytest.approx(0.7)
    assert np.allclose(transfer, transfer[:, :1, :1] * transfer[:1, :, :1] * transfer[:1, :1] / 0.7**2, rtol=1e-4)
    assert (np.diff(transfer[:, 0, 0]) < 0).all()
    assert np.allclose(transfer[0, 0], 0.7)


def test_autofluorescence_is_smooth_dark_at_its_darkest_and_as_strong_as_asked() -> None:
    for seed in range(5):
        field = _smooth((32, 36, 40), 0.3, np.random.default_rng(seed))
        assert field.std() == pytest.approx(0.3, rel=1e-3)
        assert np.quantile(field, 0.02) == pytest.approx(0, abs=0.1)
        # No more than eight half waves along an axis: neighbours differ by π · 8 / 32 of a wave's height at most.
        for axis in range(3):
            assert np.diff(field, axis=axis).std() < np.pi * 8 / 32 * 0.3


def test_what_is_left_of_the_light_falls_from_one_side() -> None:
    for seed in range(6):
        left = _left((30, 8, 9), Optics(attenuation=15.0), np.random.default_rng(seed))[:, 0, 0]
        left = left if left[0] > left[-1] else left[::-1]
        assert np.allclose(left, np.exp(-np.arange(30) / 15.0), rtol=1e-5)
    striped = _left((4, 30, 9), Optics(stripes=0.4), np.random.default_rng(0))
    assert striped.std(axis=1).max() > 0.01
    assert (striped > 0.55).all()
    assert (striped <= 1).all()


@pytest.mark.parametrize("photons", [5.0, 29.0, 31.0, 500.0])
def test_few_photons_and_many_have_the_same_law(photons: float) -> None:
    planes = np.repeat(np.array([0.2, 1.0, 2.0], np.float32), 40_000).reshape(3, 200, 200)
    noisy = _noisy(planes, Optics(photons=photons, read=0.03), np.random.default_rng(0))
    for light, seen in zip((0.2, 1.0, 2.0), noisy, strict=True):
        assert seen.mean() == pytest.approx(light, abs=5 * np.sqrt(light / photons / 40_000))
        assert seen.var() == pytest.approx(light / photons + 0.03**2, rel=0.05)


def test_a_matrix_along_z_is_applied_to_every_column() -> None:
    rng = np.random.default_rng(0)
    matrix, voxels = rng.random((5, 7)).astype(np.float32), rng.random((7, 3, 4)).astype(np.float32)
    assert np.allclose(_along_z(matrix, voxels), np.einsum("ij,jyx->iyx", matrix, voxels), rtol=1e-5)
