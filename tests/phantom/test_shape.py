"""Bodies have the volume and the centroid that their table says, whatever their bumps."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantom.cells.cells import Cells
from phantom.cells.shape import BUMPS, harmonics, normalised, radius
from volumes.errors import TableError


def drawn(n, seed=0, spread=0.06):
    """Cells of some µm, tilted, bumpy."""
    rng = np.random.default_rng(seed)
    axes = rng.uniform(2, 6, (n, 1, 3))
    frame = Rotation.random(n, random_state=seed).as_matrix() * axes
    bumps = np.clip(rng.normal(0, spread, (n, BUMPS)), -0.03, 0.03)
    return Cells(
        np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        rng.uniform(0, 50, (n, 3)),
        frame,
        bumps,
        np.full(n, 1.5),
        np.zeros(n),
        np.ones((n, 3)),
        rng.integers(0, 2**62, n),
    )


def directions(n, rng):
    v = rng.standard_normal((n, 3))
    return v / np.linalg.norm(v, axis=1)[:, None]


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_radius_is_the_sum_of_its_harmonics(seed):
    rng = np.random.default_rng(seed)
    bumps, where = rng.normal(0, 0.05, BUMPS), directions(20, rng)
    expected = 1 + harmonics(where) @ bumps
    found = [radius(bumps, *direction) for direction in where]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_harmonics_are_orthogonal_to_each_other_and_to_an_ellipsoid(rng):
    # Degrees 3 and 4 carry neither size nor place nor axes, the integrals of degree 0, 1 and 2.
    cosine, weight = np.polynomial.legendre.leggauss(8)
    angle = np.arange(16) * np.pi / 8
    sine = np.sqrt(1 - cosine**2)
    u = np.stack(
        [np.repeat(cosine, 16), np.outer(sine, np.cos(angle)).ravel(), np.outer(sine, np.sin(angle)).ravel()], 1
    )
    w = np.repeat(weight, 16) * np.pi / 8
    basis = harmonics(u)
    gram = basis.T @ (w[:, None] * basis)
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-6)
    low = np.concatenate([np.ones((len(u), 1)), u, (u[:, :, None] * u[:, None, :]).reshape(-1, 9)], 1)
    np.testing.assert_allclose(low.T @ (w[:, None] * basis), 0, atol=1e-6)


def test_each_harmonic_reaches_one_and_no_more(rng):
    largest = np.abs(harmonics(directions(200_000, rng))).max(0)
    assert (largest <= 1 + 1e-5).all()
    np.testing.assert_allclose(largest, 1, atol=0.01)


def test_scale_and_shift_hold_against_a_monte_carlo_of_the_body(rng):
    bumps = rng.normal(0, 0.04, (3, BUMPS))
    scale, shift = normalised(bumps)
    points = rng.uniform(-1.6, 1.6, (400_000, 3))
    far = np.linalg.norm(points, axis=1)
    inside = far[None] <= 1 + bumps @ harmonics(points / far[:, None]).T
    volume = inside.mean(1) * 3.2**3
    np.testing.assert_allclose(volume * scale**3, 4 / 3 * np.pi, rtol=0.01)
    for body, middle in zip(inside, shift, strict=True):
        np.testing.assert_allclose(points[body].mean(0), middle, atol=0.006)


def test_an_ellipsoid_needs_neither_scale_nor_shift():
    scale, shift = normalised(np.zeros((2, BUMPS)))
    np.testing.assert_allclose(scale, 1, atol=1e-12)
    np.testing.assert_allclose(shift, 0, atol=1e-12)


@given(st.floats(0.2, 5.0))
@settings(max_examples=10, deadline=None)
def test_a_larger_frame_is_a_larger_cell(factor):
    cells = drawn(4)
    larger = dataclasses.replace(cells, frame_um=cells.frame_um * factor)
    np.testing.assert_allclose(larger.volume_um3, cells.volume_um3 * factor**3)
    np.testing.assert_allclose(larger.radius_um, cells.radius_um * factor)
    np.testing.assert_allclose(larger.reach_um, cells.reach_um * factor)


def test_volume_and_centroid_of_a_cell_hold_against_a_monte_carlo(rng):
    cells = drawn(3, seed=2)
    scale, shift = normalised(cells.bumps)
    for n in range(len(cells)):
        reach = cells.reach_um[n]
        away = rng.uniform(-reach, reach, (400_000, 3))
        v = away @ np.linalg.inv(cells.frame_um[n]).T / scale[n] + shift[n]
        far = np.linalg.norm(v, axis=1)
        inside = far <= 1 + harmonics(v / far[:, None]) @ cells.bumps[n]
        assert inside.mean() * (2 * reach) ** 3 == pytest.approx(cells.volume_um3[n], rel=0.02)
        np.testing.assert_allclose(away[inside].mean(0), 0, atol=0.01 * cells.radius_um[n])


def test_no_point_of_a_nucleus_is_out_of_its_reach(rng):
    cells = drawn(20, seed=3)
    scale, shift = normalised(cells.bumps)
    u = directions(4000, rng)
    r = 1 + cells.bumps @ harmonics(u).T
    surface = scale[:, None, None] * np.einsum("nij,nmj->nmi", cells.frame_um, r[..., None] * u - shift[:, None])
    furthest = np.linalg.norm(surface, axis=2).max(1)
    assert (furthest <= cells.reach_um).all()
    assert (furthest > 0.5 * cells.reach_um).all()


def test_rows_are_picked_by_index_or_mask():
    cells = drawn(5)
    assert cells.rows(np.array([3, 1])).number.tolist() == [4, 2]
    assert len(cells.rows(np.zeros(5, bool))) == len(Cells.none()) == 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("centre_um", np.zeros((2, 3)), "shape"),
        ("bumps", np.zeros((3, 4)), "shape"),
        ("number", np.array([1, 1, 2], np.int32), "numbers of their own"),
        ("number", np.array([0, 1, 2], np.int32), "numbers of their own"),
        ("frame_um", np.zeros((3, 3, 3)), "positive volume"),
        ("frame_um", -np.tile(np.eye(3), (3, 1, 1)), "positive volume"),
    ],
)
def test_tables_that_cannot_be_are_refused(column, value, said):
    with pytest.raises(TableError, match=said):
        dataclasses.replace(drawn(3), **{column: value})
