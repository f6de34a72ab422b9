"""Shadows that the phantom casts are taken out; a picture without any stays what it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fusion.prepare import DestripeConfig, destriped
from phantom.physics.stripes import stripes
from volumes import Volume, from_array
from volumes.errors import ConfigError, ContentError

SPACING = (2.0, 0.5, 0.5)
SHAPE = (4, 160, 240)
OFFSET = 98.0


def stack(data: np.ndarray, **more: object) -> Volume:
    return from_array(np.asarray(data, np.float32), SPACING, modality="fluorescence", **more)


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """Nuclei of 3 to 4 µm radius over an even background."""
    rng = np.random.default_rng(4)
    z, y, x = np.indices(SHAPE) * np.array(SPACING)[:, None, None, None]
    out = np.full(SHAPE, 60.0)
    for _ in range(40):
        centre = rng.random(3) * np.multiply(SHAPE, SPACING)
        away = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        out += rng.uniform(300, 900) / (1 + np.exp(3 * (away - rng.uniform(3, 4))))
    return ndimage.gaussian_filter(out, (0, 1, 1))


@pytest.fixture(scope="module")
def shadow() -> np.ndarray:
    return stripes(range(SHAPE[0]), SHAPE[1:], SPACING, 0.6, 3)


def spread(ratio: np.ndarray) -> float:
    return float(np.std(np.log(ratio)))


def test_shadows_of_the_phantom_are_taken_out(light: np.ndarray, shadow: np.ndarray, rng: np.random.Generator) -> None:
    counts = rng.poisson(light * shadow) + OFFSET
    out = destriped(stack(counts), DestripeConfig(offset=OFFSET)).channel() - OFFSET
    factor = np.where(counts > OFFSET, out / np.maximum(counts - OFFSET, 1), 1)
    lit = counts > OFFSET
    assert spread((factor * shadow)[lit]) < 0.5 * spread(shadow[lit])


def test_a_picture_without_stripes_stays(light: np.ndarray, rng: np.random.Generator) -> None:
    """By less than 2 % of its contrast, with noise and without."""
    for picture in (light, rng.poisson(light).astype(float)):
        out = destriped(stack(picture)).channel()
        assert np.linalg.norm(out - picture) < 0.02 * np.linalg.norm(picture - picture.mean())


def test_edges_and_waves_along_the_stripes_are_left_alone(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:160, :240]
    step = np.where(y < 80, 100.0, 300.0)
    assert np.allclose(destriped(stack(step[None])).channel(), step, rtol=1e-5)
    ramp = 100.0 + x
    assert np.allclose(destriped(stack(ramp[None])).channel(), ramp, rtol=1e-5)


def test_exact_stripes_on_an_even_field_go_altogether(rng: np.random.Generator) -> None:
    """Narrow, of any strength up to the bound, by either model."""
    line = np.ones(160)
    line[10::40], line[25::40], line[26::40] = 0.3, 0.8, 0.7
    factor = np.broadcast_to(line[:, None], (160, 240))
    out = destriped(stack(500.0 * factor[None])).channel()
    assert np.allclose(out, 500, rtol=1e-4)
    added = destriped(stack(500.0 + 90 * factor[None]), DestripeConfig(offset=None)).channel()
    assert np.allclose(added, 590, rtol=1e-4)


def test_no_voxel_changes_by_more_than_the_bound(light: np.ndarray, shadow: np.ndarray) -> None:
    seen = light * shadow
    ratio = destriped(stack(seen), DestripeConfig(strongest=0.1)).channel() / seen
    assert 0.9 - 1e-5 <= ratio.min() <= ratio.max() <= 1 / 0.9 + 1e-5
    assert ratio.max() > 1.05


@pytest.mark.parametrize(("along", "across"), [("y", "x"), ("z", "y"), ("x", "z")])
def test_any_two_axes_will_do(light: np.ndarray, shadow: np.ndarray, along: str, across: str) -> None:
    """The same plane, lying another way in the volume: axes x and y of the stripes become the ones named."""
    position = {"z": 0, "y": 1, "x": 2}
    plain = destriped(stack((light * shadow)[:1])).channel()
    turned = np.moveaxis((light * shadow)[:1], (1, 2), (position[across], position[along]))
    spacing = [0.5, 0.5, 0.5]
    volume = from_array(turned.astype(np.float32), spacing, modality="fluorescence")
    out = destriped(volume, DestripeConfig(along=along, across=across)).channel()
    assert np.allclose(np.moveaxis(out, (position[across], position[along]), (1, 2)), plain, rtol=1e-4)


def test_voxels_without_data_stay_so(light: np.ndarray, shadow: np.ndarray) -> None:
    valid = np.ones(SHAPE, bool)
    valid[:, :, 200:] = False
    seen = np.where(valid, light * shadow, np.nan)
    volume = destriped(stack(seen, valid=valid))
    assert (volume.channel()[~valid] == 0).all()
    assert spread(volume.channel()[valid] / light[valid]) < spread(shadow[valid])


def test_noise_alone_changes_little(rng: np.random.Generator) -> None:
    """By less than a tenth of itself, even strong and skew as speckle."""
    for noise in (rng.gamma(2, 50, (2, 120, 160)), rng.poisson(40, (2, 120, 160)).astype(float)):
        out = destriped(stack(noise)).channel()
        assert np.linalg.norm(out - noise) < 0.1 * np.linalg.norm(noise - noise.mean())


def test_directions_must_differ_and_voxels_be_finite(light: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="two axes"):
        destriped(stack(light), DestripeConfig(along="y", across="y"))
    with pytest.raises(ConfigError, match="fewer than 16 voxels"):
        destriped(stack(light), DestripeConfig(along="z"))
    with pytest.raises(ContentError, match="NaN"):
        destriped(stack(np.where(light > 100, np.nan, light)))
    with pytest.raises(ValueError, match="strongest"):
        DestripeConfig(strongest=1.0)
