"""The look of a nucleus is its own: of mean 1, fixed to its frame, as varied as asked."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from phantom.cells.cells import Cells
from phantom.cells.shape import BUMPS, harmonics
from phantom.cells.texture import SIDE, WAVE, Look, dressed, levels, noise_cube, shine, uniforms
from volumes.errors import ConfigError

PLAIN = Look(contrast=0, nucleoli=0, rim=0)


def spheres(n, condensed=0.0, bumps=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return Cells(
        np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        np.zeros((n, 3)),
        np.tile(np.eye(3), (n, 1, 1)),
        rng.normal(0, 1, (n, BUMPS)) * bumps,
        np.full(n, 1.5),
        np.full(n, condensed),
        np.ones((n, 3)),
        rng.integers(-(2**62), 2**62, n),
    )


def within(n, rng, reach=1.0):
    points = rng.uniform(-reach, reach, (4 * n, 3))
    return points[np.linalg.norm(points, axis=1) <= reach][:n]


def seen(row, points):
    return np.array([shine(noise_cube(), row, *p, float(np.linalg.norm(p))) for p in points])


def test_uniform_numbers_are_those_of_splitmix64():
    # The reference outputs for the seed 1234567 that the generator's authors' code gives.
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    expected = np.array([np.uint64(value) >> np.uint64(11) for value in first]) * 2.0**-53
    np.testing.assert_array_equal(uniforms(np.array([1234567]), 5)[0], expected)


def test_uniform_numbers_are_uniform_and_independent():
    u = uniforms(np.arange(20_000), 4)  # neighbouring seeds are the hard case
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose(u.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(u.T), np.eye(4), atol=0.03)
    assert abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.03


def test_noise_between_the_points_of_the_cube_has_mean_0_and_deviation_1(rng):
    values = map_coordinates(noise_cube(), rng.uniform(0, SIDE, (3, 200_000)), order=1, mode="grid-wrap")
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)


def test_the_noise_is_of_the_wavelength_that_it_says():
    power = np.abs(np.fft.fftn(noise_cube())) ** 2
    f = np.linalg.norm(np.stack(np.meshgrid(*[np.fft.fftfreq(SIDE)] * 3, indexing="ij")), axis=0)
    inside = (f > 0.55 / WAVE) & (f < 1.8 / WAVE)
    assert power[inside].sum() > 0.999 * power.sum()


def test_light_is_the_formula_of_its_parts(rng):
    # The noise by scipy's interpolation of the repeating cube, the spots and the rim in numpy.
    row = dressed(spheres(1), Look(nucleoli=1, rim=1, flat=0))[0]
    points = within(50, rng)
    where = row[1] * points @ row[6:15].reshape(3, 3).T + row[3:6]
    light = np.exp(row[0] * map_coordinates(noise_cube().astype(float), where.T, order=1, mode="grid-wrap"))
    light *= 1 + row[2] * np.exp(-(((1 - np.linalg.norm(points, axis=1)) / 0.12) ** 2))
    for z, y, x, size, depth in row[15:].reshape(3, 5):
        if size > 0:
            away = np.linalg.norm(points - [z, y, x], axis=1)
            light *= 1 - depth * np.clip((size - away) / 0.08 + 0.5, 0, 1)
    np.testing.assert_allclose(seen(row, points), light, rtol=1e-5)


def test_contrast_is_the_deviation_over_the_mean(rng):
    look = Look(contrast=0.4, nucleoli=0, rim=0, flat=0)
    points = within(300, rng)
    light = [seen(row, points) for row in dressed(spheres(60), look)]
    assert np.median([one.std() / one.mean() for one in light]) == pytest.approx(0.4, rel=0.12)


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.0, 1.0))
@settings(max_examples=15, deadline=None)
def test_the_level_is_the_mean_over_the_bumpy_nucleus(seed, difficulty, condensed):
    cells, rng = spheres(1, condensed, 0.02, seed), np.random.default_rng(seed)
    row = dressed(cells, Look.at(difficulty))
    points = rng.uniform(-1.3, 1.3, (12_000, 3))
    far = np.linalg.norm(points, axis=1)
    rho = far / (1 + harmonics(points / far[:, None]) @ cells.bumps[0])
    light = np.array([shine(noise_cube(), row[0], *p, r) for p, r in zip(points, rho, strict=True) if r <= 1])
    noise = light.std() / np.sqrt(len(light))
    assert levels(row, cells.bumps, np.array([True]))[0] == pytest.approx(light.mean(), abs=4 * noise + 0.01)


def test_levels_are_1_where_none_is_wanted():
    cells = spheres(3)
    found = levels(dressed(cells, Look()), cells.bumps, np.array([False, True, False]))
    assert found[0] == found[2] == 1
    assert found[1] != 1


def test_a_metaphase_is_even_and_so_is_a_look_without_structure(rng):
    points = within(40, rng)
    for cells, look in [(spheres(8, condensed=1.0), Look(nucleoli=1, rim=1, flat=0)), (spheres(8), PLAIN)]:
        for row in dressed(cells, look):
            np.testing.assert_array_equal(seen(row, points), 1)


def test_structure_fades_as_chromatin_condenses(rng):
    points = within(200, rng)
    spread = [
        np.mean([seen(row, points).std() for row in dressed(spheres(20, c), Look())]) for c in (0.0, 0.4, 0.8, 1.0)
    ]
    assert (np.diff(spread) < 0).all()


def test_as_many_cells_have_nucleoli_rim_or_nothing_as_asked():
    rows = dressed(spheres(4000), Look(nucleoli=0.45, rim=0.15, flat=0.2))
    count = (rows[:, 18::5] > 0).sum(1)
    assert (count > 0).mean() == pytest.approx(0.45, abs=0.03)
    np.testing.assert_allclose(np.bincount(count)[1:] / (count > 0).sum(), 1 / 3, atol=0.05)
    assert (rows[:, 2] > 0).mean() == pytest.approx(0.15, abs=0.02)
    assert (rows[:, 0] == 0).mean() == pytest.approx(0.2, abs=0.02)


def test_turns_are_rotations_and_favour_no_direction():
    turn = dressed(spheres(4000), Look())[:, 6:15].reshape(-1, 3, 3)
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turn.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turn), 1)
    np.testing.assert_allclose(turn.mean(0), 0, atol=0.04)


def test_a_look_follows_from_the_seed_alone():
    cells = spheres(6)
    again = dataclasses.replace(
        cells, centre_um=cells.centre_um + 9, frame_um=cells.frame_um * 2, number=cells.number[::-1].copy()
    )
    np.testing.assert_array_equal(dressed(cells, Look()), dressed(again, Look()))
    assert len(np.unique(dressed(cells, Look())[:, 3])) == 6


def test_difficulty_half_is_the_default_and_more_is_rougher():
    middle = dataclasses.asdict(Look.at(0.5))
    assert middle == pytest.approx(dataclasses.asdict(Look()))
    assert Look.at(0).contrast < Look.at(0.5).contrast < Look.at(1).contrast


@pytest.mark.parametrize(
    "make",
    [
        lambda: Look(contrast=-0.1),
        lambda: Look(rim=1.5),
        lambda: Look(grain=0.0),
        lambda: Look(flat=float("nan")),
        lambda: Look.at(1.2),
        lambda: Look.at(float("nan")),
    ],
)
def test_looks_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError, match="must lie within"):
        make()
