"""Heads are drawn inside the maps' body, have all tissues of the maps, and look as each modality shows them."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from scipy import ndimage

from phantom.patchwork import LOOKS
from phantom.patchwork.heads import (
    AIR,
    BONE,
    FLUID,
    GREY,
    MARROW,
    WHITE,
    WHITEST,
    TissueMaps,
    head_pictures,
    random_head,
)
from phantom.patchwork.structure import SHELL, TISSUES, Structure

SIZE = 128


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng([2026, seed])


@pytest.fixture(scope="module")
def maps() -> TissueMaps:
    """Balls around one centre: fluid in the middle, white, grey, fluid, bone and skin around them."""
    z, y, x = np.mgrid[:40, :48, :44].astype(np.float32)
    away = np.sqrt(((z - 19.5) / 0.9) ** 2 + ((y - 23.5) / 1.1) ** 2 + (x - 21.5) ** 2)
    white, fluid = ((away >= 4) & (away < 10)), (away < 4) | ((away >= 14) & (away < 15))
    grey = (away >= 10) & (away < 14)
    density = np.where(away < 15, 2000, np.where(away < 17.5, BONE + 800, np.where(away < 19.5, 1500, 0)))
    return TissueMaps(*(a.astype(np.float32) for a in (density, grey, white, fluid)))


def test_a_head_is_one_slice_whose_depth_is_that_below_its_skin(maps: TissueMaps) -> None:
    for seed in range(6):
        head = random_head(maps, SIZE, generator(seed))
        assert head.labels.shape == head.depth.shape == (1, SIZE, SIZE)
        assert head.labels.dtype == np.uint8
        assert head.labels.max() < TISSUES
        body = ndimage.binary_fill_holes(head.labels[0] > 0)
        assert np.array_equal(head.depth[0], ndimage.distance_transform_edt(body).astype(np.float32))


def test_bone_lies_around_the_brain_and_all_its_tissues_are_there(maps: TissueMaps) -> None:
    seen: set[int] = set()
    for labels in (random_head(maps, SIZE, generator(seed)).labels[0] for seed in range(24)):
        seen |= set(np.unique(labels))
        brain = np.isin(labels, (FLUID, WHITE, GREY))
        assert (brain & _within_bone(labels)).sum() >= 0.9 * brain.sum()
    assert {0, SHELL, FLUID, WHITE, GREY} < seen
    assert len(seen) > 7, "lesions and patches as well"


def test_below_the_cortex_the_maps_say_what_is_where(maps: TissueMaps) -> None:
    """The share of white matter among all heads is largest where the maps have it."""
    shares = []
    for seed in range(40):
        head = random_head(maps, SIZE, generator(seed))
        labels = head.labels[0]
        brain = _within_bone(labels)
        if brain.sum() < 300:
            continue
        depth = ndimage.distance_transform_edt(brain)
        deep, rim = depth > 0.5 * depth.max(), (depth > 0) & (depth < 3)
        shares.append([np.mean(labels[part] == WHITE) for part in (deep, rim)])
    assert len(shares) > 20
    deep, rim = np.mean(shares, axis=0)
    assert deep > rim + 0.1


def test_one_seed_is_one_head_and_another_seed_another(maps: TissueMaps) -> None:
    made = []
    for seed in (1, 1, 2):
        rng = generator(seed)
        head = random_head(maps, SIZE, rng)
        made.append((head.labels, head_pictures(head, [*LOOKS], rng)))
    for first, again, other in zip(*made, strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_pictures_have_the_levels_of_8_bits_from_black_to_white(maps: TissueMaps) -> None:
    for seed in range(6):
        rng = generator(seed)
        pictures = head_pictures(random_head(maps, SIZE, rng), [*LOOKS], rng)
        assert pictures.shape == (len(LOOKS), 1, SIZE, SIZE)
        assert pictures.dtype == np.float32
        levels = WHITEST * pictures.astype(float)
        assert np.abs(levels - np.rint(levels)).max() < 1e-4
        assert levels.min() >= 0
        assert levels.max() <= WHITEST
        assert (pictures.std((1, 2, 3)) > 0).all()


def _within_bone(labels: np.ndarray) -> np.ndarray:
    bone = np.isin(labels, (SHELL, MARROW))
    return ndimage.binary_fill_holes(bone) & ~bone


def _discs() -> Structure:
    """Skin, bone, and grey and white matter side by side, far enough from each other's borders."""
    labels = np.zeros((1, 160, 160), np.uint8)
    labels[:, 20:140, 20:140], labels[:, 30:130, 30:130] = 5, SHELL
    labels[:, 50:110, 50:80], labels[:, 50:110, 80:110] = GREY, WHITE
    return Structure(labels, ndimage.distance_transform_edt(labels[0] > 0).astype(np.float32)[None])


def test_bone_is_white_in_density_and_nearly_black_in_magnetic_contrast() -> None:
    for seed in range(12):
        density, magnetic = head_pictures(_discs(), ["dense", "contrast"], generator(seed))
        assert np.median(density[0, 38:42, 40:120]) > 0.9
        assert np.median(density[0, 60:100, 60:100]) < 0.85
        assert np.median(magnetic[0, 38:42, 40:120]) < 0.2


def test_grey_matter_takes_up_more_than_white_unless_colours_are_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phantom.patchwork.heads.coloured", lambda picture, _: picture)
    more = 0
    for seed in range(12):
        (uptake,) = head_pictures(_discs(), ["functional"], generator(seed))
        more += int(uptake[0, 60:100, 55:70].mean() > uptake[0, 60:100, 90:105].mean())
    assert more >= 10, "it is uneven"


def test_maps_are_not_changed(maps: TissueMaps) -> None:
    before = [own.copy() for own in astuple(maps)]
    random_head(maps, SIZE, generator(0))
    assert all(np.array_equal(a, b) for a, b in zip(before, astuple(maps), strict=True))
    assert maps.density.max() > BONE > AIR
