"""Blocks: they cover a volume once, and find the cells of the whole, however they cut it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tracking3d.segment.basins import basins
from tracking3d.segment.blocks import Joined, box, cores, joined, widened
from tracking3d.segment.uphill import Basins, Part, basins_of

SHAPE = (24, 30, 37)


def landscape(seed: int, sigma: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Hills that run together, and where they are high."""
    height = ndimage.gaussian_filter(np.random.default_rng(seed).random(SHAPE), sigma).astype(np.float32)
    height = (height - height.min()) / (height.max() - height.min())
    return height, height > 0.35


def cut(
    height: np.ndarray, mask: np.ndarray, sides: tuple[int, int, int], margin: int, depth: float = 0.15
) -> tuple[np.ndarray, Joined, list[Basins]]:
    """The labels that blocks of these sides find, and their cells."""
    shape = height.shape
    places, labels = cores(shape, sides), np.zeros(shape, np.int32)
    tables = []
    for place in places:
        seen = widened(place, margin, shape)
        part = Part(shape, seen, place)
        tables.append(basins_of(height[box(seen)], mask[box(seen)], height[box(seen)], part, depth))
        labels[box(place)] = tables[-1].labels
    cells = joined(tables, places, shape, depth, lambda _, voxels: labels[tuple(voxels.T)])
    for place, numbers in zip(places, cells.numbers, strict=True):
        labels[box(place)] = numbers[labels[box(place)]]
    return labels, cells, tables


@pytest.mark.parametrize(
    ("shape", "sides"), [((10, 20, 30), (4, 20, 7)), ((1, 5, 5), (1, 2, 3)), ((3, 3, 3), (9, 9, 9))]
)
def test_cores_cover_all_once(shape: tuple[int, int, int], sides: tuple[int, int, int]) -> None:
    seen = np.zeros(shape, int)
    for core in cores(shape, sides):
        assert all(b - a <= side and a % side == 0 for (a, b), side in zip(core, sides, strict=True))
        seen[box(core)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sides", "margin"), [((24, 10, 11), 1), ((5, 7, 9), 2), ((12, 30, 20), 8)])
def test_however_it_is_cut_the_cells_are_the_same(seed: int, sides: tuple[int, int, int], margin: int) -> None:
    height, mask = landscape(seed)
    whole, cells, _ = cut(height, mask, SHAPE, 0)
    tiled, same, _ = cut(height, mask, sides, margin)
    assert whole.max() > 10
    assert np.array_equal(whole, tiled)
    assert np.allclose(cells.sums, same.sums)
    assert np.array_equal(cells.peaks, same.peaks)


@pytest.mark.parametrize("steps", [3, 8])
def test_plateaus_are_cut_alike(steps: int) -> None:
    height, mask = landscape(0)
    flat = (np.floor(height * steps) / steps).astype(np.float32)
    assert np.array_equal(cut(flat, mask, SHAPE, 0)[0], cut(flat, mask, (7, 8, 9), 1)[0])


@pytest.mark.parametrize("depth", [0.02, 0.15, 0.25])
@pytest.mark.parametrize("seed", range(2))
def test_a_flood_finds_the_same_cells(seed: int, depth: float) -> None:
    height, mask = landscape(seed)
    flooded, labels = basins(height, mask, depth), cut(height, mask, SHAPE, 0, depth)[0]
    # The flood tells heights apart to 1 of 65535 parts.
    pairs, count = np.unique(np.stack([flooded[mask], labels[mask]]), axis=1, return_counts=True)
    assert flooded.max() == labels.max() > 1
    assert count[pairs[0] == pairs[1]].sum() > 0.998 * mask.sum()
    assert np.array_equal(flooded > 0, labels > 0)


def test_a_cell_that_is_larger_than_its_blocks_is_one() -> None:
    away = np.linalg.norm(np.indices(SHAPE) - np.array([12, 15, 18])[:, None, None, None], axis=0)
    height = np.maximum(0, 1 - away / 30).astype(np.float32)
    labels, cells, tables = cut(height, height > 0.4, (4, 4, 4), 1)
    assert len(tables) > 100
    assert labels.max() == len(cells.peaks) == 1
    assert np.allclose(cells.centre, [[12, 15, 18]], atol=0.5)
    assert cells.voxels[0] == (height > 0.4).sum()
    assert cells.peaks[0] == height.max()


def test_sums_are_those_of_the_labels() -> None:
    height, mask = landscape(1)
    labels, cells, _ = cut(height, mask, (9, 9, 9), 2)
    number = np.arange(1, len(cells.peaks) + 1)
    assert np.array_equal(cells.voxels, np.bincount(labels.ravel())[1:])
    assert np.allclose(cells.sums[:, 1], ndimage.sum(height, labels, number), rtol=1e-4)
    assert np.allclose(cells.centre, ndimage.center_of_mass(labels > 0, labels, number))
    assert np.allclose(cells.peaks, ndimage.maximum(height, labels, number))
    assert (np.diff(cells.peaks) <= 0).all()


def test_what_is_not_kept_is_no_cell() -> None:
    cells = Joined([np.array([0, 1, 2]), np.array([0, 2, 3])], np.ones((3, 5)), np.array([0.9, 0.8, 0.7]))
    kept = cells.only(np.array([True, False, True]))
    assert [part.tolist() for part in kept.numbers] == [[0, 1, 0], [0, 0, 2]]
    assert kept.peaks.tolist() == [0.9, 0.7]


def test_no_voxel_no_cell() -> None:
    height, mask = landscape(0)
    labels, cells, _ = cut(height, np.zeros_like(mask), (8, 8, 8), 1)
    assert not labels.any()
    assert cells.sums.shape == (0, 5)
    assert all(part.tolist() == [0] for part in cells.numbers)
