"""Landmarks from files: what each format says is what comes in, and what it does not say is refused by name."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registration.landmarks.files import Landmarks, paired, read_landmarks, read_pairs, write_landmarks
from registration.landmarks.landmarks import from_landmarks
from volumes.errors import ConfigError, FusetrackError, HeaderError, OutputError, TableError, UnitError, VolumeFileError

FCSV = """# Markups fiducial file version = {version}
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_0,-2.5,8.25,78.5,0,0,0,1,1,1,0,nose,"left, near",vtkMRMLModelNode5
vtkMRMLMarkupsFiducialNode_1,-7.0,13.0,74.0,0,0,0,1,1,1,0,tail,,
"""
NOSE = [78500.0, 8250.0, -2500.0]
"""(z, y, x) in µm, where the file's (x, y, z) are in mm and LPS."""


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def markups(**changes):
    points = [
        {"id": "1", "label": "nose", "position": [-2.5, 8.25, 78.5], "positionStatus": "defined"},
        {"id": "2", "label": "tail", "position": [-7.0, 13.0, 74.0]},
    ]
    one = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return {"markups": [{key: value for key, value in (one | changes).items() if value is not None}]}


@pytest.mark.parametrize(
    ("header", "factor", "unit"),
    [
        ("id,z,y,x", 1.0, None),
        ("id,z,y,x", 1e3, "mm"),
        ("id,z_mm,y_mm,x_mm", 1e3, None),
        ("id, z_um, y_um, x_um", 1.0, "um"),
    ],
)
def test_a_table_is_in_um_unless_it_or_the_caller_says_otherwise(tmp_path, header, factor, unit):
    found = read_landmarks(written(tmp_path, "a.csv", f"{header}\nb,1,2,3.5\na, 4 ,5e1,-6\n"), unit)
    assert found.names == ("b", "a")
    np.testing.assert_array_equal(found.points_um, factor * np.array([[1, 2, 3.5], [4, 50, -6]]))


def test_columns_may_come_in_any_order(tmp_path):
    found = read_landmarks(written(tmp_path, "a.csv", "\ufeffx,id,y,z\n3,a,2,1\n\n"))
    np.testing.assert_array_equal(found.points_um, [[1, 2, 3]])


