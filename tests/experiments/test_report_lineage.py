"""Branches of lineages, their drawn places, paths and ticks; numbers as they are written."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.report.drawing import dots_path, line_path, segments_path, ticks, time_colour
from experiments.report.lineage import branches_of, largest, placed
from experiments.report.quantities import (
    length_text,
    name_and_unit,
    nice_length,
    number_text,
    rows_of,
    seconds_text,
)
from experiments.report.sections import TrackingSection
from experiments.report.tracks_plot import MOST_DETECTIONS, edges_of, projections, speeds
from experiments.report.tree_plot import MOST_LEAVES, curve, histogram, lineage_tree
from volumes.errors import TableError

#  frame 0   1   2   3
#  row   0 ─ 1 ┬ 2 ─ 4        and   6 ─ 7
#              └ 3 ─ 5
T = np.array([0, 1, 2, 2, 3, 3, 1, 2])
PARENT = np.array([-1, 0, 1, 1, 2, 3, -1, 6])


@st.composite
def forests(draw):
    """Frames and parents of a random forest: at most two children each, a parent at an earlier frame."""
    t = sorted(draw(st.lists(st.integers(0, 6), max_size=25)))
    parent, children = [], [0] * len(t)
    for row, frame in enumerate(t):
        free = [p for p in range(row) if t[p] < frame and children[p] < 2]
        above = draw(st.sampled_from([-1, *free]))
        parent.append(above)
        if above >= 0:
            children[above] += 1
    return np.array(t, int), np.array(parent, int)


def tracking(t=T, parent=PARENT, dt_s=60.0, zyx=None) -> TrackingSection:
    t = np.asarray(t)
    places = np.stack([t * 1.0, t * 2.0, np.arange(len(t)) * 3.0], -1) if zyx is None else zyx
    return TrackingSection("toy", t, places, np.asarray(parent), np.arange(len(t)), dt_s, {}, (), "simulated", "toy")


def test_the_toy_forest_has_these_branches():
    branches = branches_of(T, PARENT)
    assert branches.of_row[[0, 1]].tolist() == [0, 0]
    assert branches.parent[branches.of_row[[2, 4, 3, 5]]].tolist() == [0, 0, 0, 0]
    assert branches.of_row[2] == branches.of_row[4] != branches.of_row[3] == branches.of_row[5]
    assert branches.of_row[6] == branches.of_row[7]
    assert branches.divisions == 1
    assert len(branches.roots) == 2
    assert sorted(branches.cells.tolist()) == [2, 2, 2, 2]


@given(forests())
def test_branches_cut_every_forest_at_roots_and_divisions_only(forest):
    t, parent = forest
    branches = branches_of(t, parent)
    children = np.bincount(parent[parent >= 0], minlength=len(t))
    for row, above in enumerate(parent):
        joined = above >= 0 and branches.of_row[row] == branches.of_row[above]
        assert joined == (above >= 0 and children[above] == 1)
    assert branches.cells.sum() == len(t)
    assert len(branches.roots) == int((parent < 0).sum())
    assert branches.divisions == int((children > 1).sum())
    for number, above in enumerate(branches.parent):
        rows = t[branches.of_row == number]
        assert (branches.first[number], branches.last[number]) == (rows.min(), rows.max())
        assert above < number
        assert branches.tree[number] == (branches.tree[above] if above >= 0 else branches.tree[number])


@given(forests())
def test_leaves_stand_side_by_side_and_mothers_between_their_daughters(forest):
    branches = branches_of(*forest)
    if not len(branches.parent):
        return
    drawn = placed(branches, largest(branches, 10**6))
    across = dict(zip(drawn.branches.tolist(), drawn.across.tolist(), strict=True))
    assert len(across) == len(branches.parent)
    leaves = sorted(across[n] for n in across if n not in branches.parent)
    assert leaves == list(range(drawn.leaves))
    for n in across:
        daughters = [across[d] for d in np.flatnonzero(branches.parent == n)]
        if daughters:
            assert across[n] == pytest.approx(np.mean(daughters))


def test_a_real_embryo_has_the_divisions_its_table_has(data):
    with gzip.open(data / "tracking" / "lineages" / "phallusia_Pm03.csv.gz", "rt", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    row_of = {row["id"]: number for number, row in enumerate(table)}
    parent = np.array([row_of.get(row["parent"], -1) for row in table])
    branches = branches_of([int(row["t"]) for row in table], parent)
    children = Counter(row["parent"] for row in table if row["parent"] in row_of)
    assert branches.divisions == sum(count == 2 for count in children.values()) > 0
    assert len(branches.roots) == len(table) - sum(children.values())


def test_the_largest_lineages_are_kept_and_one_at_least():
    branches = branches_of(T, PARENT)
    assert largest(branches, 2).tolist() == [0]
    assert largest(branches, 3).tolist() == [0, 1]
    assert largest(branches, 1).tolist() == [0]


def test_the_tree_says_how_many_lineages_are_left_out():
    n = MOST_LEAVES + 7
    drawing, left_out = lineage_tree(branches_of(np.zeros(n, int), np.full(n, -1)), "s1")
    assert left_out == 7
    assert f"{MOST_LEAVES} lineages" in drawing.alt
    assert drawing.svg.count("<title>") == MOST_LEAVES


def test_the_tree_draws_each_lineage_and_fork_once():
    drawing, left_out = lineage_tree(branches_of(T, PARENT), "s4")
    assert left_out == 0
    assert drawing.svg.count("<title>") == 2
    forks = re.search(r'class="forks" d="([^"]*)"', drawing.svg)
    assert forks is not None
    assert forks[1].count("M") == 1
    assert "s4-time" in drawing.svg


def test_an_empty_table_draws_empty_views():
    empty = tracking(np.zeros(0, int), np.zeros(0, int), zyx=np.zeros((0, 3)))
    branches = branches_of(empty.t, empty.parent)
    drawing, left_out = projections(empty, branches)
    assert left_out == 0
    assert drawing.alt.startswith("No tracks")
    assert lineage_tree(branches, "s1")[0].alt == "No lineage to draw"


def test_a_deep_field_is_seen_from_three_sides_and_a_flat_one_from_two(rng):
    t, parent = np.arange(30), np.arange(30) - 1
    deep, flat = rng.uniform(0, 50, (30, 3)), rng.uniform(0, 50, (30, 3)) * (0.1, 1, 1)
    views = [
        [m.text for m in projections(tracking(t, parent, zyx=z), branches_of(t, parent))[0].marks] for z in (deep, flat)
    ]
    assert views == [["xy", "xz", "zy"], ["xy", "xz"]]


def test_a_projection_keeps_every_edge_at_its_true_place():
    zyx = np.array([[0.0, 0, 0], [0, 100, 0], [0, 100, 200]])
    section = tracking(np.arange(3), np.arange(3) - 1, zyx=zyx)
    drawing, _ = projections(section, branches_of(section.t, section.parent))
    moves = [(int(a), int(b)) for a, b in re.findall(r"l(-?\d+) (-?\d+)", drawing.svg)]
    down, across = moves[0], moves[1]
    assert down[0] == 0
    assert across[1] == 0
    assert across[0] == pytest.approx(2 * down[1], abs=2)
    assert drawing.bar is not None
    assert drawing.bar.text == "50 µm"
    assert drawing.bar.width / 100 * drawing.width == pytest.approx(down[1] / 2, abs=1)


def test_too_many_detections_leave_out_the_smallest_lineages():
    long = MOST_DETECTIONS - 10
    t = np.concatenate([np.arange(long), np.arange(30)])
    parent = np.concatenate([np.arange(long) - 1, np.arange(30) - 1 + long])
    parent[long] = -1
    section = tracking(t, parent)
    drawing, left_out = projections(section, branches_of(t, parent))
    assert left_out == 1
    assert drawing.svg.count("l") < 3 * MOST_DETECTIONS


def test_speeds_are_distances_over_time():
    section = tracking(np.array([0, 2]), np.array([-1, 0]), dt_s=30.0, zyx=np.array([[0.0, 0, 0], [3, 4, 0]]))
    np.testing.assert_allclose(speeds(section), [5.0])
    assert len(speeds(tracking(dt_s=None))) == 0
    assert len(edges_of(tracking())) == 6


@pytest.mark.parametrize("parent", [[-1, 5], [-1, -2], [1, -1], [-1, 1]])
def test_a_table_that_is_no_forest_is_refused(parent):
    with pytest.raises(TableError):
        tracking(np.array([0, 1]), np.array(parent))


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(TableError, match="length"):
        tracking(np.array([0, 1]), np.array([-1]))


def walked(path: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The segments that a pen draws along a path of M and l."""
    at, out = (0, 0), []
    for letter, a, b in re.findall(r"([Ml])(-?\d+) (-?\d+)", path):
        to = (int(a), int(b)) if letter == "M" else (at[0] + int(a), at[1] + int(b))
        if letter == "l":
            out.append((at, to))
        at = to
    return out


