"""Corrections: what is said holds, what is far stays, the log can be made again, and contradictions are refused."""

from __future__ import annotations

import numpy as np
import pytest

import tracking3d
from tracking3d.detections import Detections
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.correct import correct
from tracking3d.link.corrections import Break, Correction, Delete, Divide, Entry, Join, pinned, read_log, write_log
from tracking3d.tracks import Tracks
from volumes.errors import TableError


@pytest.fixture
def linked(embryo: Tracks) -> Tracks:
    """An embryo as the linker sees it."""
    return tracking3d.link(embryo.detections)


def _holds(correction: Correction, tracks: Tracks) -> bool:
    match correction:
        case Join(parent, child):
            return tracks.children[parent].tolist() == [child, -1]
        case Divide(mother, first, second):
            return tracks.children[mother].tolist() == sorted([first, second])
        case Break(parent, child):
            return tracks.parent[child] != parent
        case Delete(row):
            return tracks.parent[row] == -1 and tracks.children[row].tolist() == [-1, -1]


def _drawn(tracks: Tracks, rng: np.random.Generator) -> list[Correction]:
    """One correction of each kind, of rows that have nothing to do with each other."""
    t = tracks.detections.t
    edges = tracks.edges[rng.permutation(len(tracks.edges))]
    early = [rng.permutation(np.flatnonzero(t == frame)) for frame in (3, 4, 7, 8)]
    return [
        Break(*edges[t[edges[:, 0]] == 1][0].tolist()),
        Join(int(early[0][0]), int(early[1][0])),
        Divide(int(early[2][0]), int(early[3][0]), int(early[3][1])),
        Delete(int(rng.choice(np.flatnonzero(t == 10)))),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_holds_also_after_further_corrections(linked: Tracks, seed: int):
    said = _drawn(linked, np.random.default_rng(seed))
    made = correct(linked, said)
    assert all(_holds(correction, made.tracks) for correction in said)
    assert [entry.correction for entry in made.log] == said


@pytest.mark.parametrize("seed", range(3))
def test_the_log_says_all_that_changed_and_far_links_are_not_among_it(linked: Tracks, seed: int):
    said = _drawn(linked, np.random.default_rng(seed))
    made = correct(linked, said)
    parent = linked.parent.copy()
    for entry in made.log:
        for row, before, after in entry.changed:
            assert parent[row] == before
            parent[row] = after
    assert np.array_equal(parent, made.tracks.parent)
    cells = linked.detections
    for entry in made.log:
        named = list(vars(entry.correction).values())
        for row, before, after in entry.changed:
            ends = [end for end in (row, before, after) if end >= 0]
            near = min(np.linalg.norm(cells.zyx_um[end] - cells.zyx_um[name]) for end in ends for name in named)
            assert near < 40
            assert min(abs(int(cells.t[row] - cells.t[name])) for name in named) <= 6


def test_a_correction_that_holds_already_changes_nothing(linked: Tracks):
    mother = int(linked.divisions[0])
    single = linked.edges[linked.children[linked.edges[:, 0], 1] < 0]
    said = [Divide(mother, *linked.children[mother].tolist()), Join(*single[7].tolist())]
    made = correct(linked, said)
    assert np.array_equal(made.tracks.parent, linked.parent)
    assert all(entry.changed == () for entry in made.log)


def test_what_is_taken_out_and_put_back_is_as_it_was(linked: Tracks):
    single = linked.edges[linked.children[linked.edges[:, 0], 1] < 0]
    parent, child = single[len(single) // 2].tolist()
    broken = correct(linked, [Break(parent, child)])
    assert broken.tracks.parent[child] != parent
    again = correct(broken.tracks, [Join(parent, child)])
    assert np.array_equal(again.tracks.parent, linked.parent)


def test_the_freed_cells_find_the_partners_that_are_left():
    """Two cells that cross: joined by hand one way, the others follow by themselves."""
    near = [(t, 0.0, 3.0 * k, 0.0) for t in range(2) for k in range(2)]
    rest = [(t, 0.0, 20.0 * k, 20.0) for t in range(2) for k in range(-2, 3)]
    table = np.array(near + rest)
    tracks = tracking3d.link(Detections.of(table[:, 0].astype(int), table[:, 1:]))
    assert tracks.parent[[2, 3]].tolist() == [0, 1]
    made = correct(tracks, [Join(0, 3)], config=ConstraintConfig(divisions=False))
    assert made.tracks.parent[[2, 3]].tolist() == [1, 0]
    assert made.log[0].changed == ((2, 0, 1), (3, 1, 0))


def test_earlier_corrections_hold_where_they_are_given(linked: Tracks):
    child = int(linked.edges[40, 1])
    first = Break(int(linked.parent[child]), child)
    once = correct(linked, [first]).tracks
    twice = correct(once, [Delete(int(linked.edges[41, 1]))], held=[first])
    assert _holds(first, twice.tracks)
    with pytest.raises(TableError, match="both linked and not linked"):
        correct(once, [Join(first.parent, child)], held=[first])


def test_the_log_is_written_read_and_made_again(linked: Tracks, rng, tmp_path):
    made = correct(linked, _drawn(linked, rng))
    write_log(made.log, tmp_path / "corrections.jsonl")
    log = read_log(tmp_path / "corrections.jsonl")
    assert log == made.log
    again = correct(linked, [entry.correction for entry in log])
    assert np.array_equal(again.tracks.parent, made.tracks.parent)
    assert again.log == made.log


@pytest.mark.parametrize("line", ["{", '{"do": "join"}', '{"do": "fly", "changed": []}', "[1]", '{"changed": 3}'])
def test_a_line_that_is_no_correction_is_refused(tmp_path, line):
    write_log([Entry(Delete(1), ())], tmp_path / "log")
    (tmp_path / "log").write_text((tmp_path / "log").read_text() + line + "\n")
    with pytest.raises(TableError, match="line 2"):
        read_log(tmp_path / "log")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([Delete(9)], "row 9 of a table of 6"),
        ([Join(-1, 2)], "row -1"),
        ([Join(2, 0)], r"row 0 \(frame 0\) is not later than row 2"),
        ([Join(2, 3)], "is not later"),
        ([Join(0, 2), Break(0, 2)], "rows 0 and 2 are to be both linked and not linked"),
        ([Join(0, 2), Join(1, 2)], "row 2 is to be the child of row 0 and of row 1"),
        ([Join(0, 2), Join(0, 3)], r"row 0 is to have rows \[2\] as its children, and rows \[3\]"),
        ([Join(0, 2), Divide(0, 2, 3)], r"row 0 is to have rows \[2\] as its children, and rows \[2, 3\]"),
        ([Divide(0, 2, 2)], "row 0 cannot divide into row 2 twice"),
        ([Divide(0, 2, 3), Delete(3)], "row 3 is deleted and linked with row 0"),
        ([Delete(0), Join(0, 2)], "row 0 is deleted and linked with row 2"),
    ],
)
def test_contradictions_are_refused_by_the_rows_they_name(said, problem):
    with pytest.raises(TableError, match=problem):
        pinned(said, np.array([0, 0, 1, 1, 2, 2]))


