"""What each section of a report shows: its numbers, captions and pictures, from small inputs that are known."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from experiments.report import (
    EvaluationSection,
    FusionSection,
    RegistrationSection,
    Report,
    RunFacts,
    SegmentationSection,
    StageTiming,
    TrackingSection,
    TruthError,
)
from experiments.report.detail import detail_of
from experiments.report.drawing import TIME_STOPS, time_colour
from experiments.report.evaluation_view import evaluation_view
from experiments.report.fusion_view import fusion_view
from experiments.report.lineage import branches_of
from experiments.report.overlay import label_rgb
from experiments.report.overview import _panels, draw_overview
from experiments.report.page import page, timings_of
from experiments.report.planes import layout_of
from experiments.report.plate import Plate, plane_names
from experiments.report.quantities import Row
from experiments.report.registration_view import registration_view
from experiments.report.segmentation_view import segmentation_view
from experiments.report.tracking_view import tracking_view
from experiments.report.tracks_plot import projections
from experiments.report.tree_plot import curve, histogram, lineage_tree
from experiments.report.views import first_known
from experiments.report.window import GAMMA, window_of
from volumes.grid import Grid
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume, from_array

EVIL = "</title><script>alert(1)</script><b title='\"&'>"
FACTS = RunFacts("toy", "", {}, (), (), "today")


def pixels(plate: Plate) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(plate.uri.split(",")[1]))).convert("RGB")).astype(int)


def block(left: int, right: int, modality: str = "CT", value: float = 100.0) -> Volume:
    """A bright block over columns left … right of 8 × 20 × 40 voxels."""
    data = np.zeros((8, 20, 40), np.float32)
    data[2:6, 5:15, left:right] = value
    return from_array(data, (2, 1, 1), modality=modality)


FIXED, MOVED = block(4, 14), block(26, 36)
ERROR = TruthError(6.44, 0.913, 0.8, 2.1, 1500, "a known turn")
PAIR = RegistrationSection("a → b", FIXED, MOVED, FIXED, "good", (), {}, ERROR, "mixed", "half drawn")


def test_before_stands_before_and_fixed_is_orange() -> None:
    for _, before, after in registration_view(PAIR, "s1").figures[0].modes:
        shown = pixels(before)
        scale = shown.shape[1] / (40 + 2 * 8)
        assert "before" in before.alt
        assert "after" in after.alt
        assert pixels(after)[int(10 * scale), int(31 * scale)].sum() < 60
    _, before, after = registration_view(PAIR, "s1").figures[0].modes[0]
    shown = pixels(before)
    assert shown[int(10 * scale), int(9 * scale)].tolist() == pytest.approx([255, 143, 20], abs=3)
    assert shown[int(10 * scale), int(31 * scale)].tolist() == pytest.approx([0, 112, 235], abs=3)
    assert pixels(after)[int(10 * scale), int(9 * scale)].min() > 250


def test_the_error_against_the_truth_is_shown_in_its_order() -> None:
    view = registration_view(replace(PAIR, quality={"overlap": 0.5}), "s7")
    assert [table.heading for table in view.tables] == ["Error against the truth", "Quality"]
    assert [(row.name, row.value, row.unit) for row in view.tables[0].rows] == [
        ("mean, before", "6.44", "µm"),
        ("mean, after", "0.913", "µm"),
        ("median, after", "0.800", "µm"),
        ("largest, after", "2.10", "µm"),
        ("points compared", "1\u202f500", ""),
    ]
    assert view.tables[0].note == "a known turn"
    (key,) = view.key_figures
    assert (key.value, key.unit, key.anchor) == ("0.91", "µm", "s7")
    assert key.label == "mean registration error, from 6.4\u202fµm before"


@pytest.mark.parametrize(
    ("status", "lead", "heading"),
    [
        ("doubtful", "may be wrong", "What to try"),
        ("failed", "must not be used", "Why, and what to try"),
        ("good", "passed", "Why, and what to try"),
    ],
)
def test_a_status_is_told_in_the_lead_and_beside_the_figure(status, lead: str, heading: str) -> None:
    view = registration_view(replace(PAIR, status=status, truth_error_um=None), "s1")
    assert lead in view.lead
    assert view.advice_heading == heading
    (key,) = view.key_figures
    assert (key.value, key.label) == (status, "registration: a → b")


FUSED = FusionSection(
    "a + b",
    (FIXED, MOVED),
    ("a", "b"),
    block(4, 36),
    {"lpf": (0.9, 0.7), "mean": (0.5, 0.3), "max": (0.25, 1.5)},
    ("fused = 2 × a +1",),
    "real",
    "",
)


def test_what_a_fusion_keeps_is_grouped_by_source_and_its_key_figure_is_the_mean() -> None:
    view = fusion_view(FUSED, "s2")
    comparison, scales = view.tables
    found = [(name, [(s.name, s.text, s.share, s.ours) for s in shares]) for name, shares in comparison.groups]
    assert found == [
        ("a", [("lpf", "0.900", 0.9, True), ("mean", "0.500", 0.5, False), ("max", "0.250", 0.25, False)]),
        ("b", [("lpf", "0.700", 0.7, True), ("mean", "0.300", 0.3, False), ("max", "1.50", 1.0, False)]),
    ]
    assert scales.rows == (Row("fused = 2 × a +1", ""),)
    (key,) = view.key_figures
    assert (key.value, key.label) == ("0.800", "of the sources’ edges kept by lpf, 0.400 by the plain mean")
    assert view.lead.startswith("2 sources")


@pytest.mark.parametrize("kept", [{}, {"mean": (0.5, 0.5)}, {"lpf": ()}])
def test_a_fusion_without_a_figure_of_its_own_claims_none(kept) -> None:
    assert fusion_view(replace(FUSED, edges_kept=kept), "s2").key_figures == ()


def test_the_pictures_of_a_fusion_are_its_own_volumes_in_order() -> None:
    planes = fusion_view(FUSED, "s2").wide[0]
    assert [picture.name for picture in planes.pictures] == ["a", "b", "Fused"]
    assert [picture.detail for picture in planes.pictures] == ["CT · shown 0 to 100"] * 3
    lit = []
    for picture in planes.pictures:
        shown = pixels(picture.picture)
        scale = shown.shape[1] / (40 + 2 * 8)
        lit.append([bool(shown[int(10 * scale), int(x * scale)].min() > 200) for x in (9, 20, 31)])
    assert lit == [[True, False, False], [False, False, True], [True, True, True]]


def test_channels_are_shown_in_their_own_colours() -> None:
    channels = (Channel("r", "CT", colour="FF0000"), Channel("g", "CT", colour="00FF00"))
    both = Volume(np.concatenate([FIXED.array, MOVED.array]), FIXED.grid, channels)
    shown = pixels(fusion_view(replace(FUSED, fused=both), "s2").wide[0].pictures[2].picture)
    scale = shown.shape[1] / (40 + 2 * 8)
    assert shown[int(10 * scale), int(9 * scale)].tolist() == [255, 0, 0]
    assert shown[int(10 * scale), int(31 * scale)].tolist() == [0, 255, 0]


def test_the_close_look_needs_structure_in_every_volume(rng: np.random.Generator) -> None:
    data = np.zeros((2, 3, 80, 200))
    data[:, :, 20:60, 20:60] = rng.uniform(0, 100, (2, 3, 40, 40))
    data[0, :, 20:60, 130:180] = 300 * rng.uniform(0, 1, (3, 40, 50))
    first, second = (from_array(one, (1, 1, 1), modality="CT") for one in data)
    alone, both = detail_of([first], (1, 0, 0)), detail_of([first, second], (1, 0, 0))
    assert alone is not None
    assert both is not None
    assert alone.column > 100
    assert both.column < 50


def test_each_modality_has_its_own_contrast() -> None:
    for modality in ("CT", "fluorescence", "SWIR"):
        assert window_of(block(4, 30, modality)).gamma == GAMMA.get(modality, 1.0)
    two = Volume(np.concatenate([FIXED.array, 3 * MOVED.array]), FIXED.grid, (Channel("a", "CT"), Channel("b", "SWIR")))
    assert (window_of(two, 0).high, window_of(two, 1).high) == (100, 300)
    assert window_of(two, 1).gamma == GAMMA["SWIR"]


def test_positions_are_written_with_a_fitting_unit() -> None:
    grid = Grid((10, 200, 300), (0.05, 10.0, 1.5))
    layout = layout_of(grid, 800)
    assert plane_names(layout, grid, (2, 150, 100)) == ("xy · z = 100 nm", "xz · y = 1.50 mm", "zy · x = 150 µm")


def movie(frames: int) -> SegmentationSection:
    image = np.stack([np.roll(FIXED.array[0], k, 2) for k in range(frames)])
    labels = TimeLapse.from_array((image > 50).astype(np.uint8) * 7, (2, 1, 1), dt_s=90, modality="labels")
    picture = TimeLapse.from_array(image, (2, 1, 1), dt_s=90, modality="CT")
    return SegmentationSection("blocks", picture, labels, 1234, {}, (), "real", "")


def test_a_segmented_movie_shows_its_frames_with_their_times() -> None:
    view = segmentation_view(movie(20), "s3")
    frames = view.figures[0].frames
    assert [frame.name for frame in frames] == [f"frame {n}" for n in (0, 3, 5, 8, 11, 14, 16, 19)]
    assert [frame.detail for frame in frames][:3] == ["0 s", "4 min 30 s", "7 min 30 s"]
    assert view.lead == "1\u202f234 cells over 20 frames."
    assert (view.key_figures[0].value, view.key_figures[0].label) == ("1\u202f234", "cells found over 20 frames")
    assert view.tables == ()
    assert "all planes and frames" in view.figures[0].caption


def test_outlines_have_their_label_s_colour_and_stand_on_the_label_s_rim() -> None:
    frames = segmentation_view(movie(3), "s3").figures[0].frames
    colour = 255 * label_rgb(np.array([[7]]))[0, 0]
    for step, frame in enumerate(frames):
        shown = pixels(frame.picture)
        scale = shown.shape[1] / (40 + 2 * 8)
        line = np.abs(shown[: int(19 * scale), : int(39 * scale)] - colour).max(-1) < 4
        rows, columns = (np.flatnonzero(line.any(axis)) / scale for axis in (1, 0))
        assert (rows[0], rows[-1]) == pytest.approx((5, 15), abs=0.3)
        assert (columns[0], columns[-1]) == pytest.approx((4 + step, 14 + step), abs=0.3)
        assert not line[int(10 * scale), int((9 + step) * scale)]


def test_a_single_volume_has_no_frame() -> None:
    labels = FIXED.with_data((FIXED.array > 50).astype(np.uint8))
    view = segmentation_view(SegmentationSection("x", FIXED, labels, 1, {"a_um": 2.0}, (), "real", ""), "s3")
    (frame,) = view.figures[0].frames
    assert (frame.name, frame.detail, view.lead) == ("", "", "1 cells.")
    assert view.tables[0].rows == (Row("a", "2", "µm"),)
    flat = from_array(np.eye(20)[None], (1, 1, 1), modality="CT")
    one = SegmentationSection("x", flat, flat.with_data(np.eye(20, dtype=np.uint8)[None]), 1, {}, (), "real", "")
    assert "brightest" not in segmentation_view(one, "s3").figures[0].caption


#  frame 4   5   6   7        row 0 ─ 1 ┬ 2 ─ 4   and 6
#                                       └ 3 ─ 5
T, PARENT = np.array([4, 5, 6, 6, 7, 7, 5]), np.array([-1, 0, 1, 1, 2, 3, -1])
ZYX = np.array([[0, 0, 0], [0, 3, 4], [0, 3, 4], [0, 3, 14], [0, 3, 4], [0, 3, 14], [0, 40, 40]], float)


def tracks(**more) -> TrackingSection:
    base = {"name": "toy", "t": T, "zyx_um": ZYX, "parent": PARENT, "track_id": np.array([1, 1, 2, 3, 2, 3, 4])}
    rest = {"dt_s": 30.0, "table": {}, "advice": (), "origin": "real", "origin_note": ""}
    return TrackingSection(**(base | rest | more))


def test_the_counts_of_tracks_are_those_of_the_table() -> None:
    view = tracking_view(tracks(), "s4")
    (counts,) = view.tables
    assert [(row.name, row.value, row.unit) for row in counts.rows] == [
        ("detections", "7", ""),
        ("frames", "4", ""),
        ("tracks", "4", ""),
        ("lineages", "2", ""),
        ("divisions", "1", ""),
        ("speed, median", "0", "µm/min"),
        ("speed, 95th percentile", "18", "µm/min"),
    ]
    assert view.lead == "7 detections in 2 lineages with 1 divisions."
    assert view.wide[0].frames == ("4", "7")
    assert [(key.value, key.label) for key in view.key_figures] == [("1", "divisions found")]
    assert "left out" not in view.wide[0].caption + view.wide[1].caption


def test_what_the_run_counted_is_not_counted_twice() -> None:
    scored = tracking_view(tracks(table={"Tracks": 4, "division F1": 0.5, "edge F1": 0.75}, dt_s=None), "s4")
    assert [row.name for row in scored.tables[1].rows] == ["detections", "frames", "lineages", "divisions"]
    assert [(key.value, key.label) for key in scored.key_figures] == [("0.750", "edge F1"), ("1", "divisions found")]
    assert [picture.name for picture in scored.wide[2].pictures] == ["Cells a frame"]


def test_the_score_at_the_top_is_the_first_that_is_wanted() -> None:
    rows = [Row("division F1", "1"), Row("TRA", "2"), Row("edge F1", "3")]
    assert first_known(rows, ("edge f1", "tra")) == rows[2]
    assert first_known(rows, ("none", "tra")) == rows[1]
    assert first_known(rows, ("none",)) is None


def test_cells_a_frame_and_their_speeds_are_drawn_to_scale() -> None:
    cells, speeds = (named.picture for named in tracking_view(tracks(), "s4").wide[2].pictures)
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", cells.svg.split('class="line"')[1])]
    assert [116 - h for h in heights] == pytest.approx([104 * n / 2 for n in (1, 2, 2, 2)], abs=0.1)
    assert cells.marks[0].text == "2"
    assert "5 speeds" in speeds.alt


def test_a_histogram_stands_where_its_values_are() -> None:
    drawing = histogram([1.0] * 300 + [9.0] * 100, "x", "µm", bins=9)
    bars = [float(h) for h in re.findall(r'height="([\d.]+)"', drawing.svg)]
    assert [k for k, high in enumerate(bars) if high] == [1, 8]
    assert bars[8] == pytest.approx(bars[1] / 3, abs=0.1)
    assert curve([], "nothing").marks[0].text == "1"


def numbers(path: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?[\d.]+", path)]


def test_the_tree_runs_down_from_the_first_frame_and_forks_at_the_division() -> None:
    drawing, _ = lineage_tree(branches_of(T, PARENT), "s4")
    first, single = re.findall(r'<path d="([^"]*)"><title>', drawing.svg)
    root, *daughters = re.findall(r"M[^M]*", first)
    fork = numbers(re.findall(r'class="forks" d="([^"]*)"', drawing.svg)[0])
    x, top, bottom = numbers(root)
    edges = {frame: 22 + (frame - 4) * (430 - 44) / 3 for frame in range(4, 8)}
    assert (top, bottom) == pytest.approx((edges[4], edges[5]), abs=0.1)
    assert fork[:2] == pytest.approx([x, edges[5]], abs=0.6)
    ends = [numbers(path) for path in daughters]
    for from_x, from_y, _, to_y in ends:
        assert (from_x, from_y, to_y) == pytest.approx((x, edges[5], edges[7]), abs=0.1)
    assert x == pytest.approx(np.mean([end[2] for end in ends]), abs=0.1)
    assert numbers(single)[1] == pytest.approx(edges[5], abs=0.1)
    assert "Lineage 1: 3 branches, 6 detections" in drawing.svg
    assert "Lineage 2: 1 branches, 1 detections" in drawing.svg
    assert [mark.text for mark in drawing.marks] == ["4", "5", "6", "7"]


def test_tracks_are_coloured_from_early_to_late_and_end_in_dots() -> None:
    drawing, _ = projections(tracks(), branches_of(T, PARENT))
    drawn = re.findall(r'<path d="([^"]*)" stroke="([^"]*)"/>', drawing.svg)
    xy = [(path, colour) for path, colour in drawn if "h0" not in path][:3]
    assert [colour for _, colour in xy] == [time_colour(k / 11) for k in (4, 8, 11)]
    ends = [path for path, _ in drawn if "h0" in path]
    assert [path.count("M") for path in ends] == [2] * len(ends)
    assert time_colour(0.2) == TIME_STOPS[1]


EVALUATED = EvaluationSection(
    "all", {"Registration: a": {"error, µm": 0.5, "points": 2000}, "Linking: b": {"edge F1": 1.0}}, "mixed", "half"
)


def test_every_figure_of_an_evaluation_has_its_row() -> None:
    view = evaluation_view(EVALUATED, "s5")
    assert [(table.heading, table.rows) for table in view.tables] == [
        ("Registration: a", (Row("error", "0.500", "µm"), Row("points", "2\u202f000", ""))),
        ("Linking: b", (Row("edge F1", "1", ""),)),
    ]
    assert view.lead == "3 figures against a known truth; the same as evaluation.csv. half"
    assert "exact truth" in evaluation_view(replace(EVALUATED, origin="simulated"), "s5").lead
    assert "a given truth" in evaluation_view(replace(EVALUATED, origin="real"), "s5").lead


class Elements(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - HTMLParser's own
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def told(word: str) -> str:
    """A page with one word wherever a run's own words stand."""
    sections = (
        replace(EVALUATED, name=word, tables={word: {word: word, f"x ({word})": 1.0}}, origin_note=word),
        tracks(table={word: word}, advice=(word,)),
        replace(movie(2), table={word: word}, advice=(word,)),
        replace(PAIR, truth_error_um=replace(ERROR, note=word)),
    )
    facts = replace(FACTS, timings=(StageTiming(word, word, 1.0, False),))
    return page(Report("t", "s", sections, facts, advice=(word,)))


