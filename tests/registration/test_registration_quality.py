"""What makes a result good, doubtful or failed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from registration.quality import Bounds, Quality, Status, judge

GOOD = Quality(
    similarity_before=1.05,
    similarity_after=1.2,
    similarity_chance=1.01,
    overlap=0.9,
    rotation_deg=10.0,
    shift_um=5.0,
    jacobian_min=1.0,
    jacobian_max=1.0,
    spread_um=0.5,
    evaluations=100,
)
BOUNDS = Bounds(least_overlap=0.25, doubtful_spread_um=4.0)


def test_a_good_result_has_no_reasons():
    assert judge(GOOD, BOUNDS) == (Status.GOOD, ())


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"overlap": 0.2}, Status.FAILED, "overlaps"),
        ({"overlap": float("nan")}, Status.FAILED, "not finite"),
        ({"similarity_after": 1.04}, Status.FAILED, "fell"),
        ({"similarity_after": float("nan")}, Status.FAILED, "not finite"),
        ({"similarity_chance": 1.15}, Status.FAILED, "chance"),
        ({"similarity_chance": 1.05}, Status.DOUBTFUL, "times that of chance"),
        ({"halves_um": 4.5}, Status.DOUBTFUL, "half of the specimen"),
        ({"jacobian_min": -1.0, "jacobian_max": -1.0}, Status.FAILED, "mirrors"),
        ({"jacobian_min": 0.0, "jacobian_max": 0.0}, Status.FAILED, "mirrors"),
        ({"overlap": 0.4}, Status.DOUBTFUL, "look"),
        ({"spread_um": 5.0}, Status.DOUBTFUL, "nearly as good"),
        ({"folded_fraction": 0.02}, Status.FAILED, "folded"),
        ({"folded_fraction": 0.002}, Status.DOUBTFUL, "folded"),
        ({"dispute_um": 3.0}, Status.DOUBTFUL, "without the mask"),
    ],
)
def test_each_fault_is_told_with_what_to_try(fault, status, said):
    found, reasons = judge(replace(GOOD, **fault), BOUNDS)
    assert found is status
    assert any(said in reason and ":" in reason for reason in reasons)


def test_a_result_that_its_bound_stopped_is_doubtful():
    status, reasons = judge(GOOD, replace(BOUNDS, at_most_stretch=True))
    assert status is Status.DOUBTFUL
    assert any("most_stretch" in reason for reason in reasons)


def test_a_start_at_the_optimum_is_not_a_failure():
    same = replace(GOOD, similarity_before=GOOD.similarity_after)
    assert judge(same, BOUNDS)[0] is Status.GOOD


def test_quality_goes_into_json_and_back():
    assert Quality(**json.loads(json.dumps(GOOD.as_dict()))) == GOOD
    assert np.isfinite(list(GOOD.as_dict().values())).all()