def test_what_is_said_twice_is_said_once():
    t = np.array([0, 0, 1, 1, 2, 2])
    once = pinned([Divide(0, 2, 3), Break(1, 4), Delete(5)], t)
    assert once == pinned([Divide(0, 3, 2), Divide(0, 2, 3), Break(1, 4), Break(1, 4), Delete(5), Delete(5)], t)
    assert once.parent == {2: 0, 3: 0}


def _touching() -> tuple[Tracks, int, int]:
    """Two cells among still ones, detected as one in frame 2; the row after it of the swallowed one, and that one's."""
    others = [(0.0, 16.0 * k, 30.0 * side, 300.0 * 1.4 ** (k * side)) for k in range(-2, 3) for side in (-1, 1)]
    rows = [(t, *other) for t in range(5) for other in others]
    rows += [(t, 0.0, y, 0.0, v) for t in (0, 1, 3, 4) for y, v in ((0.0, 300.0), (8.0, 200.0))]
    rows += [(2, 0.0, 3.2, 0.0, 500.0)]
    table = np.array(rows)
    tracks = tracking3d.link(Detections.of(table[:, 0].astype(int), table[:, 1:4], table[:, 4]))
    return tracks, len(rows) - 4, len(rows) - 1


def test_a_merge_nearby_stays_and_one_that_is_named_is_undone():
    tracks, small, middle = _touching()
    assert tracks.merged_into[small] == middle
    cells = tracks.detections
    far = int(np.flatnonzero((cells.t == 3) & (cells.zyx_um[:, 2] == 30))[2])
    nearby = correct(tracks, [Break(int(tracks.parent[far]), far)]).tracks
    assert nearby.merged_into[small] == middle
    assert nearby.parent[[small, middle]].tolist() == tracks.parent[[small, middle]].tolist()
    undone = correct(tracks, [Break(int(tracks.parent[small]), small)]).tracks
    assert undone.merged_into[small] == -1
    assert undone.parent[small] != tracks.parent[small]
