"""A lineage table is read whole, or refused with the row that is wrong."""

import gzip

import numpy as np
import pytest

from phantom.lineage import Lineage, read_lineage
from volumes.errors import TableError

#  7 ── 8 ─┬─ 9        frames 0, 1, 2; ids in no order
#          └─ 3
TABLE = """id,t,z,y,x,radius,parent,track
7,0,1.0,2.0,3.0,5.0,-1,0
9,2,1.5,2.0,2.0,4.0,8,1
8,1,1.2,2.0,3.0,5.0,7,0
3,2,1.5,2.0,4.0,4.0,8,2
"""


@pytest.fixture
def write(tmp_path):
    def writing(text, name="lineage.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        return path

    return writing


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_ids_become_rows_and_the_order_stays(write, name):
    lineage = read_lineage(write(TABLE, name))
    np.testing.assert_array_equal(lineage.t, [0, 2, 1, 2])
    np.testing.assert_array_equal(lineage.parent, [-1, 2, 0, 2])
    np.testing.assert_array_equal(lineage.zyx[3], [1.5, 2, 4])
    np.testing.assert_array_equal(lineage.radius, [5, 4, 5, 4])
    np.testing.assert_array_equal(lineage.dividing, [2])


@pytest.mark.parametrize("text", [TABLE.replace("5.0,", ",").replace("4.0,8", ",8"), TABLE.replace("radius", "size")])
def test_a_table_without_radii_has_none(write, text):
    assert read_lineage(write(text)).radius is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("parent", "mother", "lacks columns"),
        ("8,1,", "8,1.5,", "whole number"),
        ("8,1,", "8,,", "whole number"),
        ("8,1,", "8,one,", "no number"),
        ("7,0,1.0", "7,0,nan", "not finite"),
        ("7,0,1.0", "7,0,inf", "not finite"),
        ("9,2,", "8,2,", "two equal ids"),
        ("5.0,7,0", "5.0,77,0", "no id"),
        ("5.0,7,0", "5.0,-2,0", "no id"),
        ("5.0,-1,0", "5.0,3,0", "not later"),
        ("5.0,-1,0", "5.0,7,0", "not later"),
        ("3,2,1.5,2.0,4.0,4.0,8,2", "3,2,1,2,4,4,8,2\n4,2,1,2,5,4,8,3", "more than two"),
        ("5.0,7,0", "0.0,7,0", "above zero"),
        ("5.0,7,0", ",7,0", "above zero"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(write, old, new, why):
    path = write(TABLE.replace(old, new))
    assert old in TABLE
    with pytest.raises(TableError, match=why) as caught:
        read_lineage(path)
    assert caught.value.file == str(path)
    assert caught.value.field


@pytest.mark.parametrize(("content", "name"), [("", "a.csv"), (TABLE, "b.csv.gz")])
def test_a_file_that_is_no_table_is_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TableError, match="no readable CSV"):
        read_lineage(path)
    with pytest.raises(TableError, match="missing"):
        read_lineage(tmp_path / "nowhere.csv")


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(TableError, match="length"):
        Lineage(np.zeros(2, int), np.zeros((3, 3)), np.full(2, -1))
    with pytest.raises(TableError, match="length"):
        Lineage(np.zeros(2, int), np.zeros((2, 3)), np.full(2, -1), np.ones(3))


def test_rows_without_a_place_can_be_left_out_and_bridged(write):
    #  0 ── 1 (lost) ── 2 (lost) ── 3      4 (lost) ── 5
    rows = ["0,0,1,1,1,5,-1", "1,1,0,0,0,0,0", "2,2,0,0,0,0,1", "3,3,2,2,2,5,2", "4,0,0,0,0,0,-1", "5,1,3,3,3,5,4"]
    path = write("id,t,z,y,x,radius,parent\n" + "\n".join(rows) + "\n")
    with pytest.raises(TableError, match="3 rows"):
        read_lineage(path)
    lineage = read_lineage(path, leave_out_unplaced=True)
    np.testing.assert_array_equal(lineage.t, [0, 3, 1])
    np.testing.assert_array_equal(lineage.parent, [-1, 0, -1])
    np.testing.assert_array_equal(lineage.zyx[:, 0], [1, 2, 3])


@pytest.mark.parametrize(
    ("name", "rows", "divisions"),
    [("phallusia_Pm03", 13484, 279), ("phallusia_Pm05", 13677, 276), ("immune_TCellsRaw", 5157, 0)],
)
def test_real_tables_are_read_whole(data, name, rows, divisions):
    lineage = read_lineage(data / "tracking" / "lineages" / f"{name}.csv.gz")
    assert (len(lineage), len(lineage.dividing)) == (rows, divisions)
    assert (lineage.radius is None) == name.startswith("immune")


def test_a_real_table_with_lost_places_is_refused_or_mended(data):
    path = data / "tracking" / "lineages" / "phallusia_Pm04.csv.gz"
    with pytest.raises(TableError, match="2 rows"):
        read_lineage(path)
    lineage = read_lineage(path, leave_out_unplaced=True)
    assert lineage.radius.min() > 0
    longest = (lineage.t - lineage.t[lineage.parent])[lineage.parent >= 0].max()
    assert longest == 3
