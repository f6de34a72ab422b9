"""The Cell Tracking Challenge's scores: a saved case that py-ctcmetrics and traccuracy both scored, and edge cases."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("ctc_metrics")

from experiments.bench.ctc_golden import painted, read_case, write_side
from tracking3d.ctc_scores import score_ctc, score_labelled
from tracking3d.detect import detect
from tracking3d.formats.ctc import write_ctc
from tracking3d.formats.ctc_reader import read_ctc
from tracking3d.tracks import Tracks
from volumes.errors import ConfigError, GridError, TableError
from volumes.timelapse import TimeLapse

GOLDEN = Path(__file__).parent / "golden"
SPACING = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def said() -> dict:
    return json.loads((GOLDEN / "scores.json").read_text())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved case as a challenge's folders."""
    folder = tmp_path_factory.mktemp("case")
    truth, found = read_case(GOLDEN / "case.csv.gz")
    write_side(truth, folder / "01_GT" / "TRA", "man_track")
    write_side(truth, folder / "01_GT" / "SEG", "man_seg")
    write_side(found, folder / "01_RES", "mask")
    return folder


def test_both_tools_agree_on_the_saved_case(said: dict) -> None:
    ctc, other = (said[tool]["scores"] for tool in ("py-ctcmetrics", "traccuracy"))
    assert {name: ctc[name] for name in ("TRA", "DET", "LNK", "AOGM")} == {
        name: other[name] for name in ("TRA", "DET", "LNK", "AOGM")
    }
    assert [ctc[f"AOGM_{name}"] for name in ("FP", "FN", "ED", "EA", "EC")] == [
        other[name] for name in ("fp_nodes", "fn_nodes", "fp_edges", "fn_edges", "ws_edges")
    ]
    strict = said["traccuracy"]["divisions"]["Frame Buffer 0"]
    assert ctc["BC(0)"] == pytest.approx(strict["Division F1"], abs=1e-15)
    assert ctc["tp_div(0)"] == strict["True Positive Divisions"]
    assert ctc["tp_div(0)"] + ctc["fp_div(0)"] == strict["Total Predicted Divisions"]
    assert ctc["tp_div(0)"] + ctc["fn_div(0)"] == strict["Total GT Divisions"]
    assert 0 < ctc["tp_div(0)"] < ctc["gt_divisions"]
    assert min(ctc[f"AOGM_{name}"] for name in ("FP", "FN", "ED", "EA", "EC")) > 0


def test_a_folder_scores_what_both_tools_said(folders: Path, said: dict) -> None:
    scores = score_ctc(folders / "01_RES", folders / "01_GT")
    assert scores.seg_from == "SEG"
    theirs = {name: value for name, value in said["py-ctcmetrics"]["scores"].items() if value is not None}
    del theirs["Valid"]
    mine = {name: value for name, value in scores.values.items() if value is not None}
    # Ours has OP_CLB(i) left out where theirs is asked for it by name.
    shared = theirs.keys() & mine.keys()
    assert theirs.keys() - shared <= {f"OP_CLB({i})" for i in range(4)}
    assert len(shared) > 50
    assert {name: mine[name] for name in shared} == pytest.approx({name: theirs[name] for name in shared}, abs=1e-12)
    for name, value in ((n, said["traccuracy"]["scores"][n]) for n in ("TRA", "DET", "LNK", "AOGM")):
        assert mine[name] == pytest.approx(value, abs=1e-12)
    assert mine["BC(0)"] == pytest.approx(said["traccuracy"]["divisions"]["Frame Buffer 0"]["Division F1"], abs=1e-12)


def test_tracks_with_labels_score_as_their_folders(folders: Path) -> None:
    found, truth = (read_ctc(folders / name, SPACING, dt_s=1.0) for name in ("01_RES", "01_GT"))
    mine, theirs = score_labelled(*found, *truth), score_ctc(folders / "01_RES", folders / "01_GT")
    assert mine.values.keys() == theirs.values.keys()
    assert {k: v for k, v in mine.values.items() if v is not None} == pytest.approx(
        {k: v for k, v in theirs.values.items() if v is not None}, abs=1e-12
    )


def test_our_matching_is_theirs(tmp_path: Path, rng: np.random.Generator) -> None:
    from ctc_metrics.utils.representations import match

    from tracking3d.ctc_scores import _matched

    for trial in range(20):
        truth, found = rng.integers(0, 4, (2, 3, 4, 5)).astype(np.uint16)
        found = np.where(rng.random(found.shape) < 0.7, truth, found)
        for name, voxels in (("truth", truth), ("found", found)):
            tifffile.imwrite(tmp_path / f"{name}{trial}.tif", voxels, photometric="minisblack")
        theirs = match(str(tmp_path / f"truth{trial}.tif"), str(tmp_path / f"found{trial}.tif"))
        mine = _matched([(truth, found)])
        assert (mine.labels_true[0], mine.labels_found[0]) == (theirs[0], theirs[1])
        pairs = sorted(zip(mine.pair_true[0], mine.pair_found[0], mine.ious[0], strict=True))
        assert np.array(pairs) == pytest.approx(np.array(sorted(zip(*theirs[2:], strict=True))), abs=1e-15)


