"""Made-up specimens: the same for the same numbers, labels that fit their picture, optics that do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from phantom.nuclei import made, random_recipe, random_specimen
from phantom.nuclei.drawing import Drawn
from phantom.nuclei.recipe import Bodies, Optics, Recipe, Stain
from phantom.nuclei.seeing import _planes, seen
from phantom.nuclei.shapes import real_shapes
from phantom.nuclei.specimen import LEAST_CORRELATION, correlation
from volumes.errors import ConfigError

SHAPE = (40, 44, 48)
SHARP = Optics(lateral=0.0, axial=0.0, photons=1e9, read=0.0)
DARK = Stain(spread=0.0, cytoplasm=0.0)


def field(light: np.ndarray) -> Drawn:
    return Drawn((light > 0).astype(np.int32), light.astype(np.float32), np.full(light.shape, 3.0, np.float32))


def test_the_same_numbers_make_the_same_specimen() -> None:
    tables = real_shapes()
    for seed in range(3):
        one, two = (random_specimen(np.random.default_rng(seed), SHAPE, shapes=tables, real=0.5) for _ in range(2))
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.labels, two.labels)
        assert one.recipe == two.recipe
    other = random_specimen(np.random.default_rng(99), SHAPE)
    assert not np.array_equal(one.image, other.image)


def test_what_sixty_specimens_have_in_common() -> None:
    corr, ratio, counts = [], [], []
    for seed in range(60):
        s = random_specimen(np.random.default_rng((5, seed)), SHAPE)
        assert s.image.shape == s.labels.shape == SHAPE
        assert s.image.dtype == np.float32
        assert s.labels.dtype == np.int32
        assert np.isfinite(s.image).all()
        numbers = np.unique(s.labels[s.labels > 0])
        counts.append(len(numbers))
        if len(numbers):
            for number in numbers[:3]:
                assert ndimage.label(s.labels == number)[1] == 1
            corr.append(s.correlation)
            ratio.append(s.image[s.labels > 0].mean() / max(s.image[s.labels == 0].mean(), 1e-3))
    assert np.mean(np.array(corr) < LEAST_CORRELATION) < 0.06
    # Real stacks (GoNuclear 1135: 0.48 and 2.1) lie within, neither at the easy nor at the hard end.
    assert np.quantile(corr, 0.02) < 0.48 < np.quantile(corr, 0.6)
    assert np.quantile(ratio, 0.02) < 2.07 < np.quantile(ratio, 0.6)
    assert 0 < counts.count(0) < 10  # empty fields belong to it
    assert max(counts) > 60


def test_nuclei_have_the_sizes_that_the_recipe_says() -> None:
    recipe = Recipe(bodies=Bodies(12.0, 1.2, size_spread=0.1, elongation=0.2), optics=SHARP)
    s = made(recipe, (64, 64, 64), np.random.default_rng(0))
    at = ndimage.find_objects(s.labels)
    whole = [n + 1 for n, box in enumerate(at) if box and all(b.start > 0 and b.stop < 64 for b in box)]
    sizes = np.bincount(s.labels.ravel())[whole]
    diameters = np.cbrt(6 / np.pi * sizes)
    assert len(whole) > 15
    assert np.median(diameters) == pytest.approx(12, rel=0.06)
    assert np.log(diameters).std() < 0.2


def test_correlation_is_pearson_s() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (8, 9, 10))
    image = labels + rng.standard_normal(labels.shape)
    assert correlation(image, labels) == pytest.approx(np.corrcoef(image.ravel(), (labels > 0).ravel())[0, 1])
    assert correlation(image, np.zeros_like(labels)) == 0


def test_without_faults_the_picture_is_the_light() -> None:
    light = np.zeros(SHAPE)
    light[10:20, 10:25, 12:22] = 0.7
    picture = seen(field(light), Recipe(stain=DARK, optics=SHARP), np.random.default_rng(0))
    assert np.abs(picture - light).max() < 1e-3


def test_light_spreads_as_far_as_the_optics_say() -> None:
    light = np.zeros((41, 41, 41))
    light[20, 20, 20] = 1000.0
    optics = replace(SHARP, lateral=1.2, axial=2.5)
    spot = seen(field(light), Recipe(stain=DARK, optics=optics), np.random.default_rng(0)).astype(float)
    assert spot.sum() == pytest.approx(1000, rel=0.01)
    place = np.indices(spot.shape) - 20
    for axis, sigma in enumerate((2.5, 1.2, 1.2)):
        assert np.sqrt((spot * place[axis] ** 2).sum() / spot.sum()) == pytest.approx(sigma, rel=0.03)


def test_noise_is_that_of_photons_and_of_the_read_out() -> None:
    light = np.full((16, 64, 64), 0.5)
    for photons in (10.0, 200.0):
        optics = replace(SHARP, photons=photons, read=0.05)
        picture = seen(field(light), Recipe(stain=DARK, optics=optics), np.random.default_rng(1))
        assert picture.mean() == pytest.approx(0.5, abs=0.005)
        assert picture.var() == pytest.approx(0.5 / photons + 0.05**2, rel=0.04)
    grain = replace(SHARP, photons=200.0, read=0.1, grain=0.8)
    smeared = seen(field(light), Recipe(stain=DARK, optics=grain), np.random.default_rng(1)) - 0.5
    assert np.corrcoef(smeared[:, :, 1:].ravel(), smeared[:, :, :-1].ravel())[0, 1] > 0.3
    assert abs(np.corrcoef(smeared[1:].ravel(), smeared[:-1].ravel())[0, 1]) < 0.05


def test_light_weakens_along_z_and_planes_are_apart() -> None:
    light = np.full((32, 20, 20), 1.0)
    weak = seen(field(light), Recipe(stain=DARK, optics=replace(SHARP, attenuation=20.0)), np.random.default_rng(0))
    profile = weak.mean((1, 2))
    assert max(profile[0] / profile[-1], profile[-1] / profile[0]) == pytest.approx(np.exp(31 / 20), rel=0.02)
    apart = replace(SHARP, z_step=3.0, photons=50.0)
    noisy = seen(field(light), Recipe(stain=DARK, optics=apart), np.random.default_rng(0))
    assert np.corrcoef(noisy[1:].ravel(), noisy[:-1].ravel())[0, 1] > 0.5


@pytest.mark.parametrize(("count", "step"), [(20, 1.0), (20, 2.5), (7, 4.0), (16, 3.99)])
def test_planes_between_are_interpolated(count: int, step: float) -> None:
    for phase in (0.0, 0.4, 0.999):
        up = _planes(count, step, phase)
        assert np.allclose(up.sum(1), 1)
        assert (up.max(0) > 0).all()
        at = np.arange(up.shape[1]) * step + phase * (step - 1) / 2
        inner = (np.arange(count) >= at[0]) & (np.arange(count) <= at[-1])
        assert np.allclose((up @ at)[inner], np.arange(count)[inner], atol=1e-4)


def test_difficulty_is_what_it_is_called() -> None:
    easy = [random_recipe(np.random.default_rng(i), hardest=0.1) for i in range(200)]
    hard = [random_recipe(np.random.default_rng(i), hardest=1.0) for i in range(200)]
    assert max(r.difficulty for r in easy) <= 0.1
    below = np.mean([r.difficulty < 0.5**1.5 for r in hard])  # of u^1.5 a half
    assert below == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(200))
    assert np.mean([r.optics.photons for r in hard]) < np.mean([r.optics.photons for r in easy])
    assert {r.bodies.real > 0 for r in hard} == {False}
    share = np.mean([random_recipe(np.random.default_rng(i), real=0.35).bodies.real > 0 for i in range(400)])
    assert share == pytest.approx(0.35, abs=0.07)


def test_what_is_asked_wrongly_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="voxels along each axis"):
        random_specimen(rng, (8, 32, 32))
    with pytest.raises(ConfigError, match="needs shapes"):
        random_specimen(rng, SHAPE, real=0.5)
    with pytest.raises(ConfigError, match="hardest"):
        random_specimen(rng, SHAPE, hardest=1.5)