def test_no_word_of_a_table_or_of_an_advice_becomes_markup() -> None:
    found = Elements(told(EVIL))
    assert found.tags == Elements(told("word")).tags
    assert found.text.count(EVIL) >= 12


def test_timings_stand_under_their_part_and_the_longest_fills_the_bar() -> None:
    timings = (
        StageTiming("a", "register", 30.0, False),
        StageTiming("b", "link", 60.0, False),
        StageTiming("a", "fuse", 0.25, False),
    )
    found = timings_of(replace(FACTS, timings=timings))
    assert [(part, [(s.name, s.share, s.text) for s in shares]) for part, shares in found.parts] == [
        ("a", [("register", 0.5, "30 s"), ("fuse", 0.25 / 60, "250 ms")]),
        ("b", [("link", 1.0, "60 s")]),
    ]
    assert found.total == "90.2 s"
    assert timings_of(FACTS).total == "0 s"


def panels(*sections) -> list[tuple[str, str, str]]:
    return [(panel.title, panel.figure, panel.origin) for panel in _panels(Report("t", "s", sections, FACTS))]


def test_the_overview_says_what_was_reached() -> None:
    assert panels(PAIR, FUSED, tracks(), movie(3)) == [
        ("Before alignment", "6.4 µm off", "mixed"),
        ("Aligned", "0.91 µm off", "mixed"),
        ("Fused", "2 sources in one volume", "real"),
        ("Followed", "2 lineages, 1 divisions", "real"),
        ("Cells", "1\u202f234 found", "real"),
    ]
    failed = replace(PAIR, status="failed", truth_error_um=None)
    assert panels(failed) == [("Before alignment", "", "mixed"), ("Alignment failed", "", "mixed")]
    assert panels(EVALUATED) == []


def test_the_overview_takes_the_first_section_of_a_kind() -> None:
    assert panels(movie(3), replace(movie(3), cells=5)) == [("Cells", "1\u202f234 found", "real")]


def test_tracks_of_a_single_frame_and_of_none_are_drawn_in_the_overview() -> None:
    alone = tracks(t=T[:1], zyx_um=ZYX[:1], parent=PARENT[:1], track_id=np.array([1]))
    none = np.zeros(0, np.int64)
    empty = tracks(t=none, zyx_um=np.zeros((0, 3)), parent=none, track_id=none)
    pictures = [np.asarray(draw_overview(Report("t", "s", (one,), FACTS))) for one in (alone, empty, tracks())]
    assert panels(empty) == [("Followed", "0 lineages, 0 divisions", "real")]
    lit = [int((picture[100:350].max(-1) > 90).sum()) for picture in pictures]
    assert lit[1] <= lit[0] < lit[2]