def test_one_table_of_pairs(tmp_path):
    text = "id,fixed_z,fixed_y,fixed_x,moving_z_mm,moving_y_mm,moving_x_mm\na,1,2,3,4,5,6\nb,0,0,0,1,1,1\n"
    fixed, moving = read_pairs(written(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(fixed.points_um, [[1, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(moving.points_um, [[4000, 5000, 6000], [1000, 1000, 1000]])
    assert fixed.names == moving.names == ("a", "b")


@pytest.mark.parametrize(
    ("system", "version", "signs"),
    [("LPS", "4.13", (1, 1, 1)), ("RAS", "4.11", (1, -1, -1)), ("0", "4.5", (1, -1, -1)), ("1", "4.5", (1, 1, 1))],
)
def test_fcsv_in_each_system_of_slicer(tmp_path, system, version, signs):
    found = read_landmarks(written(tmp_path, "a.fcsv", FCSV.format(system=system, version=version)))
    assert found.names == ("nose", "tail")
    np.testing.assert_allclose(found.points_um[0], np.array(signs) * NOSE)
    assert read_landmarks(tmp_path / "a.fcsv", by="id").names[1].endswith("Node_1")


@pytest.mark.parametrize(("system", "signs"), [("LPS", (1, 1, 1)), ("RAS", (1, -1, -1))])
@pytest.mark.parametrize(("unit", "um"), [("mm", 1.0), (["mm", "UCUM", "millimeter"], 1.0), ("um", 1e-3)])
def test_markups_in_each_system_and_unit(tmp_path, system, signs, unit, um):
    text = json.dumps(markups(coordinateSystem=system, coordinateUnits=unit))
    found = read_landmarks(written(tmp_path, "a.mrk.json", text))
    np.testing.assert_allclose(found.points_um[0], np.array(signs) * NOSE * um)
    assert read_landmarks(tmp_path / "a.mrk.json", by="id").names == ("1", "2")


def test_markups_without_a_unit_need_one_stated(tmp_path):
    path = written(tmp_path, "a.mrk.json", json.dumps(markups(coordinateUnits=None)))
    with pytest.raises(UnitError, match="no unit") as caught:
        read_landmarks(path)
    assert caught.value.field == "coordinateUnits"
    np.testing.assert_allclose(read_landmarks(path, unit="mm").points_um[0], NOSE)


NAMES = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1),
                 min_size=1, max_size=5, unique=True)  # fmt: skip


@given(NAMES, st.integers(0, 2**31), st.sampled_from([".csv", ".mrk.json"]))
@settings(max_examples=25, deadline=None)
def test_what_is_written_reads_back(tmp_path_factory, names, seed, suffix):
    path = tmp_path_factory.mktemp("written") / f"a{suffix}"
    points = np.random.default_rng(seed).normal(scale=1e4, size=(len(names), 3))
    write_landmarks(Landmarks(tuple(names), points), path)
    found = read_landmarks(path)
    assert found.names == tuple(names)
    np.testing.assert_allclose(found.points_um, points, rtol=0 if suffix == ".csv" else 1e-15)


def test_pairs_are_matched_by_name(rng):
    fixed = Landmarks(("a", "b", "c", "d"), rng.normal(size=(4, 3)))
    order = [2, 0, 3, 1]
    moving = Landmarks(tuple(fixed.names[i] for i in order), fixed.points_um[order] + 5.0)
    first, second = paired(fixed, moving)
    assert first.names == second.names == fixed.names
    fit = from_landmarks(first.points_um, second.points_um, names=first.names)
    np.testing.assert_allclose(fit.transform.matrix[:3, 3], 5, atol=1e-9)
    for few, missing in ((Landmarks(("a", "b"), fixed.points_um[:2]), "moving"), (fixed, "fixed")):
        other = fixed if missing == "moving" else Landmarks((*fixed.names, "e"), rng.normal(size=(5, 3)))
        with pytest.raises(TableError, match=f"missing among the {missing}") as caught:
            paired(*((other, few) if missing == "moving" else (few, other)))
        assert caught.value.value == (["c", "d"] if missing == "moving" else ["e"])


TABLES = {
    "empty": ("", TableError, "empty"),
    "header alone": ("id,z,y,x\n", TableError, "one point"),
    "no id": ("z,y,x\n1,2,3\n", TableError, "is missing"),
    "no z": ("id,y,x\na,2,3\n", TableError, "is missing"),
    "z twice": ("id,z,z,y,x\na,1,1,2,3\n", TableError, "more than once"),
    "z in two units": ("id,z,z_mm,y,x\na,1,1,2,3\n", TableError, "stated twice"),
    "unknown column": ("id,z,y,x,note\na,1,2,3,4\n", TableError, "not a known column"),
    "pairs as one": ("id,fixed_z,fixed_y,fixed_x\na,1,2,3\n", TableError, "is missing"),
    "short row": ("id,z,y,x\na,1,2\n", TableError, "row 0 has 3 values"),
    "text": ("id,z,y,x\na,1,2,3\nb,1,two,3\n", TableError, "row 1"),
    "digit groups": ("id,z,y,x\na,1_0,2,3\n", TableError, "row 0"),
    "nan": ("id,z,y,x\na,1,2,nan\n", TableError, "row 0"),
    "no number": ("id,z,y,x\na,,2,3\n", TableError, "row 0"),
    "no name": ("id,z,y,x\n ,1,2,3\n", TableError, "no name"),
    "one name twice": ("id,z,y,x\na,1,2,3\na,4,5,6\n", TableError, "more than once"),
    "unknown unit": ("id,z_foot,y_foot,x_foot\na,1,2,3\n", UnitError, "known unit"),
    "broken": ('id,z,y,x\na,1,2,"3\x00\n' + "9" * 200_000, TableError, "CSV|number|values"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_are_refused(tmp_path, case):
    text, kind, words = TABLES[case]
    path = written(tmp_path, "a.csv", text)
    with pytest.raises(kind, match=words) as caught:
        read_landmarks(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy or caught.value.value is not None


def test_a_unit_that_is_unknown_or_contradicts_the_file(tmp_path):
    table = written(tmp_path, "a.csv", "id,z_mm,y_mm,x_mm\na,1,2,3\n")
    listed = written(tmp_path, "a.mrk.json", json.dumps(markups()))
    old = written(tmp_path, "a.fcsv", FCSV.format(system="LPS", version="4.13"))
    for path in (table, listed, old):
        assert read_landmarks(path, unit="mm").names
        for unit in ("um", "parsec"):
            with pytest.raises(UnitError) as caught:
                read_landmarks(path, unit=unit)
            assert caught.value.file == str(path)


def with_point(**changes):
    whole = markups()
    whole["markups"][0]["controlPoints"][1].update(changes)
    return whole


LISTS = {
    "no json": ("{", VolumeFileError, "no JSON"),
    "a key twice": ('{"markups": [], "markups": []}', VolumeFileError, "twice"),
    "no markups": ({"points": []}, VolumeFileError, "one point list"),
    "a list of numbers": ([1, 2], VolumeFileError, "one point list"),
    "two lists": ({"markups": markups()["markups"] * 2}, VolumeFileError, "one point list"),
    "a curve": (markups(type="Curve"), VolumeFileError, "one point list"),
    "no system": (markups(coordinateSystem=None), HeaderError, "coordinate system"),
    "another system": (markups(coordinateSystem="IJK"), HeaderError, "coordinate system"),
    "no points": (markups(controlPoints=None), TableError, "is missing"),
    "none placed": (markups(controlPoints=[]), TableError, "one point"),
    "not placed": (with_point(positionStatus="undefined"), TableError, "'tail'.* not placed"),
    "no position": (with_point(position=None), TableError, "not placed"),
    "two coordinates": (with_point(position=[1, 2]), TableError, "not placed"),
    "nan": (with_point(position=[1, 2, float("nan")]), TableError, "no finite"),
    "text": (with_point(position=[1, 2, "a"]), TableError, "no finite"),
    "true": (with_point(position=[1, 2, True]), TableError, "no finite"),
    "nothing": (with_point(position=[1, 2, None]), TableError, "no finite"),
    "no label": (with_point(label=""), TableError, "no name"),
    "label twice": (with_point(label="nose"), TableError, "more than once"),
}


@pytest.mark.parametrize("case", LISTS)
def test_markups_that_are_refused(tmp_path, case):
    content, kind, words = LISTS[case]
    path = written(tmp_path, "a.mrk.json", content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(kind, match=words) as caught:
        read_landmarks(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("# Markups", "# Something", VolumeFileError),
        ("# columns", "# rows", VolumeFileError),
        ("CoordinateSystem = LPS", "CoordinateSystem = 2", HeaderError),
        ("# CoordinateSystem = LPS\n", "", HeaderError),
        ("id,x,y,z,", "id,r,a,s,", TableError),
        ("-7.0,", "minus seven,", TableError),
        ("0,tail,,", "0", TableError),
        (",tail,", ",nose,", TableError),
    ],
)
def test_fcsv_that_is_refused(tmp_path, old, new, kind):
    text = FCSV.format(system="LPS", version="4.13")
    assert old in text
    path = written(tmp_path, "a.fcsv", text.replace(old, new))
    with pytest.raises(kind) as caught:
        read_landmarks(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy


def test_files_and_names_that_are_not_known(tmp_path):
    for path in (tmp_path / "none.csv", written(tmp_path, "a.txt", "")):
        with pytest.raises(VolumeFileError):
            read_landmarks(path)
    (tmp_path / "b.csv").write_bytes(b"id,z,y,x\n\xff,1,2,3\n")
    with pytest.raises(VolumeFileError, match="as text"):
        read_landmarks(tmp_path / "b.csv")
    with pytest.raises(ConfigError, match="by"):
        read_landmarks(written(tmp_path, "a.fcsv", FCSV.format(system="LPS", version="4.13")), by="desc")
    with pytest.raises(OutputError, match="written as"):
        write_landmarks(Landmarks(("a",), np.zeros((1, 3))), tmp_path / "a.fcsv")
    with pytest.raises(FusetrackError, match="one point a name"):
        Landmarks(("a",), np.zeros((2, 3)))
    with pytest.raises(TableError, match="not finite"):
        Landmarks(("a",), np.full((1, 3), np.inf))
