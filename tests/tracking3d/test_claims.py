"""What detections claim, read from tables, and who excludes whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking3d.claims import claimed, confidences, rivals
from tracking3d.detections import Detections
from tracking3d.formats.table import read_detections, write_detections
from volumes.errors import TableError


def _cells(t: list[int], claims: list[object], **features: object) -> Detections:
    zyx = np.arange(3.0 * len(t)).reshape(-1, 3)
    return Detections.of(t, zyx, features={"claims": np.array(claims), **features})


def test_rows_of_a_frame_that_share_a_claim_are_rivals():
    cells = _cells([0, 0, 0, 1, 0, 0], ["1 2", "1", "2", "2", "", "7"])
    assert rivals(cells).tolist() == [[0, 1], [0, 2]]
    assert rivals(Detections.of([0, 0], np.eye(3)[:2])).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 1), st.sets(st.integers(0, 4), max_size=3)), max_size=12))
def test_rivals_are_all_pairs_with_a_claim_in_common(rows: list[tuple[int, set[int]]]):
    cells = _cells([t for t, _ in rows], [" ".join(map(str, own)) for _, own in rows])
    expected = [
        [i, j]
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if rows[i][0] == rows[j][0] and rows[i][1] & rows[j][1]
    ]
    assert rivals(cells).tolist() == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [(["1 2", "", "2", "3"], [0, 0, 2, 3]), (["4", "5", "4", "4"], [0, 1, 2, 3]), (["4", "", "4", ""], [0, 2])],
    ids=["text", "whole numbers", "numbers and nothing"],
)
def test_claims_come_back_from_a_file_whatever_its_column_reads_as(tmp_path: Path, column, expected):
    write_detections(_cells([0] * 4, column), tmp_path / "cells.csv")
    cells = read_detections(tmp_path / "cells.csv")
    assert claimed(cells).row.tolist() == expected
    assert [0, 2] in rivals(cells).tolist()


@pytest.mark.parametrize("wrong", ["a", "1,2", "1.5", "1_0", "9" * 30])
def test_a_claim_that_is_no_whole_number_is_refused_with_its_row(wrong: str):
    with pytest.raises(TableError, match="row 1 claims") as error:
        rivals(_cells([0, 0], ["1", wrong]))
    assert error.value.field == "claims"
    with pytest.raises(TableError, match="row 0 claims"):
        rivals(_cells([0, 0], [1.5, np.nan]))


def test_confidences_are_probabilities_and_never_certain():
    cells = _cells([0] * 4, [1, 1, 1, 1], confidence=np.array([0.0, 0.3, np.nan, 1.0]))
    assert confidences(cells).tolist() == pytest.approx([0.01, 0.3, 0.5, 0.99])
    assert confidences(_cells([0], [1])).tolist() == [0.5]


@pytest.mark.parametrize("wrong", [np.array([0.1, 1.5]), np.array([0.1, -1.0]), np.array(["high", "low"])])
def test_a_confidence_that_is_no_probability_is_refused(wrong):
    with pytest.raises(TableError, match=r"row [01] is not from 0 to 1"):
        confidences(_cells([0, 0], [1, 1], confidence=wrong))
