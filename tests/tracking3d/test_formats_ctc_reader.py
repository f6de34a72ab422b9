"""Cell Tracking Challenge folders read back: what was written, a truth's own names, and tables that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import tracking3d
from tracking3d.detect import detect
from tracking3d.formats.ctc import write_ctc
from tracking3d.formats.ctc_reader import open_ctc, read_ctc
from tracking3d.tracks import Tracks
from volumes.errors import TableError
from volumes.timelapse import TimeLapse

SPACING = (2.0, 0.5, 0.25)


@pytest.fixture
def drawn(toy: Tracks, tmp_path: Path) -> tuple[Tracks, Path]:
    """The drawn lineages as labels of 2×2×36 voxels, measured and written."""
    frames = np.zeros((6, 2, 2, 36), np.int32)
    for row, (t, x) in enumerate(zip(toy.detections.t, toy.detections.zyx_um[:, 2], strict=True)):
        frames[t, :, :, int(x)] = row + 11
    labels = TimeLapse.from_array(frames, SPACING, dt_s=60.0, modality="labels")
    cells = detect(labels)
    order = np.asarray(cells.features["label"]) - 11
    parent = np.where(toy.parent[order] >= 0, np.argsort(order)[toy.parent[order]], -1)
    tracks = Tracks(cells, parent)
    write_ctc(tracks, labels, tmp_path / "ctc")
    return tracks, tmp_path / "ctc"


def test_what_was_written_comes_back(drawn) -> None:
    tracks, folder = drawn
    back, labels = read_ctc(folder, SPACING, dt_s=60.0)
    for one, other in ((back.detections.t, tracks.detections.t), (back.detections.dt_s, tracks.detections.dt_s)):
        assert np.array_equal(one, other)
    order, theirs = (np.lexsort((*t.detections.zyx_um.T, t.detections.t)) for t in (tracks, back))
    assert np.array_equal(back.detections.zyx_um[theirs], tracks.detections.zyx_um[order])
    assert np.array_equal(back.detections.volume_um3[theirs], tracks.detections.volume_um3[order])
    mine = np.append(tracks.detections.zyx_um, [[-1, -1, -1]], axis=0)[tracks.parent[order]]
    again = np.append(back.detections.zyx_um, [[-1, -1, -1]], axis=0)[back.parent[theirs]]
    assert np.array_equal(mine, again)
    assert len(labels) == 6
    assert labels.dt_s == 60.0
    assert labels.grid.spacing_um == SPACING


def test_a_truth_is_found_in_its_folder(drawn, tmp_path: Path) -> None:
    _, folder = drawn
    truth = tmp_path / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    for file in folder.glob("mask*.tif"):
        file.rename(truth / file.name.replace("mask", "man_track"))
    (folder / "res_track.txt").rename(truth / "man_track.txt")
    (truth / "notes.tif.txt").write_text("not a mask")
    for path in (truth, truth.parent):
        assert len(tracking3d.read_tracks(path, spacing_um=SPACING)) == 16
    assert open_ctc(truth.parent).path == truth


def test_a_plane_is_a_stack_of_one(tmp_path: Path) -> None:
    for frame in range(2):
        tifffile.imwrite(tmp_path / f"mask{frame:03d}.tif", np.eye(3, dtype=np.uint16))
    (tmp_path / "res_track.txt").write_text("1 0 1 0\n")
    tracks, labels = read_ctc(tmp_path, (1.0, 0.5, 0.5))
    assert labels.grid.shape == (1, 3, 3)
    assert tracks.parent.tolist() == [-1, 0]
    assert tracks.detections.dt_s is None


def test_a_missed_frame_is_linked_over(drawn) -> None:
    _, folder = drawn
    gone = tifffile.imread(folder / "mask003.tif")
    tifffile.imwrite(folder / "mask003.tif", np.where(gone == gone[0, 0, 16], 0, gone))
    tracks, _ = read_ctc(folder, SPACING)
    steps = tracks.detections.t[tracks.edges[:, 1]] - tracks.detections.t[tracks.edges[:, 0]]
    assert sorted(steps.tolist()) == [1] * 10 + [2, 2]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("1 0 1\n", "a line that is no track"),
        ("1 0 1 x\n", "no table of tracks"),
        ("0 0 1 0\n", "a line that is no track"),
        ("1 3 1 0\n", "a line that is no track"),
        ("1 0 1 0\n1 2 3 0\n", "two lines are of one label"),
        ("1 0 1 0\n2 1 3 1\n", "its parent is not there before"),
        ("1 0 1 9\n", "its parent is not there before"),
        ("1 0 9 0\n", "past the 6 masks"),
        ("1 0 1 0\n", "res_track.txt knows no such track"),
        ("", "res_track.txt knows no such track"),
    ],
)
def test_tables_that_lie_are_refused(drawn, table: str, says: str) -> None:
    _, folder = drawn
    (folder / "res_track.txt").write_text(table)
    with pytest.raises(TableError, match=says):
        read_ctc(folder, SPACING)


def test_three_children_and_missing_files_are_told(drawn, tmp_path: Path) -> None:
    _, folder = drawn
    (folder / "mask004.tif").unlink()
    with pytest.raises(TableError, match="frame 4 has no mask"):
        read_ctc(folder, SPACING)
    (folder / "man_track.txt").write_text("")
    with pytest.raises(TableError, match="two tables"):
        open_ctc(folder)
    with pytest.raises(TableError, match="neither res_track"):
        open_ctc(tmp_path)
    with pytest.raises(TableError, match="is no folder"):
        open_ctc(tmp_path / "none")
    for frame in range(2):
        values = np.array([[[1, 0, 0, 0]], [[0, 2, 3, 4]]], np.uint16)[frame]
        tifffile.imwrite(tmp_path / f"mask{frame:03d}.tif", values)
    (tmp_path / "res_track.txt").write_text("1 0 0 0\n2 1 1 1\n3 1 1 1\n4 1 1 1\n")
    with pytest.raises(TableError, match="3 children"):
        read_ctc(tmp_path, SPACING)


def test_a_mask_that_is_no_stack_is_told(drawn) -> None:
    _, folder = drawn
    (folder / "mask000.tif").write_bytes(b"not a tiff")
    with pytest.raises(TableError, match="no TIFF stack"):
        read_ctc(folder, SPACING)
