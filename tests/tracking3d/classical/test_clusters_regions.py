"""Fuzzy c-means, region growing, Voronoi, seeds, balls and hysteresis against brute force and closed forms."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from scipy import ndimage

from tracking3d.match import score
from tracking3d.segment import segment
from tracking3d.segment.clusters.fuzzy_c_means import fuzzy_c_means, memberships, nearest
from tracking3d.segment.image import checked
from tracking3d.segment.regions.growing import grown
from tracking3d.segment.regions.phagosight import PhagoSightConfig, hysteresis, two_levels
from tracking3d.segment.regions.region_growing import RegionGrowingConfig
from tracking3d.segment.regions.voronoi import voronoi
from tracking3d.segment.spots.balls import balls
from tracking3d.segment.spots.seeds import blob_seeds, blobness, maxima
from tracking3d.segment.spots.trackpy_spots import trackpy_seeds
from tracking3d.segment.typical import measured_radius_um
from volumes.errors import ContentError
from volumes.volume import from_array


def test_fuzzy_clusters_find_two_normal_ones_and_their_objective_falls(rng):
    points = np.vstack([rng.normal((0, 0), 0.3, (300, 2)), rng.normal((5, 2), 0.3, (200, 2))]).astype(np.float32)
    found = fuzzy_c_means(points, np.array([[1.0, 1.0], [2.0, 0.0]]), tolerance=1e-9)
    np.testing.assert_allclose(found.centres, [[0, 0], [5, 2]], atol=0.1)
    assert (np.diff(found.objective) <= 1e-9).all()
    degrees = memberships(points, found.centres)
    np.testing.assert_allclose(degrees.sum(axis=1), 1)
    np.testing.assert_array_equal(nearest(points, found.centres), degrees.argmax(axis=1))
    assert (nearest(points, found.centres) == (np.arange(500) >= 300)).all()


def test_one_round_of_fuzzy_clusters_is_the_formulas(rng):
    points, centres = rng.normal(size=(50, 2)).astype(np.float32), rng.normal(size=(3, 2))
    squared = ((points[:, None] - centres) ** 2).sum(axis=-1)
    degrees = np.array([[1 / sum(row[i] / other for other in row) for i in range(3)] for row in squared])
    moved = (degrees**2).T @ points / (degrees**2).sum(axis=0)[:, None]
    found = fuzzy_c_means(points, centres, rounds=1)
    np.testing.assert_allclose(memberships(points, centres), degrees, rtol=1e-6)
    np.testing.assert_allclose(found.centres, moved, rtol=1e-5)
    assert found.objective[0] == pytest.approx((degrees**2 * squared).sum(), rel=1e-5)


def slowly_grown(values, first):
    """Adams and Bischof's rule with dictionaries: one heap, means from sets of voxels."""
    labels, heap, order = first.copy(), [], 0
    members = {n: [tuple(v) for v in np.argwhere(first == n)] for n in range(1, first.max() + 1)}

    def touch(voxel):
        nonlocal order
        n = labels[voxel]
        mean = np.mean([float(values[v]) for v in members[n]])
        for axis, step in ((0, -1), (1, -1), (2, -1), (2, 1), (1, 1), (0, 1)):
            other = list(voxel)
            other[axis] += step
            if 0 <= other[axis] < values.shape[axis] and labels[tuple(other)] == 0:
                order += 1
                heapq.heappush(heap, (abs(float(values[tuple(other)]) - mean), order, tuple(other), n))

    for voxel in np.argwhere(first > 0):
        touch(tuple(voxel))
    while heap:
        _, _, voxel, n = heapq.heappop(heap)
        if labels[voxel] == 0:
            labels[voxel] = n
            members[n].append(voxel)
            touch(voxel)
    return labels


def test_regions_grow_as_the_rule_says(rng):
    values = ndimage.gaussian_filter(rng.normal(size=(5, 8, 9)), 1).astype(np.float32)
    first = np.zeros(values.shape, np.int32)
    first[0, 0, 0], first[2, 4, 4], first[4, 7, 8] = 1, 2, 3
    found = grown(values, first, np.ones(values.shape, bool))
    np.testing.assert_array_equal(found, slowly_grown(values, first))
    assert (found > 0).all()


def test_regions_keep_to_their_boxes_and_to_the_data(rng):
    values, first = rng.normal(size=(4, 6, 10)).astype(np.float32), np.zeros((4, 6, 10), np.int32)
    first[1, 1, 1], inside = 1, np.ones((4, 6, 10), bool)
    inside[:, 3] = False
    found = grown(values, first, inside, np.array([[0, 0, 0, 3, 6, 4]]))
    expected = np.zeros_like(found)
    expected[:3, :3, :4] = 1
    np.testing.assert_array_equal(found, expected)


def test_given_seeds_say_how_many_cells_there_are(draw):
    image, _ = draw()
    seeds = ((7, 5, 5.5), (9, 14.5, 16))
    labels = segment(image, RegionGrowingConfig(seeds_um=seeds, radius_um=3.5))
    assert labels.array.max() == 2
    for n, place in enumerate(seeds, start=1):
        assert labels.channel()[tuple(np.rint(image.grid.to_index(np.array([place]))[0]).astype(int))] == n
    with pytest.raises(ContentError, match="seeds_um: a seed lies outside"):
        segment(image, RegionGrowingConfig(seeds_um=((7, 5, 500),)))


