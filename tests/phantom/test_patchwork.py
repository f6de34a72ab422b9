"""Patchworks are what their seeds say, from 0 to 1, black where nothing is; faults follow the instruments' laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from phantom.patchwork import LOOKS, Structure, degraded, looks, pictures_of, random_structure, structure_of
from phantom.patchwork.faults import LIGHT, _light_that_comes
from phantom.patchwork.looks import MODALITY
from phantom.patchwork.structure import SHELL, TISSUES, smooth_noise
from volumes.errors import ConfigError
from volumes.modality import KNOWN

SHAPES = [(1, 48, 48), (1, 33, 70), (20, 24, 28), (16, 16, 16)]
MODALITIES = sorted({name for names in MODALITY.values() for name in names})


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng([2024, seed])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_structure_has_tissues_within_bounds_and_nothing_outside(shape: tuple[int, int, int]) -> None:
    seen: set[int] = set()
    for seed in range(12):
        structure = random_structure(shape, generator(seed))
        assert structure.labels.shape == structure.depth.shape == shape
        assert structure.labels.dtype == np.uint8
        assert structure.labels.max() < TISSUES
        assert ((structure.labels == 0) == (structure.depth == 0)).all()
        seen |= set(np.unique(structure.labels))
    assert {0, SHELL, 2} < seen
    assert len(seen) > 6


@pytest.mark.parametrize("shape", [(1, 20, 22), (16, 17, 18)])
def test_depth_is_the_distance_to_the_nearest_voxel_outside(shape: tuple[int, int, int]) -> None:
    structure = next(s for s in (random_structure(shape, generator(i)) for i in range(20)) if (s.labels == 0).any())
    outside = np.argwhere(structure.labels == 0)
    for place in np.argwhere(structure.labels > 0)[::37]:
        nearest = np.sqrt(((outside - place) ** 2).sum(1).min())
        assert structure.depth[tuple(place)] == pytest.approx(nearest, rel=1e-6)


def test_one_seed_is_one_picture_and_another_seed_another() -> None:
    made = []
    for seed in (1, 1, 2):
        rng = generator(seed)
        structure = random_structure((1, 40, 40), rng)
        pictures = pictures_of(structure, LOOKS, rng)
        taken = [degraded(p, name, 0.7, rng) for p, name in zip(pictures, ("MRI", "CT", "PET", "optical"), strict=True)]
        made.append((structure.labels, structure.depth, pictures, np.stack(taken)))
    for first, again, other in zip(*made, strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_look_of_any_shape_lies_between_black_and_white(look, shape: tuple[int, int, int]) -> None:
    for seed in range(6):
        rng = generator(seed)
        pictures = pictures_of(random_structure(shape, rng), [look, look], rng)
        assert pictures.shape == (2, *shape)
        assert pictures.dtype == np.float32
        assert pictures.min() >= 0
        assert pictures.max() <= 1
        assert pictures[0].std() > 0
        assert not np.array_equal(*pictures), "each picture draws its own levels"


def test_looks_have_names_that_the_house_knows() -> None:
    assert set(MODALITY) == set(LOOKS)
    assert set(MODALITIES) == {known.name for known in KNOWN.values()} - {"labels"}
    assert set(LIGHT) < set(MODALITIES)


@pytest.mark.parametrize("look", ["contrast", "dense"])
def test_outside_of_the_body_these_looks_are_exactly_black(look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further away than an edge is wide; the arcs that lie outside on purpose are left out."""
    monkeypatch.setattr(looks, "with_marks", lambda picture, _: picture)
    compared = 0
    for seed in range(12):
        rng = generator(seed)
        structure = random_structure((1, 64, 64), rng)
        away = ndimage.distance_transform_edt(structure.labels == 0) > 5
        picture = pictures_of(structure, [look], rng)[0]
        assert (picture[away] == 0).all()
        compared += int(away.sum())
        if (structure.depth > 4).any():
            assert picture[structure.depth > 4].mean() > 0.02
    assert compared > 1000


def test_a_shell_is_white_in_the_dense_look() -> None:
    labels = np.full((1, 40, 40), 2, np.uint8)
    labels[:, :10], labels[:, 10:20] = 0, SHELL
    structure = Structure(labels, np.where(labels > 0, 5, 0).astype(np.float32))
    for seed in range(8):
        picture = pictures_of(structure, ["dense"], generator(seed))[0]
        assert picture[:, 14:16].mean() > 0.83
        assert np.median(picture[:, 26:]) < 0.75


