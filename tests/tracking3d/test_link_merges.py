"""Merged detections: against the formula written out, and on cells that are known to touch."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.stats import multivariate_t, norm

import tracking3d
from tracking3d.detections import Detections
from tracking3d.formats.table import read_tracks
from tracking3d.link.candidates import Gate, candidates
from tracking3d.link.divisions import NONE as UNDIVIDED
from tracking3d.link.divisions import Triplets
from tracking3d.link.jumps import SEPARATED, jumps
from tracking3d.link.likelihood import Rates, link_gain, volumes
from tracking3d.link.merges import NONE, SPURIOUS, UNSURE, Joining, Merges, learnt_joining, merges
from tracking3d.link.motion import Motion, still
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Tracks
from volumes.errors import TableError

RATES = Rates()
BIG, SMALL = 300.0, 200.0


def _touching(volumes_known: bool = True, frames: int = 5, when: int = 2, split: bool = False) -> Detections:
    """Two cells 8 µm apart on y, of 300 and 200 µm³, among still ones; one detection of both in frame ``when``."""
    others = [(0.0, 16.0 * k, 30.0 * side, 300.0 * 1.4 ** (k * side)) for k in range(-2, 3) for side in (-1, 1)]
    rows = [(t, *other) for t in range(frames) for other in others]
    for t in range(frames):
        if t != when or split:
            rows += [(t, 0.0, 0.0, 0.0, BIG), (t, 0.0, 8.0, 0.0, SMALL)]
        else:
            rows += [(t, 0.0, 8.0 * SMALL / (BIG + SMALL), 0.0, BIG + SMALL)]
    table = np.array(rows)
    return Detections.of(table[:, 0].astype(int), table[:, 1:4], table[:, 4] if volumes_known else None)


def _row(cells: Detections, t: int, y: float) -> int:
    return int(np.flatnonzero((cells.t == t) & (cells.zyx_um[:, 2] == 0) & np.isclose(cells.zyx_um[:, 1], y))[0])


def _motion(seen: Scene, scale: float = 1.0) -> Motion:
    return still(seen)._replace(scale=np.full(3, scale))


def _weighed(cells: Detections, habits: Joining) -> tuple[Scene, Merges, np.ndarray, object]:
    seen = scene(cells)
    motion, volume = _motion(seen), volumes(seen, np.full(len(seen), -1))
    found = candidates(seen, motion, Gate())
    gain = link_gain(seen, found, motion, volume, RATES)
    ways = jumps(seen, found, gain, UNDIVIDED, RATES)
    return seen, merges(seen, ways, motion, volume, RATES, habits), gain, found


def test_a_merge_is_worth_what_its_formula_says():
    cells, habits = _touching(), Joining(middle=0.8)
    seen, made, gain, found = _weighed(cells, habits)
    place = np.argsort(seen.order)
    middle = place[_row(cells, 2, 3.2)]
    before, after = [[place[_row(cells, t, y)] for y in (0.0, 8.0)] for t in (1, 3)]
    at = np.flatnonzero((made.cell == middle) & (made.larger[:, 0] == before[0]) & (made.smaller[:, 1] == after[1]))
    link = dict(zip(map(tuple, found.pairs.tolist()), gain, strict=True))
    expected = sum(link[one, other] - log(RATES.miss) for one, other in zip(before, after, strict=True))
    expected += log(habits.rate) - log(RATES.appear) - log(RATES.vanish) - seen.log_density[middle]
    # The detection lies where it should, so only the width counts: wider along the line between the two.
    expected += multivariate_t(np.zeros(3), 0.8**2 * np.eye(3), df=4).logpdf(np.zeros(3))
    expected -= 0.5 * log(1 + (UNSURE * 8 / 0.8) ** 2)
    known = volumes(seen, np.full(len(seen), -1))
    expected += norm(0, habits.whole_spread).logpdf(0) - known.log_stranger[middle]
    assert made.gain[at] == pytest.approx([expected])
    assert made.squared[at] == pytest.approx([0], abs=1e-12)
    assert made.grown[at] == pytest.approx([0], abs=1e-12)


@pytest.mark.parametrize("known", [True, False], ids=["volumes", "places alone"])
def test_the_larger_passes_through_and_the_other_is_merged_into_it(known: bool):
    cells = _touching(known)
    tracks = tracking3d.link(cells)
    middle, small = _row(cells, 2, 3.2), _row(cells, 3, 8.0)
    assert tracks.parent[middle] == _row(cells, 1, 0.0)
    assert tracks.parent[_row(cells, 3, 0.0)] == middle
    assert tracks.parent[small] == _row(cells, 1, 8.0)
    assert np.flatnonzero(tracks.merged_into >= 0).tolist() == [small]
    assert tracks.merged_into[small] == middle
    assert len(tracks.divisions) == 0


def test_where_nothing_is_merged_nothing_is_said():
    assert tracking3d.link(_touching(split=True)).merged_into is None


def test_a_merge_does_not_depend_on_the_order_of_rows(rng):
    cells = _touching()
    order = rng.permutation(len(cells))
    plain, mixed = tracking3d.link(cells), tracking3d.link(cells.take(order))
    place = np.argsort(order)
    for here, there in ((plain.parent, mixed.parent), (plain.merged_into, mixed.merged_into)):
        assert np.array_equal(there, np.where(here[order] >= 0, place[here[order]], -1))


def test_a_jump_that_cells_in_between_explain_is_none():
    seen, made, _, _ = _weighed(_touching(split=True), Joining())
    ways = jumps(seen, *_found(seen), UNDIVIDED, RATES)
    assert len(made.gain) == 0
    assert len(ways.gain) == 0


def _found(seen: Scene):
    motion = _motion(seen)
    found = candidates(seen, motion, Gate())
    return found, link_gain(seen, found, motion, volumes(seen, np.full(len(seen), -1)), RATES)


def test_late_daughters_and_mothers_of_late_ones_jump_as_well():
    cells = Detections.of([0, 1, 2, 2, 9], [(0, 0, 0), (0, 4, 0), (0, 4.5, 0), (0, -4, 0), (9, 9, 9)])
    seen = scene(cells)
    place = np.argsort(seen.order)
    families = place[np.array([[0, 1, 3], [0, 2, 3]])]
    found, gain = _found(seen)
    ways = jumps(seen, found, np.full_like(gain, -1), Triplets(families, np.array([5.0, 7.0])), RATES)
    assert (ways.frame == 1).all()
    assert ways.whole.sum() == 1
    late = np.flatnonzero(~ways.whole & (ways.cells[:, 2] == place[1]))
    assert ways.cells[late].tolist() == [[place[0], place[3], place[1]]]
    assert ways.zyx[late].tolist() == [[0, pytest.approx(-4 * SEPARATED), 0]]
    mother = ways.zyx[ways.whole][0]
    assert mother == pytest.approx([0, 0.125, 0])
    assert ways.gain[ways.whole] == pytest.approx([7 - log(RATES.miss)])


def _one(whole: tuple[bool, bool] = (False, False)) -> Merges:
    """Cell 2 holds the way 0 → 3, with sister 4, and the way 1 → 5, with sister 6."""
    return Merges(
        np.array([2]),
        np.array([[0, 3, 4]]),
        np.array([[1, 5, 6]]),
        np.array([whole]),
        np.array([4.0]),
        np.array([0.1]),
        np.array([9.0]),
    )


@pytest.mark.parametrize(
    ("whole", "parent", "swallowed"),
    [
        ((False, False), [-1, -1, 0, 2, 0, 1, 1], [-1, -1, -1, -1, -1, 2, -1]),
        ((True, False), [-1, -1, 0, 2, 2, 1, 1], [-1, -1, -1, -1, -1, 2, -1]),
        ((False, True), [-1, -1, 0, 2, 0, 1, 1], [-1, -1, -1, -1, -1, 2, 2]),
    ],
)
def test_what_a_merge_makes_of_its_cells(whole, parent, swallowed):
    made, out = _one(whole), np.full(7, -1)
    made.jumped(out)
    assert out.tolist() == [-1, -1, -1, 0, 0, 1, 1]
    made.passed(out)
    assert out.tolist() == parent
    assert made.swallowed(7).tolist() == swallowed
    assert sorted(made.bundles(7).place.tolist()) == [0, 1, 2, 7 + 2, 7 + 3, 7 + 4, 7 + 5, 7 + 6]


def test_bundles_of_merges_without_sisters_claim_six_places():
    alone = _one()._replace(larger=np.array([[0, 3, -1]]), smaller=np.array([[1, 5, -1]]))
    assert alone.bundles(7).start.tolist() == [0, 6]
    assert NONE.bundles(7).start.tolist() == [0]


def test_habits_of_merging_are_learnt_and_lean_on_what_is_assumed():
    seen = scene(_touching())
    assert learnt_joining(NONE, _motion(seen), 0) == pytest.approx(Joining())
    rng, n = np.random.default_rng(5), 500
    many = Merges(
        np.zeros(n, int),
        np.zeros((n, 3), int),
        np.zeros((n, 3), int),
        np.zeros((n, 2), bool),
        9.0 * rng.f(3, 4, n) * 0.25,
        rng.normal(-0.1, 0.05, n),
        np.ones(n),
    )
    learnt = learnt_joining(many, _motion(seen, 3.0), 10_000)
    assert learnt.rate == pytest.approx(0.05 - SPURIOUS, rel=0.02)
    assert learnt_joining(many, _motion(seen), 10**6).rate < 1e-7
    assert learnt.whole == pytest.approx(-0.1, abs=0.01)
    assert learnt.whole_spread == pytest.approx(0.05, abs=0.02)
    # Squared distances over 3 σ² follow F(3, 4) under a Student t of four degrees of freedom.
    assert learnt.middle * 3.0 == pytest.approx(np.sqrt(9.0 * 0.25 / 3), rel=0.1)


@pytest.mark.parametrize(
    ("into", "says"),
    [([-1, -1, -1], "needs 4 values"), ([-1, 0, -1, -1], "row 1"), ([-1, -1, -1, 9], "row 3"), ([2, -1, -1, -1], "0")],
)
def test_a_merge_must_be_jumped_over(into, says):
    cells = Detections.of([0, 1, 1, 2], np.arange(12.0).reshape(4, 3))
    parent = np.array([-1, 0, -1, 0])
    assert Tracks(cells, parent, merged_into=np.array([-1, -1, -1, 2])).merged_into[3] == 2
    with pytest.raises(TableError, match="merged_into") as caught:
        Tracks(cells, parent, merged_into=np.array(into))
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["tracks.csv", "tracks.geff"])
def test_what_was_merged_is_written_and_read(tmp_path, name):
    tracks = tracking3d.link(_touching())
    tracks.write(tmp_path / name)
    again = read_tracks(tmp_path / name)
    assert np.array_equal(again.parent, tracks.parent)
    assert np.array_equal(again.merged_into, tracks.merged_into)
    assert "merged_into" not in again.detections.features
    assert again.as_frame()["merged_into"].tolist() == tracks.merged_into.tolist()
