"""The default linker: drawn cases, and that its links depend on nothing they should not."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

import tracking3d
from tracking3d.detections import Detections
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.metrics import LinkTruth, score_links
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError


def _observed(truth: Tracks, rng: np.random.Generator, drop: float = 0.05) -> tuple[Detections, LinkTruth]:
    """The true cells less a few, and a few false ones among them."""
    cells = truth.detections
    node = np.flatnonzero(rng.random(len(cells)) >= drop)
    false = rng.choice(len(cells), len(cells) // 50)
    zyx = np.concatenate([cells.zyx_um[node], cells.zyx_um[false] + rng.normal(0, 6, (len(false), 3))])
    volume = np.concatenate([cells.volume_um3[node], cells.volume_um3[false]])
    t = np.concatenate([cells.t[node], cells.t[false]])
    return Detections.of(t, zyx, volume), LinkTruth(truth, np.concatenate([node, np.full(len(false), -1)]))


def _moved(
    cells: Detections, turn: np.ndarray, shift=(0.0, 0.0, 0.0), later: int = 0, scale: float = 1.0
) -> Detections:
    zyx = scale * (cells.zyx_um @ turn.T + np.asarray(shift))
    return Detections.of(cells.t + later, zyx, cells.volume_um3 * scale**3)


def test_the_drawn_lineages_are_found(toy: Tracks, name_of):
    linked = tracking3d.link(toy.detections)
    assert [name_of(edge) for edge in linked.edges] == [name_of(edge) for edge in toy.edges]
    assert np.array_equal(linked.divisions, toy.divisions)


def test_a_growing_embryo_is_followed_through_dropouts_and_false_detections(embryo: Tracks, rng):
    cells, truth = _observed(embryo, rng)
    scores = score_links(tracking3d.link(cells), truth)
    assert scores.counts["true_divisions"] >= 10
    assert scores.edge_f1 > 0.98
    assert scores.division_f1 > 0.8


def test_without_volumes_divisions_are_still_found(embryo: Tracks, rng):
    cells, truth = _observed(embryo, rng)
    bare = Detections.of(cells.t, cells.zyx_um)
    scores = score_links(tracking3d.link(bare), truth)
    assert scores.edge_f1 > 0.97
    assert scores.division_f1 > 0.6


def test_complete_detections_of_a_calm_scene_give_back_every_link(rng):
    place = np.stack(np.meshgrid(*[np.arange(4) * 10.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    zyx = np.concatenate([place + 2.0 * frame + rng.normal(0, 0.3, place.shape) for frame in range(8)])
    cells = Detections.of(np.repeat(np.arange(8), len(place)), zyx)
    expected = np.arange(len(zyx)) - len(place)
    assert np.array_equal(tracking3d.link(cells).parent, np.maximum(expected, -1))


def test_cells_that_do_not_move_at_all_are_linked():
    place = np.stack(np.meshgrid(*[np.arange(3) * 10.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    cells = Detections.of(np.repeat(np.arange(5), 27), np.tile(place, (5, 1)))
    assert np.array_equal(tracking3d.link(cells).parent, np.maximum(np.arange(135) - 27, -1))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_links_do_not_depend_on_place_axes_or_start(embryo: Tracks, rng, axes):
    cells, _ = _observed(embryo, rng)
    expected = tracking3d.link(cells).parent
    moved = _moved(cells, np.eye(3)[list(axes)], (1000.0, -250.0, 3.0), later=17)
    assert np.array_equal(tracking3d.link(moved).parent, expected)


def test_links_do_not_depend_on_the_orientation(embryo: Tracks, rng):
    cells, _ = _observed(embryo, rng)
    turned = _moved(cells, Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix())
    assert np.array_equal(tracking3d.link(turned).parent, tracking3d.link(cells).parent)


@pytest.mark.parametrize("scale", [1e-3, 0.37, 1e3])
def test_links_do_not_depend_on_the_unit(embryo: Tracks, rng, scale: float):
    cells, _ = _observed(embryo, rng)
    scaled = _moved(cells, np.eye(3), scale=scale)
    assert np.array_equal(tracking3d.link(scaled).parent, tracking3d.link(cells).parent)


def test_links_do_not_depend_on_the_order_of_rows(embryo: Tracks, rng):
    cells, _ = _observed(embryo, rng)
    order = rng.permutation(len(cells))
    place = np.argsort(order)
    parent = tracking3d.link(cells).parent[order]
    expected = np.where(parent >= 0, place[parent], -1)
    assert np.array_equal(tracking3d.link(cells.take(order)).parent, expected)


def test_two_runs_agree(embryo: Tracks, rng):
    cells, _ = _observed(embryo, rng)
    assert np.array_equal(tracking3d.link(cells).parent, tracking3d.link(cells).parent)


@pytest.mark.parametrize(
    ("t", "zyx", "parent"),
    [
        ([], np.zeros((0, 3)), []),
        ([3], [(0, 0, 0)], [-1]),
        ([0, 0, 0], np.eye(3), [-1, -1, -1]),
        ([0, 1], [(0, 0, 0), (0, 0, 1)], [-1, 0]),
        ([0, 1, 2], [(0, 0, 0), (0, 0, 0), (0, 0, 0)], [-1, 0, 1]),
        ([0, 1, 9, 10], [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)], [-1, 0, -1, 2]),
        ([5, 4, 2, 1], [(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 0)], [1, 2, 3, -1]),
    ],
    ids=["empty", "one", "one frame", "two frames", "still", "seven empty frames", "unsorted, one empty frame"],
)
def test_small_tables(t, zyx, parent):
    linked = tracking3d.link(Detections.of(np.array(t, int), np.array(zyx, float)))
    assert linked.parent.tolist() == parent


def test_a_cell_may_be_missed_as_often_as_stated(rng):
    cells = np.array([(0, 0, x) for x in range(0, 300, 30)], float)
    t = np.repeat(np.arange(6), len(cells))
    zyx = np.tile(cells, (6, 1)) + rng.normal(0, 0.5, (len(t), 3))
    keep = ~((np.arange(len(t)) % len(cells) == 4) & np.isin(t, (2, 3)))
    sparse = Detections.of(t[keep], zyx[keep])
    spans = {
        missed: np.diff(sparse.t[ConstraintConfig(max_missed=missed).build().link(sparse).edges], axis=1).max()
        for missed in (0, 1, 2)
    }
    assert spans == {0: 1, 1: 1, 2: 3}


def test_no_step_is_longer_than_the_stated_bound(embryo: Tracks, rng):
    cells, _ = _observed(embryo, rng)
    bound = 1.0
    edges = ConstraintConfig(max_distance_um=bound).build().link(cells).edges
    steps = np.linalg.norm(np.diff(cells.zyx_um[edges], axis=1)[:, 0], axis=1)
    assert 0 < len(edges) < len(tracking3d.link(cells).edges)
    assert (steps <= bound * np.diff(cells.t[edges], axis=1)[:, 0] + 1e-12).all()


def test_divisions_can_be_ruled_out(embryo: Tracks, rng):
    cells, _ = _observed(embryo, rng)
    assert len(tracking3d.link(cells).divisions) > 0
    assert len(tracking3d.link(cells, ConstraintConfig(divisions=False)).divisions) == 0


def test_ten_thousand_cells_crowded_into_a_frame_are_linked(rng):
    # Neighbours nearer than a step: every cell can reach every other through shared candidates.
    place = rng.uniform(0, 100, (10_000, 3))
    zyx = np.concatenate([place, place + rng.normal(0, 1.5, place.shape)])
    linked = tracking3d.link(Detections.of(np.repeat([0, 1], len(place)), zyx))
    assert len(linked.edges) > 8_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_distance_um", 0.0),
        ("max_distance_um", -1.0),
        ("max_distance_um", float("nan")),
        ("max_distance_um", float("inf")),
        ("max_missed", -1),
        ("passes", 0),
        ("p_appear", 0.0),
        ("max_distanc_um", 5.0),
    ],
)
def test_settings_out_of_range_or_mistyped_are_refused(key: str, value: float):
    with pytest.raises(ValidationError, match=key):
        ConstraintConfig.model_validate({key: value})


def test_any_object_with_a_link_method_is_a_linker(toy: Tracks):
    class Nothing:
        def link(self, detections, labels=None, image=None):  # noqa: ARG002 - the protocol's
            return Tracks(detections, np.full(len(detections), -1))

    assert len(tracking3d.link(toy.detections, Nothing()).edges) == 0


@pytest.mark.parametrize("kind", ["assignement", None, 3])
def test_an_unknown_linker_is_refused(toy: Tracks, kind):
    with pytest.raises(ConfigError, match=r"^kind: "):
        tracking3d.link(toy.detections, kind)


def test_the_face_keeps_its_functions_when_the_packages_behind_are_imported():
    import tracking3d.link.constraint
    import tracking3d.link.scene

    assert callable(tracking3d.link)
    assert tracking3d.Tracks is Tracks
