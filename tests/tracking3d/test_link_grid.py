"""The grid of boxes against scipy's k-d tree, on clouds that are easy and on those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tracking3d.link.grid import grid, nearest_within, neighbours

CLOUDS = ("even", "clustered", "flat", "a line", "an outlier", "far from 0")


def _cloud(kind: str, rng: np.random.Generator, n: int = 400) -> np.ndarray:
    zyx = rng.uniform(0, 100, (n, 3))
    if kind == "clustered":
        zyx[::2] = rng.normal(50, 0.1, (n // 2, 3))
    if kind == "flat":
        zyx[:, 0] = 7.0
    if kind == "a line":
        zyx[:, :2] = 7.0
    if kind == "an outlier":
        zyx[3] = 1e7
    return zyx + 1e6 if kind == "far from 0" else zyx


@pytest.mark.parametrize("kind", CLOUDS)
def test_neighbours_are_those_of_a_tree(kind: str, rng):
    frames = [_cloud(kind, rng), _cloud("even", rng, 5), _cloud("even", rng, 1)]
    zyx, first = np.concatenate(frames), np.array([0, 400, 405, 406])
    near, distance = neighbours(grid(zyx, first), first, 6)
    expected, cell = cKDTree(frames[0]).query(frames[0], k=range(2, 8))
    assert distance[:400] == pytest.approx(expected)
    assert np.array_equal(near[:400], cell)
    assert (near[400:405, :4] >= 400).all()
    assert (near[400:405, 4:] == -1).all()
    assert np.isinf(distance[405]).all()


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("reach", [1e-6, 0.3, 12.0, 500.0])
def test_the_nearest_within_reach_are_those_of_a_tree(kind: str, reach: float, rng):
    zyx = _cloud(kind, rng)
    boxes, tree = grid(zyx, np.array([0, len(zyx)])), cKDTree(zyx)
    cell, away = np.empty(7, np.int64), np.empty(7)
    for at in np.concatenate([zyx[:20] + rng.normal(0, 5, (20, 3)), zyx[:3], zyx[:1] + 1e4]):
        count = nearest_within(boxes, 0, at, reach, cell, away)
        distance, expected = tree.query(at, k=7, distance_upper_bound=np.nextafter(reach, np.inf))
        known = np.isfinite(distance)
        assert count == known.sum()
        assert np.array_equal(cell[:count], expected[known])
        assert np.sqrt(away[:count]) == pytest.approx(distance[known], abs=1e-12)


def test_among_cells_equally_far_the_first_comes_first():
    corners = np.stack(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0], indexing="ij"), -1).reshape(-1, 3)
    cell, away = np.empty(3, np.int64), np.empty(3)
    assert nearest_within(grid(corners, np.array([0, 8])), 0, np.zeros(3), 2.0, cell, away) == 3
    assert cell.tolist() == [0, 1, 2]


def test_no_cloud_has_more_boxes_than_cells(rng):
    for kind in CLOUDS:
        boxes = grid(_cloud(kind, rng), np.array([0, 400]))
        assert 1 <= boxes.boxes.prod() <= 400