@pytest.mark.parametrize("name", ["MRI", "CT"])
def test_the_tissues_of_a_real_picture_are_its_grey_levels(data: Path, name: str) -> None:
    folder = data / "fusion" / "harvard" / "CT-MRI" / name
    picture = np.asarray(Image.open(sorted(folder.iterdir())[2]), np.float32)[None] / 255
    shells = 0
    for seed in range(6):
        structure = structure_of(picture, generator(seed))
        assert structure.labels.shape == picture.shape
        assert structure.labels.max() < TISSUES
        assert 0.2 < (structure.labels > 0).mean() < 0.8
        assert (structure.labels[:, :5, :5] == 0).all()
        shells += (structure.labels == SHELL).any()
        tissues = [t for t in np.unique(structure.labels) if t > SHELL]
        levels = [picture[structure.labels == t].mean() for t in tissues]
        assert len(tissues) > 2
        assert levels == sorted(levels)
    assert 0 < shells < 6


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_blank_picture_has_a_structure_too(level: float) -> None:
    structure = structure_of(np.full((1, 20, 20), level, np.float32), generator(0))
    assert structure.labels.max() < TISSUES
    assert np.isfinite(structure.depth).all()


@pytest.mark.parametrize("shape", [(1, 80, 80), (32, 32, 32)])
def test_smooth_noise_has_mean_0_deviation_1_and_its_length(shape: tuple[int, int, int]) -> None:
    noise = smooth_noise(shape, 2.0, generator(0))
    assert noise.mean() == pytest.approx(0, abs=1e-5)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    beside = np.mean(noise * np.roll(noise, 2, -1))
    assert beside == pytest.approx(np.exp(-((2 / 2.0) ** 2) / 4), abs=0.06)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("shape", [(1, 30, 31), (8, 16, 12)])
def test_no_difficulty_is_no_fault_and_the_given_picture_stays(modality: str, shape) -> None:
    clean = generator(0).uniform(size=shape).astype(np.float32)
    before = clean.copy()
    assert np.array_equal(degraded(clean, modality, 0.0, generator(1)), clean)
    for seed in range(4):
        worst = degraded(clean, modality, 1.0, generator(seed))
        assert worst.shape == shape
        assert worst.dtype == np.float32
        assert np.isfinite(worst).all()
        assert np.abs(worst - clean).max() > 0.01
    assert np.array_equal(clean, before)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_a_difficulty_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="difficulty"):
        degraded(np.zeros((1, 4, 4), np.float32), "CT", wrong, generator(0))


@pytest.mark.parametrize("modality", MODALITIES)
def test_noise_grows_with_difficulty(modality: str) -> None:
    """Blur and misplacement leave a constant picture; what differs between neighbours is noise."""
    flat = np.full((1, 60, 60), 0.5, np.float32)
    rough = [
        np.mean([np.diff(degraded(flat, modality, d, generator(seed))[0], axis=0).std() for seed in range(12)])
        for d in (0.2, 0.5, 1.0)
    ]
    assert rough[0] < 0.7 * rough[1]
    assert rough[1] < 0.7 * rough[2]


def test_noise_of_ct_is_in_proportion_to_the_difficulty() -> None:
    flat = np.full((1, 60, 60), 0.5, np.float32)
    half, whole = (degraded(flat, "CT", d, generator(3)) - 0.5 for d in (0.5, 1.0))
    assert half.std() > 0.005
    assert np.abs(whole - 2 * half).max() < 1e-5


@pytest.mark.parametrize(("modality", "ratio"), [("PET", 0.84 / 0.24), ("SPECT", 0.84 / 0.24), ("CT", 1.0)])
def test_counted_light_is_noisier_where_it_is_bright(modality: str, ratio: float) -> None:
    """Var = (brightness + 0.2²) d² of photons and read-out; Gaussian noise is alike everywhere. The means stay."""
    clean = np.full((1, 100, 240), 0.2, np.float32)
    clean[:, :, 120:] = 0.8
    found = degraded(clean, modality, 1.0, generator(5))
    dark, bright = found[:, :, :100], found[:, :, 140:]
    assert dark.std() > 0.01
    assert (dark.mean(), bright.mean()) == pytest.approx((0.2, 0.8), abs=0.01)
    assert bright.var() / dark.var() == pytest.approx(ratio, rel=0.1)


def test_the_background_of_mri_is_rayleighs() -> None:
    """Of no signal: mean over deviation is √(π/2) / √(2 − π/2)."""
    for seed in range(3):
        found = degraded(np.zeros((1, 200, 200), np.float32), "MRI", 1.0, generator(seed))
        assert found.min() >= 0
        assert found.mean() / found.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)


@pytest.mark.parametrize("shape", [(1, 40, 44), (12, 20, 24)])
def test_light_is_only_taken_away(shape: tuple[int, int, int]) -> None:
    dimmed = 0
    for seed in range(12):
        share = _light_that_comes(np.ones(shape, np.float32), 1.0, generator(seed))
        assert share.shape == shape
        assert share.min() > 0
        assert share.max() <= 1 + 1e-6
        dimmed += share.mean() < 0.95
        assert degraded(np.ones(shape, np.float32), "optical", 1.0, generator(seed)).mean() < 1.01
    assert 3 < dimmed < 12
