"""The scores themselves, against closed forms and other implementations."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

import volumes
from experiments.aligned import nearest_frame, time_apart_s
from experiments.scoring.fusion import correlation
from experiments.scoring.intensity import means_inside
from experiments.scoring.linking import figures_of
from experiments.scoring.registration import best_rigid, errors_um, within
from experiments.scoring.table import Figure, as_csv, as_text, figures
from tracking3d import Detections, Tracks
from tracking3d.metrics import LinkTruth, score_links
from volumes.grid import Grid

NUMBERS = st.floats(-100, 100)


@settings(max_examples=50, deadline=None)
@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS), st.integers(0, 1000))
def test_the_best_rigid_transform_is_found_where_there_is_one(turn, shift, seed: int) -> None:
    truth = volumes.Affine.rigid(np.radians(turn).tolist(), shift)
    points = np.random.default_rng(seed).uniform(-50, 50, (12, 3))
    np.testing.assert_allclose(best_rigid(points, truth(points)).matrix, truth.matrix, atol=1e-8)


def test_the_best_rigid_transform_is_scipy_s_of_noisy_places(rng: np.random.Generator) -> None:
    points, places = rng.standard_normal((2, 40, 3))
    turn, _ = Rotation.align_vectors(places - places.mean(0), points - points.mean(0))
    np.testing.assert_allclose(best_rigid(points, places).matrix[:3, :3], turn.as_matrix(), atol=1e-9)


def test_a_shift_is_its_own_error() -> None:
    points = np.random.default_rng(0).uniform(0, 10, (7, 3))
    shifted = volumes.Affine.rigid(translation_um=(3.0, 0.0, 4.0))
    found = errors_um(points, volumes.Affine.identity(), shifted)
    assert found == pytest.approx({"before_mean_um": 5.0, "mean_um": 5.0, "median_um": 5.0, "max_um": 5.0, "points": 7})


def test_the_field_ends_half_a_voxel_past_the_centres() -> None:
    grid = Grid((4, 4, 4), (2.0, 1.0, 1.0))
    points = np.array([[-0.99, 0, 0], [-1.01, 0, 0], [6.99, 3.49, 3.49], [7.0, 3.51, 3.0]])
    assert within(grid, points).tolist() == [True, False, True, False]


def test_means_are_scipy_s_over_the_valid_voxels(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 5, (6, 7, 8)).astype(np.uint16)
    image, valid = rng.random(labels.shape), rng.random(labels.shape) > 0.3
    valid[labels == 4] = False
    volume = volumes.from_array(image, (1, 1, 1), modality="CT", valid=valid)
    found = means_inside(volumes.from_array(labels, (1, 1, 1), modality="labels"), volume)
    wanted = ndimage.mean(image, np.where(valid, labels, 0), [1, 2, 3])
    assert found == pytest.approx({1: wanted[0], 2: wanted[1], 3: wanted[2]})


def test_the_correlation_is_numpy_s_where_both_are_valid(rng: np.random.Generator) -> None:
    a, b = rng.random((2, 5, 6, 7))
    valid = rng.random(a.shape) > 0.4
    one = volumes.from_array(a, (1, 1, 1), modality="CT")
    other = volumes.from_array(b, (1, 1, 1), modality="CT", valid=valid)
    assert correlation(one, other) == pytest.approx(np.corrcoef(a[valid], b[valid])[0, 1])
    assert correlation(one, volumes.from_array(np.ones_like(b), (1, 1, 1), modality="CT")) == 0


def test_the_nearest_frame_is_lent_the_earlier_of_two() -> None:
    assert [nearest_frame((0.0, 100.0), t) for t in (-5, 49, 50, 51, 900)] == [0, 0, 0, 1, 1]
    frames = [volumes.from_array(np.zeros((1, 1, 1)), (1, 1, 1), modality="CT", time_s=t) for t in (0.0, 60.0, 300.0)]
    movie = volumes.TimeLapse.of(frames)
    assert time_apart_s(movie, volumes.TimeLapse.of(frames[:2])) == 240
    assert time_apart_s(movie, volumes.TimeLapse.of(frames[:1])) == 0


def test_the_table_is_a_csv_with_a_row_for_each_figure() -> None:
    errors = {"before_mean_um": 9.0, "mean_um": 1.0, "median_um": 1.0, "max_um": 2.0, "points": 5, "note": "a, b"}
    scores = {
        "registration": {"ct": {**errors, "at_cells": errors, "best_rigid_mean_um": 0.5}},
        "segmentation": {"SEG": "no true cell", "true cells": 0},
        "intensity": {"ct": {"cells": 3}},
    }
    rows = figures(scores, "mri", "mri")
    assert Figure("registration", "ct → mri", "error at true cells, mean", 1.0, "µm") in rows
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["measure"] for row in read] == [row.measure for row in rows]
    assert len(rows) == 2 * 5 + 1 + 1 + 1
    assert len(as_text(rows).splitlines()) == len(rows)


def test_links_where_none_could_be_found_are_no_perfect_score() -> None:
    """Two true cells over two frames; the detector saw neither of the second frame."""
    cells = Detections.of([0, 0, 1, 1], np.arange(12.0).reshape(4, 3))
    truth = LinkTruth(Tracks(cells, np.array([-1, -1, 0, 1])), np.array([0, 1]))
    found = Tracks(Detections.of([0, 0], cells.zyx_um[:2]), np.array([-1, -1]))
    named = figures_of(score_links(found, truth), truth)
    assert named == {"true links": 0, "true divisions": 0, "cells with the right parent, share of all": 0.0}


def test_missed_cells_weigh_on_the_share_of_all_links() -> None:
    cells = Detections.of([0, 0, 1, 1], np.arange(12.0).reshape(4, 3))
    truth = LinkTruth(Tracks(cells, np.array([-1, -1, 0, 1])), np.array([0, 1, 2]))
    found = Tracks(Detections.of([0, 0, 1], cells.zyx_um[:3]), np.array([-1, -1, 0]))
    named = figures_of(score_links(found, truth), truth)
    assert named["edge F1"] == 1.0
    assert named["cells with the right parent, share of all"] == 0.5
    assert "division F1" not in named