def test_voronoi_gives_each_voxel_to_the_nearest_seed_of_its_part(rng):
    mask = np.ones((4, 10, 20), bool)
    mask[:, :, 12] = False
    seeds, spacing = np.array([[1, 2, 3], [3, 8, 9], [0, 5, 15]]), np.array([3.0, 1.0, 1.0])
    labels = voronoi(mask, seeds, tuple(spacing))
    voxels = np.argwhere(mask)
    squared = (((voxels[:, None] - seeds) * spacing) ** 2).sum(axis=-1).astype(float)
    squared[:, 2][voxels[:, 2] < 12] = np.inf
    squared[:, :2][voxels[:, 2] > 12] = np.inf
    np.testing.assert_array_equal(labels[mask], squared.argmin(axis=1) + 1)
    assert not voronoi(mask, seeds[:0], (1, 1, 1)).any()


def test_balls_are_shared_out_by_distance():
    seeds, spacing = np.array([[2, 5, 5], [2, 5, 9], [0, 14, 14]]), (2.0, 1.0, 1.0)
    voxels = np.stack(np.indices((5, 16, 16)), axis=-1) * spacing
    distance = np.linalg.norm(voxels[..., None, :] - seeds * spacing, axis=-1)
    expected = np.where(distance.min(axis=-1) <= 3.5, distance.argmin(axis=-1) + 1, 0)
    np.testing.assert_array_equal(balls(seeds, 3.5, (5, 16, 16), spacing), expected)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_the_laplacian_answers_strongest_at_the_radius_over_root_three(spacing):
    shape = tuple(round(40 / s) for s in spacing)
    axes = np.meshgrid(*((np.arange(n) - n // 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    ball = sum(a**2 for a in axes) <= 8**2
    image = checked(from_array(ball.astype(np.float32), spacing, modality="fluorescence"))
    centre = tuple(n // 2 for n in shape)
    sigmas = np.arange(3.5, 6.1, 0.25)
    answers = [blobness(image, s)[centre] for s in sigmas]
    assert sigmas[np.argmax(answers)] == pytest.approx(8 / np.sqrt(3), abs=0.4)
    assert blob_seeds(image, 8.0, ball).tolist() == [list(centre)]


def test_maxima_are_those_of_brute_force(rng):
    values, mask = rng.normal(size=(6, 9, 10)).astype(np.float32), rng.random((6, 9, 10)) < 0.8
    found = maxima(values, mask, 2.0, (1.0, 0.7, 2.5))
    reach = np.array([2, 2, 1])
    expected = [
        v
        for v in np.argwhere(mask)
        if values[tuple(v)]
        == values[tuple(slice(max(0, a - r), a + r + 1) for a, r in zip(v, reach, strict=True))].max()
    ]
    assert {tuple(v) for v in found} == {tuple(v) for v in expected}
    assert (np.diff(values[tuple(found.T)]) <= 0).all()


def test_a_plateau_has_one_maximum():
    values = np.zeros((3, 8, 8), np.float32)
    values[:, 2:5, 2:6] = 1
    assert len(maxima(values, values > 0, 0.0, (1, 1, 1))) == 1


def test_trackpy_sees_cells_at_the_faces_too(draw):
    image, truth = draw([((0, 10, 6), (3, 3, 3)), ((8, 10, 16), (3, 3, 3))])
    seeds = trackpy_seeds(checked(image), 3.0)
    assert {1, 2} <= set(truth.channel()[tuple(seeds.T)].tolist())


def test_the_radius_is_measured_in_um(draw):
    image, _ = draw([((8, 10, 10), (4, 4, 4))])
    assert measured_radius_um(checked(image)) == pytest.approx(4.0, rel=0.1)


def test_hysteresis_is_scikit_images(rng):
    from skimage.filters import apply_hysteresis_threshold

    values = ndimage.gaussian_filter(rng.normal(size=(6, 20, 20)), 1).astype(np.float32)
    low, high = np.quantile(values, [0.7, 0.95])
    found = hysteresis(values, low, high)
    # Neighbours by faces there and by corners here: those of ours hold theirs.
    assert (found[apply_hysteresis_threshold(values, low, high)] > 0).all()
    parts, n = ndimage.label(values > low, np.ones((3, 3, 3)))
    kept = [p for p in range(1, n + 1) if values[parts == p].max() > high]
    np.testing.assert_array_equal(found > 0, np.isin(parts, kept))
    assert found.max() == len(kept)


def test_phagosights_levels_come_from_its_slices():
    planes = np.zeros((3, 20, 20), np.float32)
    planes[0, 5:10, 5:10], planes[1, 5:10, 5:10] = 100, 60  # the third says nothing
    image = checked(from_array(planes, (1, 1, 1), modality="fluorescence"))
    assert two_levels(image, planes, published=True) == (100, 120)
    assert two_levels(image, planes, published=False) == (80, 100)


def test_phagosight_splits_what_is_too_large(draw):
    pair = [((8, 10, 6.5), (3, 3, 3)), ((8, 10, 12.3), (3, 3, 3))]
    image, truth = draw(pair)
    whole, split = (segment(image, PhagoSightConfig(split_above_um3=v)) for v in (1e6, 150.0))
    assert (whole.array.max(), split.array.max()) == (1, 2)
    assert score(truth, split).det == 1.0
    assert segment(image, PhagoSightConfig(min_volume_um3=1e5)).array.max() == 0
