"""Tracks: their rules, and what is derived from the parents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking3d.detections import Detections
from tracking3d.tracks import Tracks, runs
from volumes.errors import OutputError, TableError


def test_edges_children_and_divisions_of_the_drawn_lineages(toy: Tracks, name_of):
    assert [name_of(edge) for edge in toy.edges] == [
        "ab",
        "bc",
        "cd",
        "de",
        "ef",
        "bg",
        "gh",
        "hi",
        "pq",
        "qr",
        "rs",
        "su",
        "uv",
    ]
    assert name_of(toy.divisions) == "b"
    assert name_of(toy.children[toy.divisions]) == "cg"
    assert (toy.children[toy.detections.t == 5] == -1).all()


def test_a_track_runs_to_its_division_or_end_and_over_a_gap(toy: Tracks, name_of):
    members = {name_of(np.flatnonzero(toy.track_id == k)) for k in range(1, toy.track_id.max() + 1)}
    assert members == {"ab", "cdef", "ghi", "pqrsuv", "!"}


def test_track_ids_count_from_1_by_first_frame(toy: Tracks):
    first = [toy.detections.t[toy.track_id == k].min() for k in range(1, 6)]
    assert first == sorted(first)
    assert set(toy.track_id.tolist()) == {1, 2, 3, 4, 5}


def test_a_lineage_is_a_tree(toy: Tracks, name_of):
    members = {name_of(np.flatnonzero(toy.lineage_id == k)) for k in np.unique(toy.lineage_id)}
    assert members == {"abcdefghi", "pqrsuv", "!"}
    assert (toy.lineage_id[:2] == toy.track_id[:2]).all()


def test_a_run_ends_at_a_missed_frame(toy: Tracks, name_of):
    run = runs(toy)
    members = {name_of(np.flatnonzero(run == k)) for k in range(1, run.max() + 1)}
    assert members == {"ab", "cdef", "g", "hi", "pqrsuv", "!"}


def test_an_empty_table_has_empty_tracks():
    tracks = Tracks(Detections.of([], np.zeros((0, 3))), np.zeros(0, int))
    assert len(tracks) == 0
    assert tracks.edges.shape == (0, 2)
    assert tracks.children.shape == (0, 2)
    assert tracks.track_id.shape == tracks.lineage_id.shape == tracks.divisions.shape == (0,)


@st.composite
def forests(draw: st.DrawFn) -> Tracks:
    """Random tracks: each cell takes an earlier one that has fewer than two children, or none."""
    t = draw(st.lists(st.integers(0, 6), min_size=0, max_size=24))
    parent: list[int] = [-1] * len(t)
    for row in range(len(t)):
        free = [i for i in range(len(t)) if t[i] < t[row] and parent.count(i) < 2]
        parent[row] = draw(st.sampled_from([-1, *free]))
    zyx = np.arange(3 * len(t), dtype=float).reshape(-1, 3)
    return Tracks(Detections.of(np.array(t, int), zyx), np.array(parent, int))


@given(forests())
def test_ids_agree_with_walking_up_one_parent_at_a_time(tracks: Tracks):
    count = np.bincount(tracks.parent[tracks.parent >= 0], minlength=len(tracks))
    for row in range(len(tracks)):
        head = root = row
        while tracks.parent[head] >= 0 and count[tracks.parent[head]] < 2:
            head = tracks.parent[head]
        while tracks.parent[root] >= 0:
            root = tracks.parent[root]
        assert tracks.track_id[row] == tracks.track_id[head]
        assert tracks.lineage_id[row] == tracks.track_id[root]
    segments = len(tracks) - sum(count[p] == 1 for p in tracks.parent if p >= 0)
    assert len(np.unique(tracks.track_id)) == segments
    assert sorted(map(tuple, tracks.edges)) == sorted((p, c) for c, p in enumerate(tracks.parent) if p >= 0)


def _three(parent, t=(0, 1, 2)) -> Tracks:
    return Tracks(Detections.of(t, np.eye(3)), np.asarray(parent))


@pytest.mark.parametrize(
    ("parent", "says"),
    [
        ([-1, 0, 3], "row 2 names a parent outside"),
        ([-2, 0, 1], "row 0 names a parent outside"),
        ([1, -1, -1], r"row 0 \(frame 0\) is not later"),
        ([2, 0, 1], "not later than its parent"),
        ([-1, 1, -1], "not later than its parent"),
        ([-1, 0], "needs 3 values"),
        ([-1.0, 0.5, 1.0], "not a whole number"),
    ],
)
def test_parents_that_break_the_rules_are_refused(parent, says: str):
    with pytest.raises(TableError, match=says) as error:
        _three(parent)
    assert error.value.field == "parent"


def test_a_third_child_is_refused():
    with pytest.raises(TableError, match="row 0 has 3 children"):
        Tracks(Detections.of([0, 1, 1, 1], np.arange(12.0).reshape(4, 3)), np.array([-1, 0, 0, 0]))


def test_confidence_has_one_value_a_detection():
    cells = Detections.of([0, 1], np.eye(3)[:2])
    assert Tracks(cells, np.array([-1, 0]), np.array([np.nan, 0.9])).confidence[1] == 0.9
    with pytest.raises(TableError, match="confidence"):
        Tracks(cells, np.array([-1, 0]), np.array([0.9]))


def test_arrays_are_read_only_and_private(toy: Tracks):
    given_ = np.array([-1, 0, 1])
    tracks = _three(given_)
    given_[1] = -1
    assert tracks.parent[1] == 0
    with pytest.raises(ValueError, match="read-only"):
        toy.parent[0] = 1


def test_an_unknown_suffix_is_refused(toy: Tracks, tmp_path):
    with pytest.raises(OutputError, match=r"\.geff"):
        toy.write(tmp_path / "tracks.xls")
    assert list(tmp_path.iterdir()) == []