@given(
    st.lists(st.tuples(st.integers(-90, 90), st.integers(-90, 90)), min_size=2, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12),
)
def test_a_path_draws_exactly_the_edges(points, edges):
    inside = np.array([(a % len(points), b % len(points)) for a, b in edges], int).reshape(-1, 2)
    assert walked(segments_path(np.array(points), inside)) == [(points[a], points[b]) for a, b in inside.tolist()]


def test_consecutive_edges_do_not_lift_the_pen():
    assert segments_path(np.array([[0, 0], [3, 1], [3, 5]]), np.array([[0, 1], [1, 2]])) == "M0 0l3 1l0 4"
    assert dots_path(np.array([[1.2, 3.6]])) == "M1 4h0"
    assert line_path([0, 1], [2, 3.25]) == "M0.0 2.0L1.0 3.2"


@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_ticks_lie_inside_evenly_and_not_too_many(low, span):
    out = ticks(low, low + span)
    assert len(out) <= 12
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in out)
    if len(out) > 2:
        np.testing.assert_allclose(np.diff(out), out[1] - out[0], rtol=1e-6)


def test_ticks_of_a_single_value_are_that_value():
    assert ticks(3, 3) == [3]
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]


def test_time_runs_from_the_first_colour_to_the_last():
    assert time_colour(0) == "#5468e7"
    assert time_colour(1) == time_colour(7) == "#ff8a4c"
    assert re.fullmatch(r"#[0-9a-f]{6}", time_colour(0.37))


