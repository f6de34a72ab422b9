"""CSV tables: what is kept, what is converted, and what is refused with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import tracking3d
from tracking3d.detections import Detections
from tracking3d.formats.rows import read_rows
from tracking3d.formats.table import (
    read_detections,
    read_parents,
    read_tracks,
    write_detections,
    write_linked_rows,
    write_tracks_csv,
)
from tracking3d.tracks import Tracks
from volumes.errors import OutputError, TableError, UnitError


def _file(folder: Path, text: str, name: str = "cells.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_feature_of_true_and_false_comes_back_as_it_was(tmp_path: Path):
    border = np.array([True, False, False])
    write_detections(Detections.of([0, 0, 1], np.eye(3), features={"touches_border": border}), tmp_path / "cells.csv")
    read = read_detections(tmp_path / "cells.csv").features["touches_border"]
    assert read.dtype == bool
    assert read.tolist() == border.tolist()
    partly = _file(tmp_path, "t,z,y,x,border\n0,1,2,3,True\n0,4,5,6,no\n", "partly.csv")
    assert read_detections(partly).features["border"].tolist() == ["True", "no"]


def test_columns_are_found_by_name_and_the_rest_is_kept(tmp_path: Path):
    path = _file(tmp_path, "x,name,t,y,z,id,n,mass\n3,a,1,2,1,7,4,0.5\n6,b,0,5,4,9,5,\n")
    cells = read_detections(path, dt_s=30.0)
    assert cells.zyx_um.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cells.t.tolist() == [1, 0]
    assert cells.id.tolist() == [7, 9]
    assert cells.dt_s == 30.0
    assert np.isnan(cells.volume_um3).all()
    assert cells.features["name"].tolist() == ["a", "b"]
    assert cells.features["n"].dtype == np.int64
    assert np.array_equal(cells.features["mass"], [0.5, np.nan], equal_nan=True)


@pytest.mark.parametrize(("unit", "um"), [("um", 1.0), ("nm", 1e-3), ("mm", 1e3), ("m", 1e6)])
def test_lengths_and_volumes_are_converted(tmp_path: Path, unit: str, um: float):
    path = _file(tmp_path, "t,z,y,x,volume\n0,1,2,3,5\n1,1,2,3,nan\n")
    cells = read_detections(path, unit=unit)
    assert cells.zyx_um[0] == pytest.approx(np.array([1, 2, 3]) * um)
    assert cells.volume_um3[0] == pytest.approx(5 * um**3)
    assert np.isnan(cells.volume_um3[1])


def test_a_radius_gives_the_volume_of_its_ball(tmp_path: Path):
    cells = read_detections(_file(tmp_path, "t,z,y,x,radius\n0,0,0,0,0.002\n"), unit="mm")
    assert cells.volume_um3[0] == pytest.approx(4 / 3 * np.pi * 2.0**3)
    assert cells.features["radius"][0] == 0.002


def test_gzip_is_known_by_its_bytes_not_its_name(tmp_path: Path):
    path = tmp_path / "cells.txt"
    path.write_bytes(gzip.compress(b"t,z,y,x\n0,1,2,3\n"))
    assert read_detections(path).zyx_um.tolist() == [[1, 2, 3]]


def test_a_byte_order_mark_spaces_and_whole_floats_do_no_harm(tmp_path: Path):
    path = _file(tmp_path, "\ufefft, z, y, x\n1.0, 1, 2, 3e1\n")
    cells = read_detections(path)
    assert cells.t.tolist() == [1]
    assert cells.zyx_um.tolist() == [[1, 2, 30]]


def test_an_empty_table_with_a_header_is_empty(tmp_path: Path):
    assert len(read_detections(_file(tmp_path, "t,z,y,x\n"))) == 0


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("t,z,y\n0,0,0\n", "x", "is missing"),
        ("a,b\n0,0\n", "t, z, y, x", "is missing"),
        ("t,z,y,x\n0,0,0,0\n1.5,0,0,0\n", "t", "row 1 is not a whole number"),
        ("t,z,y,x\n0,0,0,0\nfirst,0,0,0\n", "t", "row 1 is no finite number"),
        ("t,z,y,x\n-1,0,0,0\n", "t", "is negative"),
        ("t,z,y,x\n0,0,0,0\n0,1,nan,0\n", "y", "row 1 is no finite number"),
        ("t,z,y,x\n0,0,0,inf\n", "x", "row 0 is no finite number"),
        ("t,z,y,x\n0,0,0,\n", "x", "row 0 is no finite number"),
        ("t,z,y,x\n0,0,0,1_0\n", "x", "row 0 is no finite number"),
        ("t,z,y,x\n0,1,2,3\n1,1,2,3\n0,1,2,3.0\n", "t, z, y, x", "row 2 repeats"),
        ("id,t,z,y,x\na1,0,0,0,0\n", "id", "row 0 is no finite number"),
        ("id,t,z,y,x\n4,0,0,0,0\n4,1,0,0,0\n", "id", "more than once"),
        ("t,z,y,x,volume\n0,0,0,0,big\n", "volume", "row 0 is no finite number"),
        ("t,z,y,x,volume\n0,0,0,0,-3\n", "volume_um3", "is negative"),
        ("t,z,y,x,x\n0,0,0,0,1\n", "x", "more than once"),
        ("t,z,y,x\n0,0,0,0\n0,1,2,3,4\n", None, "no CSV table"),
        ("t,z,y,x\n0,0,0\n", "x", "row 0"),
        ("", None, "is empty"),
    ],
)
def test_a_table_that_breaks_the_rules_is_refused_with_its_place(tmp_path: Path, text, field, says):
    path = _file(tmp_path, text)
    with pytest.raises(TableError, match=says) as error:
        read_detections(path)
    assert error.value.file == str(path)
    assert error.value.field == field
    assert error.value.remedy


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b[:-4] + bytes(4), lambda b: b[:-8] + bytes(4) + b[-4:]],
    ids=["truncated", "wrong length", "wrong checksum"],
)
def test_a_damaged_gzip_is_refused(tmp_path: Path, damage):
    path = tmp_path / "cells.csv.gz"
    rows = "".join(f"{i},{i},{i},{i}\n" for i in range(2000))
    path.write_bytes(damage(gzip.compress(f"t,z,y,x\n{rows}".encode())))
    with pytest.raises(TableError, match=r"cells\.csv\.gz"):
        read_detections(path)


def test_a_missing_file_and_an_unknown_unit_are_refused(tmp_path: Path):
    with pytest.raises(TableError, match="is missing"):
        read_detections(tmp_path / "none.csv")
    with pytest.raises(UnitError, match="parsec"):
        read_detections(_file(tmp_path, "t,z,y,x\n0,0,0,0\n"), unit="parsec")


def test_linking_a_file_keeps_every_row_and_column_as_written(tmp_path: Path):
    source = _file(tmp_path, 't,z,note,y,x,id\n1,0.50,"a, b",0,1e0,7\n0,0.5,,0,1.00,9\n1,9,ü,9,9,8\n')
    tracks = tracking3d.link(read_detections(source))
    write_linked_rows(tracks, source, tmp_path / "tracks.csv")
    assert (tmp_path / "tracks.csv").read_text(encoding="utf-8").splitlines() == [
        "t,z,note,y,x,id,track_id,parent",
        '1,0.50,"a, b",0,1e0,7,1,1',
        "0,0.5,,0,1.00,9,1,-1",
        "1,9,ü,9,9,8,2,-1",
    ]


def test_a_column_of_an_added_name_is_kept_under_another(tmp_path: Path, caplog):
    source = _file(tmp_path, "t,z,y,x,parent\n0,0,0,0,-1\n1,0,0,0,5\n")
    tracks = tracking3d.link(read_detections(source))
    write_linked_rows(tracks, source, tmp_path / "tracks.csv")
    rows = read_rows(tmp_path / "tracks.csv")
    assert rows["source_parent"].tolist() == ["-1", "5"]
    assert rows["parent"].tolist() == ["-1", "0"]
    assert "source_parent" in caplog.text


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_tracks_come_back_bit_for_bit(embryo: Tracks, tmp_path: Path, suffix: str):
    path = tmp_path / f"tracks{suffix}"
    embryo.write(path)
    back = read_tracks(path)
    assert np.array_equal(back.parent, embryo.parent)
    assert np.array_equal(back.detections.zyx_um, embryo.detections.zyx_um)
    assert np.array_equal(back.detections.volume_um3, embryo.detections.volume_um3)
    assert np.array_equal(read_rows(path)["track_id"].astype(int), embryo.track_id)
    first = path.read_bytes()
    embryo.write(path)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_detections_and_parents_are_read_apart(toy: Tracks, tmp_path: Path):
    write_detections(toy.detections, tmp_path / "cells.csv")
    write_tracks_csv(toy, tmp_path / "tracks.csv")
    cells = read_detections(tmp_path / "cells.csv")
    assert np.array_equal(cells.zyx_um, toy.detections.zyx_um)
    assert np.array_equal(read_parents(tmp_path / "tracks.csv", cells), toy.parent)
    with pytest.raises(TableError, match="has 16 rows, the detections 3"):
        read_parents(tmp_path / "tracks.csv", cells.take([0, 1, 2]))
    with pytest.raises(TableError, match="parent: is missing"):
        read_tracks(tmp_path / "cells.csv")


@pytest.mark.parametrize(
    ("parents", "says"), [((1, 0), "not later than its parent"), ((-1, 7), "outside the table"), ((-1, 0.5), "whole")]
)
def test_a_file_of_impossible_tracks_is_refused(tmp_path: Path, parents, says: str):
    path = _file(tmp_path, f"t,z,y,x,parent\n0,0,0,0,{parents[0]}\n1,0,0,0,{parents[1]}\n")
    with pytest.raises(TableError, match=says) as error:
        read_tracks(path)
    assert error.value.file == str(path)


def test_rows_of_another_table_are_refused(toy: Tracks, tmp_path: Path):
    rows = read_rows(_file(tmp_path, "t,z,y,x\n0,0,0,0\n"))
    with pytest.raises(TableError, match="has 1 rows, the tracks 16"):
        write_tracks_csv(toy, tmp_path / "tracks.csv", rows)


def test_an_unwritable_place_leaves_what_was(toy: Tracks, tmp_path: Path):
    blocked = _file(tmp_path, "mine", "not_a_folder")
    with pytest.raises(OutputError):
        toy.write(blocked / "tracks.csv")
    assert blocked.read_text() == "mine"


def test_a_lineage_in_the_wild_reads_as_tracks(data: Path):
    truth = read_tracks(data / "tracking" / "lineages" / "phallusia_Pm03.csv.gz")
    assert len(truth) == 13484
    assert len(truth.divisions) == 279
    assert isinstance(truth.detections, Detections)
    assert np.isfinite(truth.detections.volume_um3).all()
