"""Nuclei drawn against the same drawn voxel by voxel in plain numpy; placing; shapes cut from labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from phantom.cells.shape import BUMPS, harmonics
from phantom.nuclei.drawing import FAR, LEAST_SHARE, Nuclei, drawn
from phantom.nuclei.placing import placed
from phantom.nuclei.population import population
from phantom.nuclei.recipe import ARRANGEMENTS, Bodies, Recipe, Stain
from phantom.nuclei.shapes import REACH, SIDE, STEPS, no_shapes, packed, real_shapes, shapes_of
from volumes.errors import ContentError

SHAPE = (28, 30, 32)


def made(seed: int, count: int, **bodies: object) -> Nuclei:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (count, 3)) * SHAPE
    return population(centres, Recipe(bodies=replace(Bodies(diameter=9.0), **bodies)), 0, rng)


def brute_rho(nuclei: Nuclei) -> np.ndarray:
    """(n, z, y, x) ρ of every nucleus at every voxel."""
    points = np.indices(SHAPE).reshape(3, -1).T.astype(float)
    out = []
    for n in range(len(nuclei.centre)):
        v = np.linalg.solve(nuclei.frame[n], (points - nuclei.centre[n]).T).T
        far = np.linalg.norm(v, axis=1)
        r = 1 + harmonics(v / np.maximum(far, 1e-9)[:, None]) @ nuclei.bumps[n]
        out.append((far / r).reshape(SHAPE))
    return np.stack(out)


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_a_voxel_is_of_the_nucleus_of_least_rho(gap: float) -> None:
    nuclei = made(0, 14, bumps=1.0, elongation=0.3)
    found = drawn(nuclei, SHAPE, no_shapes(), gap)
    rho = brute_rho(nuclei)
    first, second = np.sort(rho, 0)[:2]
    clear = (np.abs(first - 1) > 1e-4) & (np.abs(np.minimum(second, FAR) - first - gap) > 1e-4)
    expected = np.where((first < 1) & (second - first >= gap), rho.argmin(0) + 1, 0)
    differing = clear & (found.labels != expected)
    # What differs was dropped: a piece cut off, or a nucleus of which too little is left.
    assert not found.labels[differing].any()
    assert differing.mean() < 0.02
    near = first < 1.0
    assert np.allclose(found.rho[near], first[near], atol=1e-4)


def test_labels_are_connected_and_not_mere_remains() -> None:
    nuclei = made(1, 60, bumps=1.0, elongation=0.45)
    found = drawn(nuclei, SHAPE, no_shapes(), 0.0)
    volume = 4 / 3 * np.pi * np.abs(np.linalg.det(nuclei.frame))
    numbers = np.unique(found.labels)[1:]
    assert len(numbers) > 20
    for number in numbers:
        mask = found.labels == number
        assert ndimage.label(mask)[1] == 1
        at = np.argwhere(mask)
        if (at.min(0) > 3).all() and (at.max(0) < np.array(SHAPE) - 4).all():
            assert mask.sum() >= 0.99 * LEAST_SHARE * volume[number - 1]


def test_a_lone_ball_has_its_volume_and_its_light() -> None:
    plain = made(2, 1, bumps=0.0, elongation=0.0, size_spread=0.0)
    dress = plain.dress.copy()
    dress[:, 0], dress[:, 2], dress[:, 15:] = 0, 0, 0
    nuclei = replace(plain, centre=np.full((1, 3), 14.3), dress=dress, brightness=np.array([2.5]))
    found = drawn(nuclei, SHAPE, no_shapes(), 0.0)
    volume = np.pi / 6 * 9.0**3
    assert (found.labels == 1).sum() == pytest.approx(volume, rel=0.03)
    assert found.light.sum() / 2.5 == pytest.approx(volume, rel=0.05)
    assert found.light[14, 14, 14] == pytest.approx(2.5)
    faded = drawn(replace(nuclei, fade=np.array([0.6])), SHAPE, no_shapes(), 0.0)
    assert np.array_equal(faded.labels, found.labels)
    assert np.allclose(faded.light, found.light * (1 - 0.6 * np.minimum(found.rho, 1) ** 2), rtol=1e-5)
    split = replace(nuclei, split=np.array([[1.0, 0, 0, 0.8, 0.15]]))
    dark = drawn(split, SHAPE, no_shapes(), 0.0)
    assert np.array_equal(dark.labels, found.labels)
    assert dark.light[14, 14, 14] < 0.5 * found.light[14, 14, 14]


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_centres_keep_their_distance(arrangement: str) -> None:
    bodies = Bodies(diameter=8.0, spacing=0.9, arrangement=arrangement, flatness=0.6)
    centres = placed((40, 44, 48), bodies, np.random.default_rng(3))
    if arrangement == "none":
        assert not len(centres)
        return
    assert len(centres) >= 1
    flat = centres / (np.array([0.6, 1, 1]) * 0.6 ** (-1 / 3))
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)[np.triu_indices(len(flat), 1)]
    assert apart.size == 0 or apart.min() >= 0.9 * 8.0 - 1e-9
    assert (centres >= -4 - 1e-9).all()
    assert (centres <= np.array((40, 44, 48)) + 4).all()


def test_a_crowd_leaves_no_room_for_another() -> None:
    bodies = Bodies(diameter=8.0, spacing=1.0)
    seeds = iter(range(100))
    full = next(c for c in (placed((40, 40, 40), bodies, np.random.default_rng(s)) for s in seeds) if len(c) > 100)
    share = len(full) * np.pi / 6 * 8.0**3 / 48**3
    assert 0.25 < share < 0.39  # random sequential addition of spheres jams at 0.384


def test_shapes_keep_what_labels_show() -> None:
    z, y, x = np.indices((40, 60, 60))
    one = ((z - 20) * 2.0) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 14**2
    two = ((z - 20) * 2.0 / 1.4) ** 2 + (y - 40) ** 2 + ((x - 43) / 0.7) ** 2 <= 12**2
    cut = (z < 4) & (y > 45) & (x < 12)
    labels = np.where(one, 3, 0) + np.where(two & ~one, 7, 0) + np.where(cut, 9, 0)
    tables = shapes_of(labels.astype(np.uint16), (2.0, 1.0, 1.0))
    assert tables.shape == (2, SIDE, SIDE, SIDE)
    axis = np.linspace(-REACH, REACH, SIDE)
    far = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0)
    assert np.abs(tables[0] - far)[far < 1.6].max() < 0.2  # of a ball ρ is the distance from its centre
    inside = (tables[1] < 1).sum() * (2 * REACH / (SIDE - 1)) ** 3
    assert inside == pytest.approx(4 / 3 * np.pi, rel=0.1)
    with pytest.raises(ContentError, match="faces"):
        shapes_of(np.where(cut, 1, 0).astype(np.uint16), (1.0, 1.0, 1.0))


def test_the_shapes_that_come_along() -> None:
    tables = real_shapes()
    assert len(tables) == 19
    assert np.abs(packed(tables) / STEPS - tables).max() < 1e-6
    inside = (tables < 1).sum(axis=(1, 2, 3)) * (2 * REACH / (SIDE - 1)) ** 3
    assert np.allclose(inside, 4 / 3 * np.pi, rtol=0.04)
    volumes = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        bodies = Bodies(12.0, real=1.0, size_spread=0, elongation=0)
        nuclei = population(np.full((1, 3), 15.0), Recipe(bodies=bodies), len(tables), rng)
        assert nuclei.shape[0] >= 0
        volumes.append((drawn(nuclei, SHAPE, tables, 0.0).labels > 0).sum())
    assert np.mean(volumes) == pytest.approx(np.pi / 6 * 12**3, rel=0.06)


def test_condensed_nuclei_are_bright_and_even() -> None:
    recipe = Recipe(stain=Stain(bright=0.5, spread=0.0))
    nuclei = population(np.zeros((200, 3)), recipe, 0, np.random.default_rng(0))
    bright = nuclei.brightness > 1
    assert 60 < bright.sum() < 140
    assert nuclei.dress[bright, 0].max() < 0.1 < np.median(nuclei.dress[~bright, 0])
    assert np.linalg.det(nuclei.frame).min() > 0
    assert nuclei.bumps.shape == (200, BUMPS)
    assert np.abs(nuclei.bumps).sum(1).max() < 0.5