def test_graphs_stay_inside_their_box():
    for values in ([], [0], [5], [0, 0], [1, 9, 4]):
        numbers = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", curve(values, "cells").svg)
        assert all(0 <= float(x) <= 400 and 0 <= float(y) <= 120 for x, y in numbers)
    bars = histogram([0, 1, 1, 2, 3], "speeds", "µm/min")
    assert bars.marks[0].text == "0 µm/min"
    assert max(float(h) for h in re.findall(r'height="([\d.]+)"', bars.svg)) == 104


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91234, "0.912"), (12345, "12\u202f345"), (-2.5, "−2.50"), (float("nan"), "–"), (float("-inf"), "−∞"),
        (0, "0"), (-0.0, "0"), (1.0, "1"), (99.96, "100.0"), (0.00012345, "0.00012"), (123.456, "123"), (1e-9, "1e−09"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_readers(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("key", "name", "unit"),
    [
        ("error_um", "error", "µm"), ("overlap (%)", "overlap", "%"), ("median volume, µm³", "median volume", "µm³"),
        ("NGF, after", "NGF, after", ""), ("edge_f1", "edge f1", ""), ("_um", " um", ""), ("shift [mm]", "shift", "mm"),
    ],
)  # fmt: skip
def test_a_unit_is_found_at_the_end_of_a_name(key, name, unit):
    assert name_and_unit(key) == (name, unit)


def test_rows_keep_their_order_and_text():
    rows = rows_of({"b_um": 2.0, "a": "as it is"})
    assert [(row.name, row.value, row.unit) for row in rows] == [("b", "2", "µm"), ("a", "as it is", "")]


@given(st.floats(1e-3, 1e6))
def test_a_nice_length_is_1_2_or_5_and_not_too_short(about):
    length = nice_length(about)
    assert about / 2.5 * (1 - 1e-9) <= length <= about * (1 + 1e-6)
    assert f"{length:.0e}"[0] in "125"


@pytest.mark.parametrize(("um", "text"), [(0, "0 µm"), (0.5, "500 nm"), (20, "20 µm"), (2000, "2 mm")])
def test_lengths_carry_a_fitting_unit(um, text):
    assert length_text(um) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (2.25, "2.2 s"),
        (60, "60 s"),
        (600, "10 min"),
        (601, "10 min 1 s"),
        (7260, "2 h 1 min"),
        (25200, "7 h"),
    ],
)
def test_durations_carry_a_fitting_unit(seconds, text):
    assert seconds_text(seconds) == text
