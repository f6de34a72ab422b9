"""The table of detections: what it refuses, and that rows and columns stay together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking3d.detections import Detections
from volumes.errors import TableError

PLACE = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]


def table(**changes) -> Detections:
    given = {"t": [2, 0, 2], "zyx_um": PLACE, "volume_um3": [1.0, np.nan, 3.0], "features": {"dim": [7, 8, 9]}}
    return Detections.of(**{**given, **changes})


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("zyx_um", {"zyx_um": [[0, 0, np.nan], *PLACE[1:]]}),
        ("zyx_um", {"zyx_um": [[0, 0, -np.inf], *PLACE[1:]]}),
        ("zyx_um", {"zyx_um": [PLACE[0], PLACE[1], PLACE[0]]}),
        ("zyx_um", {"zyx_um": [[1.0, 2.0]] * 3}),
        ("zyx_um", {"zyx_um": [["1", "2", "3"], ["4", "5", "6"], ["7", "8", "9"]]}),
        ("t", {"t": [0, 0.5, 1]}),
        ("t", {"t": [0, -1, 1]}),
        ("t", {"t": ["0", "1", "2"]}),
        ("t", {"t": [0, np.nan, 1]}),
        ("t", {"t": [0, 1]}),
        ("t", {"t": [0, 1, 2.0**60]}),
        ("id", {"id": [4, 4, 5]}),
        ("id", {"id": [1, 2]}),
        ("volume_um3", {"volume_um3": [1, -1, 1]}),
        ("volume_um3", {"volume_um3": [1, np.inf, 1]}),
        ("volume_um3", {"volume_um3": [1, 2]}),
        ("dim", {"features": {"dim": [1, 2]}}),
        ("dim", {"features": {"dim": [[1, 2], [3, 4], [5, 6]]}}),
        ("volume", {"features": {"volume": [1, 2, 3]}}),
        ("dt_s", {"dt_s": 0.0}),
        ("dt_s", {"dt_s": float("nan")}),
    ],
)
def test_a_broken_column_is_refused_by_its_name(column, changes):
    with pytest.raises(TableError) as caught:
        table(**changes)
    assert caught.value.field == column


def test_the_error_names_the_row():
    with pytest.raises(TableError, match=r"row 1 is not a whole number.*0\.5"):
        table(t=[0, 0.5, 1])


def test_one_place_in_two_frames_is_no_duplicate():
    assert len(table(zyx_um=[PLACE[0], PLACE[0], PLACE[1]])) == 3


def test_minus_zero_is_the_same_place_as_zero():
    with pytest.raises(TableError, match="share one frame"):
        Detections.of([0, 0], [[0.0, 0.0, 0.0], [0.0, -0.0, 0.0]])


@given(places=arrays(np.int8, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(-1, 1)))
def test_duplicates_are_found_exactly_where_rows_repeat(places):
    t, zyx = np.abs(places[:, 0]), places[:, 1:].astype(float)
    repeats = len(np.unique(np.column_stack([t, zyx]), axis=0)) < len(t)
    if repeats:
        with pytest.raises(TableError, match="share one frame"):
            Detections.of(t, zyx)
    else:
        assert len(Detections.of(t, zyx)) == len(t)


def test_an_empty_table_is_legal_and_keeps_its_columns():
    empty = Detections.of([], [], [], {"dim": np.zeros(0, int)})
    assert len(empty) == 0
    assert empty.zyx_um.shape == (0, 3)
    assert len(empty.frames) == len(empty.rows_at(0)) == 0
    assert list(empty.as_frame().columns) == ["id", "t", "z", "y", "x", "volume", "dim"]


def test_rows_at_finds_the_rows_of_a_frame_in_order():
    cells = table()
    assert cells.rows_at(2).tolist() == [0, 2]
    assert cells.rows_at(0).tolist() == [1]
    assert cells.rows_at(1).tolist() == []
    assert cells.frames.tolist() == [0, 2]


@pytest.mark.parametrize("rows", [[2, 0], np.array([True, False, True]), [], slice(None, 0)])
def test_take_keeps_rows_together(rows):
    rows = np.arange(3)[rows] if isinstance(rows, slice) else np.asarray(rows, None if len(rows) else int)
    cells = table(dt_s=5.0)
    taken = cells.take(rows)
    pd.testing.assert_frame_equal(taken.as_frame(), cells.as_frame().iloc[np.arange(3)[rows]].reset_index(drop=True))
    assert taken.dt_s == 5.0


def test_columns_are_private_copies_that_nobody_can_change():
    t = np.array([0, 1, 2])
    cells = table(t=t)
    t[0] = 9
    assert cells.t[0] == 0
    for column in (cells.id, cells.t, cells.zyx_um, cells.volume_um3, cells.features["dim"]):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        cells.t = t


def test_what_is_left_out_is_unknown():
    cells = Detections.of([0, 1], PLACE[:2])
    assert cells.id.tolist() == [0, 1]
    assert np.isnan(cells.volume_um3).all()
    assert cells.dt_s is None
    assert dict(cells.features) == {}


def test_the_frame_speaks_of_positions_by_axis():
    frame = table().as_frame()
    np.testing.assert_array_equal(frame[["z", "y", "x"]], PLACE)
    assert frame["dim"].tolist() == [7, 8, 9]
    assert frame["t"].dtype == np.int64