@pytest.fixture
def drawn(toy: Tracks, tmp_path: Path) -> tuple[Tracks, TimeLapse]:
    frames = np.zeros((6, 3, 2, 36), np.int32)
    for row, (t, x) in enumerate(zip(toy.detections.t, toy.detections.zyx_um[:, 2], strict=True)):
        frames[t, :, :, int(x)] = row + 11
    labels = TimeLapse.from_array(frames, SPACING, dt_s=60.0, modality="labels")
    cells = detect(labels)
    order = np.asarray(cells.features["label"]) - 11
    tracks = Tracks(cells, np.where(toy.parent[order] >= 0, np.argsort(order)[toy.parent[order]], -1))
    write_ctc(tracks, labels, tmp_path / "ctc")
    return tracks, labels


def test_the_truth_scores_one_and_nothing_scores_zero(drawn, tmp_path: Path) -> None:
    tracks, labels = drawn
    whole = score_ctc(tmp_path / "ctc", tmp_path / "ctc")
    assert whole.seg_from == "TRA"
    assert all(whole.values[name] == 1.0 for name in ("DET", "SEG", "TRA", "LNK", "CT", "TF", "BC(0)", "HOTA", "IDF1"))
    assert whole.values["AOGM"] == 0.0
    nothing = Tracks(tracks.detections.take([]), np.zeros(0, int))
    assert set(score_labelled(nothing, labels, tracks, labels).values.values()) == {0.0}


def test_without_a_link_in_the_truth_there_is_no_lnk(drawn) -> None:
    tracks, labels = drawn
    alone = Tracks(tracks.detections, np.full(len(tracks), -1))
    scores = score_labelled(tracks, labels, alone, labels).values
    assert "LNK" not in scores
    assert scores["AOGM_ED"] == len(tracks.edges) == 13
    assert scores["DET"] == 1.0
    assert scores["BC(0)"] is None


def test_planes_that_were_segmented_are_held_against_their_plane(folders: Path, tmp_path: Path) -> None:
    truth, found = read_case(GOLDEN / "case.csv.gz")
    write_side(truth, tmp_path / "01_GT" / "TRA", "man_track")
    (tmp_path / "01_GT" / "SEG").mkdir()
    plane = painted(truth, 4)[7]
    tifffile.imwrite(tmp_path / "01_GT" / "SEG" / "man_seg_004_007.tif", plane)
    seg = score_ctc(folders / "01_RES", tmp_path / "01_GT").values["SEG"]
    other = painted(found, 4)[7]
    jaccards = []
    for label in np.unique(plane[plane > 0]):
        inside = plane == label
        rivals, counts = np.unique(other[inside], return_counts=True)
        best = rivals[np.argmax(counts)]
        covered = best > 0 and 2 * counts.max() > inside.sum()
        jaccards.append((inside & (other == best)).sum() / (inside | (other == best)).sum() if covered else 0.0)
    assert seg == pytest.approx(np.mean(jaccards))
    tifffile.imwrite(tmp_path / "01_GT" / "SEG" / "man_seg_004_012.tif", plane)
    with pytest.raises(TableError, match="of a plane that the result does not have"):
        score_ctc(folders / "01_RES", tmp_path / "01_GT")


def test_folders_that_do_not_fit_are_refused(drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks, labels = drawn
    short = TimeLapse.of([labels[i] for i in range(4)])
    keep = np.flatnonzero(tracks.detections.t < 4)
    row = np.append(np.searchsorted(keep, np.arange(len(tracks))), -1)
    cut = Tracks(tracks.detections.take(keep), row[np.where(tracks.parent[keep] >= 0, tracks.parent[keep], -1)])
    write_ctc(cut, short, tmp_path / "short")
    with pytest.raises(TableError, match="has 4 frames, the truth 6"):
        score_ctc(tmp_path / "short", tmp_path / "ctc")
    with pytest.raises(TableError, match="4 frames, the truth 6"):
        score_labelled(cut, short, tracks, labels)
    one = TimeLapse.of([labels[0]])
    first = Tracks(tracks.detections.take(tracks.detections.t == 0), np.full(2, -1))
    with pytest.raises(TableError, match="two frames or more"):
        score_labelled(first, one, first, one)
    wide = TimeLapse.from_array(np.zeros((6, 3, 2, 37), np.uint16), SPACING, dt_s=60.0, modality="labels")
    nothing = Tracks(tracks.detections.take([]), np.zeros(0, int))
    with pytest.raises(GridError, match="frame 0"):
        score_labelled(nothing, wide, tracks, labels)
    with pytest.raises(TableError, match="no cell"):
        score_labelled(tracks, labels, nothing, labels)
    monkeypatch.setitem(sys.modules, "ctc_metrics.scripts.evaluate", None)
    with pytest.raises(ConfigError, match=r"fusetrack\[metrics\]"):
        score_ctc(tmp_path / "ctc", tmp_path / "ctc")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("1 0 5 0\n", "knows no such track"),
        ("1 0 1 0\n2 0 5 0\n3 2 5 1\n4 2 2 1\n5 3 3 0\n6 4 5 4\n9 0 5 0\n", "lacks it"),
    ],
)
def test_a_table_that_its_masks_contradict_is_refused(drawn, tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "ctc" / "res_track.txt").write_text(table)
    with pytest.raises(TableError, match=says):
        score_ctc(tmp_path / "ctc", tmp_path / "ctc")
