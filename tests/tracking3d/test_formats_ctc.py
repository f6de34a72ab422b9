"""Cell Tracking Challenge folders: masks and track table say the same as the tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tracking3d.detections import Detections
from tracking3d.formats.ctc import write_ctc
from tracking3d.tracks import Tracks, runs
from volumes.errors import TableError
from volumes.timelapse import TimeLapse


@pytest.fixture
def drawn(toy: Tracks) -> tuple[Tracks, TimeLapse]:
    """The drawn lineages as labels of 2×2×36 voxels of 1 µm; a cell's label is its row + 11."""
    frames = np.zeros((6, 2, 2, 36), np.int32)
    for row, (t, x) in enumerate(zip(toy.detections.t, toy.detections.zyx_um[:, 2], strict=True)):
        frames[t, :, :, int(x)] = row + 11
    return toy, TimeLapse.from_array(frames, (1.0, 1.0, 1.0), dt_s=60.0, modality="fluorescence")


def _table(folder: Path) -> list[tuple[int, ...]]:
    lines = (folder / "res_track.txt").read_text().splitlines()
    return [tuple(int(value) for value in line.split()) for line in lines]


def test_every_cells_voxels_carry_its_run(drawn, tmp_path: Path):
    tracks, labels = drawn
    write_ctc(tracks, labels, tmp_path / "ctc")
    run = runs(tracks)
    for row in range(len(tracks)):
        mask = tifffile.imread(tmp_path / "ctc" / f"mask{tracks.detections.t[row]:03d}.tif")
        assert mask.dtype == np.uint16
        assert mask.shape == (2, 2, 36)
        before = labels[int(tracks.detections.t[row])].channel(0)
        assert np.array_equal(mask == run[row], before == row + 11)


def test_the_table_names_begin_end_and_parent_and_splits_at_a_gap(drawn, tmp_path: Path, name_of):
    tracks, labels = drawn
    write_ctc(tracks, labels, tmp_path / "ctc")
    run = runs(tracks)
    named = {int(k): name_of(np.flatnonzero(run == k)) for k in np.unique(run)}
    table = {named[label]: (begin, end, named.get(parent)) for label, begin, end, parent in _table(tmp_path / "ctc")}
    assert table == {
        "ab": (0, 1, None),
        "cdef": (2, 5, "ab"),
        "g": (2, 2, "ab"),
        "hi": (4, 5, "g"),
        "pqrsuv": (0, 5, None),
        "!": (3, 3, None),
    }


def test_every_label_stands_in_each_frame_from_begin_to_end(drawn, tmp_path: Path):
    tracks, labels = drawn
    write_ctc(tracks, labels, tmp_path / "ctc")
    seen = [set(np.unique(tifffile.imread(p)).tolist()) - {0} for p in sorted((tmp_path / "ctc").glob("mask*.tif"))]
    for label, begin, end, parent in _table(tmp_path / "ctc"):
        assert [label in frame for frame in seen] == [begin <= t <= end for t in range(6)]
        assert parent < label


def test_a_label_feature_says_which_label_a_cell_is(drawn, tmp_path: Path):
    tracks, labels = drawn
    cells = tracks.detections
    # Shifted centres stand on no label or on another's, so only the feature can tell.
    moved = Detections.of(cells.t, cells.zyx_um + 200.0, features={"label": np.arange(len(cells)) + 11})
    write_ctc(Tracks(moved, tracks.parent), labels, tmp_path / "named")
    write_ctc(tracks, labels, tmp_path / "placed")
    for one, other in zip(sorted((tmp_path / "named").iterdir()), sorted((tmp_path / "placed").iterdir()), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_labels_without_a_detection_are_left_out(drawn, tmp_path: Path):
    tracks, labels = drawn
    keep = np.flatnonzero(tracks.track_id != tracks.track_id[0])
    cells = tracks.detections.take(keep)
    write_ctc(Tracks(cells, np.full(len(keep), -1)), labels, tmp_path / "ctc")
    assert not tifffile.imread(tmp_path / "ctc" / "mask000.tif")[..., 3].any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, x: (t, x + np.eye(16)[0] * 25), "row 0 stands on no label"),
        (lambda t, x: (t, x + np.eye(16)[0] * 500), "row 0 stands on no label"),
        (lambda t, x: (np.r_[t[:-1], 7], x), "past the movie's 6 frames"),
    ],
)
def test_detections_of_other_labels_are_refused(drawn, tmp_path: Path, change, says: str):
    tracks, labels = drawn
    t, x = change(tracks.detections.t, tracks.detections.zyx_um[:, 2])
    cells = Detections.of(t, np.column_stack([0 * x, 0 * x, x]))
    with pytest.raises(TableError, match=says):
        write_ctc(Tracks(cells, np.full(len(t), -1)), labels, tmp_path / "ctc")
    assert list(tmp_path.iterdir()) == []


def test_two_detections_on_one_label_are_refused(drawn, tmp_path: Path):
    _, labels = drawn
    cells = Detections.of([0, 0], [(0.0, 0.0, 3.0), (1.0, 0.0, 3.0)])
    with pytest.raises(TableError, match="two detections share a label of frame 0"):
        write_ctc(Tracks(cells, np.array([-1, -1])), labels, tmp_path / "ctc")


def test_more_tracks_than_sixteen_bits_hold_are_refused(drawn, tmp_path: Path):
    n = 65_536
    cells = Detections.of(np.zeros(n, int), np.arange(3.0 * n).reshape(-1, 3))
    with pytest.raises(TableError, match="16 bits"):
        write_ctc(Tracks(cells, np.full(n, -1)), drawn[1], tmp_path / "ctc")


def test_a_mask_of_every_frame_is_written_in_place_of_an_old_folder(drawn, tmp_path: Path):
    (tmp_path / "ctc").mkdir()
    (tmp_path / "ctc" / "old.txt").write_text("old")
    tracks, labels = drawn
    write_ctc(tracks, labels, tmp_path / "ctc")
    names = sorted(p.name for p in (tmp_path / "ctc").iterdir())
    assert names == [*(f"mask{t:03d}.tif" for t in range(6)), "res_track.txt"]


@pytest.mark.parametrize("planes", [1, 3, 4])
def test_few_planes_are_not_taken_for_colours(toy: Tracks, tmp_path: Path, planes: int):
    labels = TimeLapse.from_array(np.ones((6, planes, 4, 5), np.int32), (1.0, 1.0, 1.0), dt_s=1.0, modality="labels")
    one = Tracks(Detections.of([0], np.ones((1, 3)) * (0, 1, 1)), np.array([-1]))
    write_ctc(one, labels, tmp_path / "ctc")
    with tifffile.TiffFile(tmp_path / "ctc" / "mask000.tif") as tif:
        assert [page.shape for page in tif.pages] == [(4, 5)] * planes
