"""The review's rules one by one, against what they say, brute force, and the review's figures on real T cells."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracking3d
from tracking3d.detections import Detections
from tracking3d.link.literal import LiteralLinkerConfig, LiteralReport
from tracking3d.link.literal.backtracking import Paths, backtrack
from tracking3d.link.literal.distance import mean_diameter, too_far
from tracking3d.link.literal.merged import merged
from tracking3d.link.literal.neighbours import neighbour_count, passed_over, preferred
from tracking3d.link.literal.size import changes_too_much, sizes
from tracking3d.link.literal.turning import turns
from tracking3d.link.scene import scene
from tracking3d.metrics import LinkTruth, score_links
from tracking3d.tracks import Tracks
from volumes.errors import TableError

OFF = LiteralLinkerConfig(
    diameter_um=10.0, distance=None, size=None, neighbours=None, relaxed=None, merged=None, turning_deg=None
)


def with_only(**rules: object) -> LiteralLinkerConfig:
    return OFF.model_copy(update=rules)


def line(*frames: list[float], volume: float | None = None) -> Detections:
    """Cells on the x axis: for each frame where they are."""
    t = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    x = np.concatenate([np.array(frame, dtype=float) for frame in frames])
    zyx = np.column_stack([np.zeros((len(x), 2)), x])
    return Detections.of(t, zyx, None if volume is None else np.full(len(x), volume))


def traced(cells: Detections, config: LiteralLinkerConfig) -> tuple[list[int], LiteralReport]:
    tracks, report = config.build().trace(cells)
    assert report.links == len(tracks.edges)
    return tracks.parent.tolist(), report


def test_a_step_of_less_than_the_share_of_a_diameter_passes() -> None:
    cells = line([0, 100, 200], [7.9, 108.0, 208.1])
    parent, report = traced(cells, with_only(distance=0.8))
    assert parent == [-1, -1, -1, 0, 1, -1]
    assert report.candidates == 2
    parent, report = traced(cells, with_only(distance=0.8, relaxed=1.6))
    assert parent == [-1, -1, -1, 0, 1, 2]
    assert (report.candidates, report.distance, report.relaxed) == (3, 1, 1)


def test_the_relaxed_pass_has_only_what_is_left_over() -> None:
    """The cell at 9 is nearer to the one that comes from 0, but within the first distance it belongs to the other."""
    cells = line([0, 16], [9, 30])
    assert traced(cells, with_only(distance=0.8))[0] == [-1, -1, 1, -1]
    parent, report = traced(cells, with_only(distance=0.8, relaxed=1.6))
    assert parent == [-1, -1, 1, -1]
    assert report.relaxed == 0
    parent, report = traced(line([0, 16], [9, -9]), with_only(distance=0.8, relaxed=1.6))
    assert parent == [-1, -1, 1, 0]
    assert report.relaxed == 1


def test_the_mean_diameter_is_that_of_balls() -> None:
    radius = np.array([2.0, 3.0, 7.0])
    volume = np.append(4 / 3 * np.pi * radius**3, np.nan)
    free = LiteralLinkerConfig()
    assert mean_diameter(volume, free) == pytest.approx(8.0)
    assert mean_diameter(volume, LiteralLinkerConfig(diameter_um=5.0)) == 5.0


def test_without_volumes_a_diameter_must_be_stated() -> None:
    cells = line([0], [1])
    with pytest.raises(TableError, match=r"volume: .*distance, neighbours, relaxed.*Give volumes, or diameter_um"):
        tracking3d.link(cells, "literal")
    assert tracking3d.link(cells, LiteralLinkerConfig(diameter_um=8.0)).parent.tolist() == [-1, 0]
    unmeasured = LiteralLinkerConfig(distance=None, neighbours=None, relaxed=None)
    assert traced(cells, unmeasured)[0] == [-1, 0]


def test_fifteen_percent_of_an_area_are_more_of_a_volume() -> None:
    """0.85^1.5 = 1 − 21.6 %, 1.15^1.5 = 1 + 23.3 %."""
    volume = np.array([1000.0, 784.5, 783.0, 1233.0, 1234.0, 850.0, 1150.0, 849.0, 1151.0])
    cells = Detections.of(np.zeros(9), np.arange(27).reshape(9, 3), volume)
    refused = {}
    for measure in ("area", "surface", "volume"):
        size = sizes(cells, measure)
        refused[measure] = changes_too_much(np.full(8, size[0]), size[1:], 0.15).tolist()
    assert refused["area"] == refused["surface"] == [False, True, False, True, False, False, False, False]
    assert refused["volume"] == [True, True, True, True, False, False, True, True]


def test_measured_areas_and_surfaces_come_before_those_of_balls() -> None:
    features = {"area_um2": [1.0, 2.0], "surface_um2": [3, 0]}
    cells = Detections.of([0, 0], [[0, 0, 0], [0, 0, 9]], [np.pi / 6, np.nan], features)
    assert sizes(cells, "area").tolist() == [1.0, 2.0]
    assert sizes(cells, "surface")[0] == 3.0
    assert np.isnan(sizes(cells, "surface")[1])
    plain = replace(cells, features={})
    assert sizes(plain, "area")[0] == pytest.approx(np.pi / 4)
    assert sizes(plain, "surface")[0] == pytest.approx(np.pi)
    assert np.isnan(sizes(plain, "volume")[1])


def test_an_unknown_size_refuses_nothing() -> None:
    assert not changes_too_much(np.array([np.nan, 1.0]), np.array([1.0, np.nan]), 0.15).any()


def test_a_daughter_of_half_the_volume_is_refused() -> None:
    cells = Detections.of([0, 1], [[0, 0, 0], [0, 0, 1]], [1000.0, 500.0])
    parent, report = traced(cells, with_only(size=0.15))
    assert (parent, report.size) == ([-1, -1], 1)
    assert traced(cells, with_only(size=0.5))[0] == [-1, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 3.0))
def test_neighbours_are_those_that_brute_force_counts(seed: int, within: float) -> None:
    zyx = np.random.default_rng(seed).uniform(0, 5, (12, 3))
    distance = np.linalg.norm(zyx[:, None] - zyx[None], axis=2)
    assert np.array_equal(neighbour_count(zyx, within, 1.3), (distance <= within * 1.3).sum(axis=1) - 1)


def test_a_target_with_as_many_neighbours_is_preferred() -> None:
    """A lone cell at 0; then one at 3 that has a neighbour at 12, and a lone one at −5, farther away."""
    cells = line([0], [3, -30], [0]).take([0, 1, 2])
    assert traced(cells, with_only(neighbours=2.0))[0] == [-1, 0, -1]
    crowded = line([0], [3, 12, -28])
    near, _ = traced(crowded, with_only(neighbours=None))
    kept, report = traced(crowded, with_only(neighbours=2.0))
    assert near == [-1, 0, -1, -1]
    assert kept == [-1, -1, -1, 0]
    assert report.neighbours == 2


def test_pairs_are_ordered_by_neighbours_then_distance() -> None:
    one, other = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    distance, change = np.array([1.0, 4.0, 2.0, 3.0]), np.array([2, 0, -1, 0])
    assert preferred(one, other, distance, change).tolist() == [3, 1, 0, 2]
    taken = np.array([False, True, False, True])
    assert passed_over(one, distance, taken, change) == 2
    assert passed_over(one, distance, taken, np.zeros(4, int)) == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 180.0))
def test_a_turn_is_the_angle_between_two_steps(seed: int, limit: float) -> None:
    before, after = np.random.default_rng(seed).normal(size=(2, 20, 3))
    angle = np.degrees(
        2
        * np.arctan2(
            np.linalg.norm(
                before / np.linalg.norm(before, axis=1)[:, None] - after / np.linalg.norm(after, axis=1)[:, None],
                axis=1,
            ),
            np.linalg.norm(
                before / np.linalg.norm(before, axis=1)[:, None] + after / np.linalg.norm(after, axis=1)[:, None],
                axis=1,
            ),
        )
    )
    sure = np.abs(angle - limit) > 1e-6
    assert np.array_equal(turns(before, after, limit, 0.0)[sure], (angle >= limit)[sure])


def test_a_step_too_short_to_tell_and_a_first_step_turn_nothing() -> None:
    before = np.array([[0, 0, 1.0], [0, 0, 1.0], [np.nan] * 3, [0, 0, 0.0]])
    after = np.array([[0, 0, -3.0], [0, 0, -0.4], [0, 0, -3.0], [0, 0, 3.0]])
    assert turns(before, after, 30.0, 0.5).tolist() == [True, False, False, False]
    assert turns(before, after, 30.0, 0.0).tolist() == [True, True, False, False]
    assert not turns(before, after, None, 0.0).any()


def test_a_sharp_turn_ends_a_track_and_a_short_step_does_not() -> None:
    cells = line([0], [5], [0])
    parent, report = traced(cells, with_only(turning_deg=30.0, localisation_um=0.0, backtrack=None))
    assert (parent, report.turning) == ([-1, 0, -1], 1)
    assert traced(cells, with_only(turning_deg=30.0, localisation_um=6.0))[0] == [-1, 0, 1]
    assert traced(line([0], [5], [10]), with_only(turning_deg=30.0, localisation_um=0.0))[0] == [-1, 0, 1]


def test_backtracking_undoes_a_link_that_leads_nowhere() -> None:
    """From a, c is the nearer; but d lies behind b, and c could only come to it by a turn of 45°.

               c(4, 1)
    a(0, 0)
               b(4.5, −1)
                            d(9, −2)
    """
    xy = np.array([[0, 0], [4, 1], [4.5, -1], [9, -2]])
    cells = Detections.of([0, 1, 1, 2], np.column_stack([np.zeros(4), xy[:, ::-1]]))
    rules = {"turning_deg": 30.0, "localisation_um": 0.0, "distance": 0.8}
    parent, report = traced(cells, with_only(**rules, backtrack=None))
    assert (parent, report.undone, report.turning) == ([-1, 0, -1, 2], 0, 1)
    parent, report = traced(cells, with_only(**rules, backtrack=1))
    assert (parent, report.undone, report.turning) == ([-1, -1, 0, 2], 1, 1)


def test_backtracking_goes_back_as_far_as_is_needed() -> None:
    """0 → 1 → 2 ends; from 0 another way leads over 3 and 4 to 5, of which 3 and 4 are free or linked already."""
    targets = {0: [1, 3], 1: [2], 2: [5], 3: [4], 4: [5]}
    bend = {(1, 2, 5)}
    for joined in (False, True):
        paths = Paths.of(6)
        paths.link(np.array([0, 1]), np.array([1, 2]))
        if joined:
            paths.link(np.array([3]), np.array([4]))
        found = [backtrack(paths, 2, frames, lambda c: targets.get(c, []), lambda *p: p in bend) for frames in (1, 2)]
        assert found == [False, True]
        assert paths.parent.tolist() == [-1, -1, 1, 0, 3, 4]
        assert paths.child.tolist() == [3, 2, -1, 4, 5, -1]
        assert paths.undone == 1


def test_backtracking_bends_no_other_track() -> None:
    """The way over 3 would have to follow 3 → 4, which bends: so nothing changes."""
    targets = {0: [1, 3], 1: [2], 2: [5], 3: [4], 4: [5]}
    paths = Paths.of(6)
    paths.link(np.array([0, 1, 3]), np.array([1, 2, 4]))
    before = paths.parent.copy()
    assert not backtrack(paths, 2, 5, lambda c: targets.get(c, []), lambda *p: p in {(1, 2, 5), (0, 3, 4)})
    assert np.array_equal(paths.parent, before)
    assert paths.undone == 0


def test_a_track_led_another_way_turns_nowhere(rng: np.random.Generator) -> None:
    """Whatever backtracking does, no path over three frames turns by the limit or more, and no rule is broken."""
    t = np.repeat(np.arange(8), 25)
    cells = Detections.of(t, rng.uniform(0, 40, (200, 3)))
    config = LiteralLinkerConfig(diameter_um=10.0, localisation_um=0.0, turning_deg=60.0)
    tracks, report = config.build().trace(cells)
    assert report.undone > 0
    zyx, parent = cells.zyx_um, tracks.parent
    third = np.flatnonzero((parent >= 0) & (parent[parent] >= 0))
    first, second = zyx[parent[third]] - zyx[parent[parent[third]]], zyx[third] - zyx[parent[third]]
    angle = np.degrees(
        np.arccos((first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1))
    )
    assert len(third) > 10
    assert angle.max() < 60.0
    step = np.linalg.norm(zyx[tracks.edges[:, 1]] - zyx[tracks.edges[:, 0]], axis=1)
    assert step.max() <= 16.0
    assert len(tracks.divisions) == 0


def test_an_abnormal_volume_beside_an_end_looks_merged() -> None:
    """Cells at 0 and 8 become one at 4 of twice the volume; one at 60 grows as much, but no track ends beside it."""
    t, x = [0] * 6 + [1] * 5, [0, 8, 60, 90, 120, 150, 4, 60, 90, 120, 150]
    volume = [500.0] * 6 + [1000.0, 1000.0, 500.0, 500.0, 500.0]
    cells = Detections.of(t, np.column_stack([np.zeros((11, 2)), x]), volume)
    config = LiteralLinkerConfig(diameter_um=10.0, size=None)
    tracks, report = config.build().trace(cells)
    assert tracks.parent[6] in (0, 1)
    assert report.abnormal == 1
    found = scene(cells)
    back = np.argsort(found.order)
    parent = np.where(tracks.parent >= 0, back[tracks.parent], -1)[found.order]
    assert found.order[merged(found, parent, 1.6, 16.0)].tolist() == [6]
    assert len(merged(found, parent, None, 16.0)) == 0
    assert len(merged(found, parent, 2.5, 16.0)) == 0


def test_what_is_off_refuses_nothing() -> None:
    parent, report = traced(line([0, 50], [49, 400], [0, 300]), OFF)
    assert parent == [-1, -1, 1, 0, 2, 3]
    refused = {field.name: getattr(report, field.name) for field in fields(report)[1:]}
    assert refused.pop("candidates") == 8
    assert refused.pop("links") == 4
    assert set(refused.values()) == {0}
    assert not too_far(np.array([1e9]), None, 1.0).any()
    assert neighbour_count(np.zeros((3, 3)), None, 1.0).tolist() == [0, 0, 0]


def test_the_report_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="tracking3d"):
        tracking3d.link(line([0, 100], [9, 101], volume=np.pi / 6 * 1000), "literal")
    (record,) = [r for r in caplog.records if r.name.startswith("tracking3d.link.literal")]
    assert record.getMessage().startswith("mean diameter 10.00 µm; candidates 2, distance 1, size 0,")
    assert "relaxed 1, undone 0, abnormal 0, splits 0, links 2" in record.getMessage()


REVIEWED = {
    "the rules of distance": ({"relaxed": None, "turning_deg": None}, 0.882, 0.007),
    "and hard 30°": ({"relaxed": None, "localisation_um": 0.0, "backtrack": None}, 0.527, 0.009),
    "0.8, then 1.6 diameters": ({"turning_deg": None}, 0.967, 0.008),
}
"""What the table of the review says of mouse T cells of 8 µm: recall, and false links ÷ links."""


@pytest.mark.parametrize("rules", REVIEWED)
def test_on_t_cells_the_rules_do_what_the_review_says(rules: str, data: Path) -> None:
    import pandas as pd

    table = pd.read_csv(data / "tracking" / "lineages" / "immune_TCellsRaw.csv.gz")
    cells = Detections.of(table["t"].to_numpy(), table[["z", "y", "x"]].to_numpy())
    truth = LinkTruth(Tracks(cells, table["parent"].to_numpy()), np.arange(len(cells)))
    settings_, recall, false = REVIEWED[rules]
    found = score_links(tracking3d.link(cells, LiteralLinkerConfig(diameter_um=8.0, **settings_)), truth)
    assert found.recall == pytest.approx(recall, abs=0.005)
    assert found.false_match == pytest.approx(false, abs=0.001)
