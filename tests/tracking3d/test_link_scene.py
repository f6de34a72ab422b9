"""What the linker sees: order, neighbours, spacing, and which pairs it weighs; each against counting them all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tracking3d.detections import Detections
from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.motion import Motion, still
from tracking3d.link.scene import DENSITY, NEIGHBOURS, SPACED_BY, scene
from tracking3d.tracks import Tracks


@pytest.fixture
def cells(rng) -> Detections:
    """Five frames, of which one is empty, of 40, 25, 3 and 1 cells, unsorted."""
    t = rng.permutation(np.repeat([2, 3, 5, 6], [40, 25, 3, 1]))
    return Detections.of(t, rng.uniform(0, 50, (len(t), 3)), rng.lognormal(5, 0.3, len(t)))


def test_cells_are_ordered_by_frame_and_place_and_lead_back_to_their_rows(cells: Detections):
    seen = scene(cells)
    assert sorted(seen.order.tolist()) == list(range(len(cells)))
    assert np.array_equal(seen.zyx, cells.zyx_um[seen.order])
    keys = [(int(t), *zyx) for t, zyx in zip(seen.t, seen.zyx.tolist(), strict=True)]
    assert keys == sorted(keys)
    assert seen.frames.tolist() == [2, 3, 5, 6]
    assert [(seen.t[seen.cells(i)] == frame).all() for i, frame in enumerate(seen.frames)] == [True] * 4


def test_neighbours_are_the_nearest_of_the_frame(cells: Detections):
    seen = scene(cells)
    for cell in range(len(seen)):
        others = np.flatnonzero((seen.t == seen.t[cell]) & (np.arange(len(seen)) != cell))
        nearest = others[np.argsort(np.linalg.norm(seen.zyx[others] - seen.zyx[cell], axis=1))][:NEIGHBOURS]
        assert seen.near[cell][: len(nearest)].tolist() == nearest.tolist()
        assert (seen.near[cell][len(nearest) :] == -1).all()


def test_spacing_is_the_mean_distance_to_four_within_bounds_of_the_frame(cells: Detections):
    seen = scene(cells)
    frame = seen.cells(0)
    distance = np.sort(cdist(seen.zyx[frame], seen.zyx[frame]), axis=1)[:, 1 : SPACED_BY + 1].mean(axis=1)
    middle = np.median(distance)
    assert seen.spacing[frame] == pytest.approx(np.clip(distance, 0.6 * middle, 2 * middle))


def test_a_cell_alone_in_its_frame_takes_the_others_spacing(cells: Detections):
    seen = scene(cells)
    assert seen.spacing[-1] == np.median(seen.spacing[:-1])


def test_cells_always_alone_take_their_spacing_from_their_steps():
    seen = scene(Detections.of([0, 1, 2], np.array([(0, 0, 0), (0, 0, 2), (0, 0, 4.0)])))
    assert seen.spacing.tolist() == [6.0, 6.0, 6.0]


def test_the_density_lies_between_those_of_scattered_points_and_of_a_lattice(rng):
    lattice = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for points, ratio in ((rng.uniform(0, 20, (8000, 3)), DENSITY / 0.471), (lattice, DENSITY)):
        crowd = scene(Detections.of(np.zeros(8000, int), points))
        middle = (np.abs(crowd.zyx - 10) < 7).all(axis=1)
        assert np.exp(np.median(crowd.log_density[middle])) == pytest.approx(ratio, rel=0.1)


def test_far_apart_frame_numbers_cost_nothing():
    seen = scene(Detections.of([0, 10**12], np.zeros((2, 3))))
    assert seen.frames.tolist() == [0, 10**12]
    assert len(candidates(seen, still(seen), Gate()).pairs) == 0


def _all_pairs(seen, motion: Motion, gate: Gate) -> set[tuple[int, int]]:
    """Candidates by looking at every pair."""
    found = set()
    for a in range(len(seen)):
        for gap in range(1, gate.steps + 1):
            later = np.flatnonzero(seen.t == seen.t[a] + gap)
            away = np.linalg.norm(seen.zyx[later] - seen.zyx[a] - gap * motion.ahead[a], axis=1)
            moved = np.linalg.norm(seen.zyx[later] - seen.zyx[a], axis=1)
            for k in np.argsort(away)[: gate.nearest]:
                bound = np.inf if gate.max_distance_um is None else gate.max_distance_um * gap
                if away[k] <= gate.width * seen.spacing[a] and moved[k] <= bound:
                    found.add((a, int(later[k])))
    return found


@pytest.mark.parametrize("bound", [None, 6.0])
def test_candidates_are_those_of_looking_at_every_pair(cells: Detections, rng, bound):
    seen = scene(cells)
    motion = Motion(*rng.normal(0, 2, (2, len(seen), 3)), np.ones(3))
    gate = Gate(nearest=4, width=1.0, steps=3, max_distance_um=bound)
    found = candidates(seen, motion, gate)
    assert set(map(tuple, found.pairs.tolist())) == _all_pairs(seen, motion, gate)
    assert len(found.pairs) == len(set(map(tuple, found.pairs.tolist())))


def test_candidates_are_grouped_by_parent_and_carry_gap_and_offset(embryo: Tracks, rng):
    seen = scene(embryo.detections)
    motion = Motion(*rng.normal(0, 1, (2, len(seen), 3)), np.ones(3))
    found = candidates(seen, motion, Gate())
    earlier, later = found.pairs.T
    assert (np.diff(earlier) >= 0).all()
    assert np.array_equal(found.gap, seen.t[later] - seen.t[earlier])
    assert set(found.gap.tolist()) == {1, 2, 3}
    expected = found.gap[:, None] * (motion.ahead[earlier] + motion.behind[later]) / 2
    assert found.offset(seen, motion) == pytest.approx(seen.zyx[later] - seen.zyx[earlier] - expected)
