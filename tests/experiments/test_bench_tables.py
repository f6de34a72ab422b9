"""The benchmarks' own arithmetic and tables, on inputs so small that the answer is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import volumes
from experiments.bench import phantom as bench_phantom
from experiments.bench import realism as bench_realism
from experiments.bench import realism_picture
from experiments.bench.phantom import Scored, counterparts, table
from experiments.bench.realism_picture import Tile, coloured, drawn_picture
from experiments.scoring.table import Figure
from volumes.errors import ContentError

ROWS = (
    Figure("registration", "a → b", "error, mean", 6.0, "µm"),
    Figure("linking", "b", "edge F1", 0.98765, ""),
    Figure("fusion", "b", "correlation", 0.5, ""),
)


def test_each_figure_of_the_phantom_stands_beside_the_same_real_one() -> None:
    real = [
        Scored("T1", (Figure("registration", "x", "error, mean", 2000.0, "µm"),), 1000.0),
        Scored("Pm03", (Figure("linking", "y", "edge F1", 0.5, ""), Figure("fusion", "y", "edge F1", 0.1, "")), None),
        Scored("Pm05", (Figure("linking", "y", "edge F1", 0.25, ""),), None),
    ]
    head, rule, *lines = table(Scored("phantom", ROWS, 2.0), real).splitlines()
    assert head == "| stage | of | figure | phantom | real data |"
    assert rule == "|---|---|---|---|---|"
    assert lines == [
        "| registration | a → b | error, mean | 6 µm (3 voxels) | T1 2e+03 µm (2 voxels) |",
        "| linking | b | edge F1 | 0.9877 | Pm03 0.5 · Pm05 0.25 |",
        "| fusion | b | correlation | 0.5 | – |",
    ]


def test_real_counterparts_are_those_whose_files_are_there(tmp_path: Path) -> None:
    assert [*counterparts(tmp_path, tmp_path / "c")] == []
    folder = tmp_path / "registration"
    (tmp_path / "tracking" / "lineages").mkdir(parents=True)
    (tmp_path / "tracking" / "lineages" / "phallusia_Pm03.csv.gz").touch()
    folder.mkdir()
    (folder / "spm_T1.nii.gz").touch()
    assert [name for name, _ in counterparts(tmp_path, tmp_path / "c")] == ["Pm03, drop-outs"]
    (folder / "spm_T2.nii.gz").touch()
    found = dict(counterparts(tmp_path, tmp_path / "c"))
    assert [*found] == ["T1–T2", "Pm03, drop-outs"]
    pair = found["T1–T2"]
    assert (pair.fixed, pair.moving, pair.allow_failed) == ("still", ("moved",), True)
    assert pair.sources["moved"].displaced.shift_um == (-9000.0, 12000.0, 7000.0)
    assert pair.sources["moved"].file == folder / "spm_T2.nii.gz"


def test_a_run_is_scored_with_its_voxel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes.write(volumes.from_array(np.ones((2, 3, 4)), (8, 1, 1), modality="CT"), tmp_path / "a.nrrd")
    values = {"name": "x", "sources": {"a": {"file": tmp_path / "a.nrrd", "modality": "CT"}}}
    monkeypatch.setattr(bench_phantom, "run", lambda *_: None)
    found = bench_phantom.scored(bench_phantom._experiment(values), tmp_path / "out", "mine")
    assert (found.name, found.rows, found.voxel_um) == ("mine", (), 2.0)


def test_above_otsu_is_the_brighter_part() -> None:
    voxels = np.zeros((4, 8, 8), np.float32)
    voxels[1:3, 2:6, 2:6] = 50
    stack = bench_realism._above_otsu("x", volumes.from_array(voxels, (3, 2, 1), modality="CT"))
    np.testing.assert_array_equal(stack.labels, voxels > 0)
    assert stack.spacing_um == (3, 2, 1)
    assert np.isnan(bench_realism._watershed(stack))


def test_a_tile_says_how_large_a_piece_it_shows() -> None:
    assert Tile("x", np.zeros((10, 40)), (2.0, 0.5)).field == "20 × 20 µm"
    assert Tile("x", np.zeros((100, 200, 3)), (100.0, 50.0)).field == "10 × 10 mm"


def test_a_square_is_the_middle_and_a_plane_has_y_upwards() -> None:
    plane = np.arange(200 * 150).reshape(200, 150)
    tile = realism_picture._square("x", plane, (1, 1))
    np.testing.assert_array_equal(tile.plane, plane[36:164, 11:139])
    assert realism_picture._square("x", plane[:20, :30], (1, 1)).plane.shape == (20, 30)
    voxels = np.arange(4 * 3 * 2).reshape(4, 3, 2).astype(np.float32)
    middle = realism_picture._middle("x", volumes.from_array(voxels, (4, 3, 2), modality="CT"), 0.5)
    np.testing.assert_array_equal(middle.plane, voxels[2, ::-1])
    assert middle.pixel_um == (3, 2)


def test_labels_are_coloured_apart_on_black_and_rows_must_be_of_one_length(tmp_path: Path) -> None:
    colours = coloured(np.array([[0, 1, 2], [1, 0, 2]]))
    assert not colours[0, 0].any()
    np.testing.assert_array_equal(colours[0, 1], colours[1, 0])
    assert np.abs(colours[0, 1] - colours[0, 2]).max() > 0.2
    tile = Tile("x", np.arange(16.0).reshape(4, 4), (1, 1))
    with pytest.raises(ContentError, match="different lengths"):
        drawn_picture([[tile, tile], [tile]], tmp_path / "a.png")
    drawn_picture([[tile], [tile]], tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
