"""The table of true cells: shares of balls cut by the field, lines that leave and come back, text that reads back."""

import csv
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from phantom.acquisition import Acquisition
from phantom.anatomy.anatomy import Anatomy
from phantom.cells.cells import Cells
from phantom.cells.history import History
from phantom.cells.shape import BUMPS
from phantom.cells.texture import Look
from phantom.instruments.instrument import InstrumentConfig, Picture
from phantom.pose import posed
from phantom.true_cells import COLUMNS, share_inside, true_cells
from volumes.volume import Channel, from_array

FIELD = {"shape": (20, 24, 26), "spacing_um": (2.0, 1.5, 1.0), "origin_um": (50.0, -20.0, 0.0)}
SIDES = np.array([40.0, 36.0, 26.0])


@dataclass(frozen=True, eq=False)
class Depth:
    """Its clean picture is the number of the plane."""

    projects: bool = False
    halo_um: ClassVar[float] = 0.0
    channel: ClassVar[Channel] = Channel("depth", "fluorescence")
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)

    def take(self, scene, noise):  # noqa: ARG002 - it has none
        planes = scene.first + np.arange(scene.shape[0])[scene.core]
        clean = np.broadcast_to(planes[:, None, None], scene.points_um[scene.core].shape[:3]).astype(np.float32)
        clean = clean.sum(0, keepdims=True) if self.projects else clean
        return Picture(clean.astype(np.uint16), clean)


def balls(centre_um, radius_um, number=None, mother=None) -> Cells:
    centre = np.atleast_2d(np.asarray(centre_um, float))
    n = len(centre)
    return Cells(
        number=np.arange(1, n + 1, dtype=np.int32) if number is None else np.asarray(number, np.int32),
        mother=np.zeros(n, np.int32) if mother is None else np.asarray(mother, np.int32),
        centre_um=centre,
        frame_um=np.eye(3) * np.broadcast_to(radius_um, n)[:, None, None],
        bumps=np.zeros((n, BUMPS)),
        body=np.full(n, 1.5),
        condensed=np.zeros(n),
        brightness=np.ones((n, 3)),
        seed=np.arange(n, dtype=np.int64),
    )


def seen(*moments: Cells, projects: bool = False, **more) -> Acquisition:
    anatomy = Anatomy(from_array(np.zeros((9, 9, 9), np.uint8), (8, 8, 8), modality="labels", origin_um=(-32,) * 3))
    config = InstrumentConfig(**{**FIELD, "frames": len(moments), **more})
    place = posed(config, anatomy.centre_um, anatomy.extent_um, 5, "one")
    times = np.arange(len(moments), dtype=float)
    return Acquisition("one", Depth(projects), place, tuple(times), anatomy, History(times, moments), Look(), 5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("projects", [False, True])
def test_a_ball_cut_by_a_face_of_the_field_has_the_share_of_its_cap(axis, side, projects):
    """``V(h) = π h² (3 r − h) / 3``; the field ends half a voxel outside of the outermost centres."""
    heights, radius = np.array([-1.0, 0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 10.0, 11.0]), 5.0
    centre = np.zeros((len(heights), 3))
    centre[:, axis] = side * (SIDES[axis] / 2 + radius - heights)
    cells = balls(centre, radius)
    h = np.clip(heights, 0, 2 * radius)
    cap = h**2 * (3 * radius - h) / (4 * radius**3)
    found = share_inside(seen(cells, projects=projects), 0, cells)
    np.testing.assert_allclose(found, cap, atol=0.01)
    assert (found[[0, -1]] == (0, 1)).all()


def test_a_ball_at_an_edge_and_at_a_corner_has_a_quarter_and_an_eighth():
    half = SIDES / 2
    cells = balls([(half[0], half[1], 0), (-half[0], 0, half[2]), half, -half], 6.0)
    np.testing.assert_allclose(share_inside(seen(cells), 0, cells), [0.25, 0.25, 0.125, 0.125], atol=0.02)


def test_the_share_follows_scale_and_drift():
    cells = balls([(0.0, 0.0, 12.0)], 5.0)
    plain = share_inside(seen(cells), 0, cells)[0]
    swollen = share_inside(seen(cells, scale=(1.0, 1.0, 1.5)), 0, cells)[0]
    assert plain == pytest.approx(6.0**2 * 9.0 / 500, abs=0.01)
    assert swollen == pytest.approx((5 / 3) ** 2 * (15 - 5 / 3) / 500, abs=0.01)
    drifting = seen(cells, cells, drift_um=2.0)
    height = 6.0 - drifting.pose.drift_um[1, 2]
    assert share_inside(drifting, 1, cells)[0] == pytest.approx(height**2 * (15 - height) / 500, abs=0.01)


def test_a_cell_that_leaves_and_comes_back_keeps_its_line_and_a_stranger_has_no_row():
    inside, outside, far = (0.0, 0.0, 0.0), (0.0, 0.0, 40.0), (90.0, 0.0, 0.0)
    moments = [balls([place, far, (0.0, 9.0, -3.0)], 4.0) for place in (inside, outside, inside)]
    table = true_cells(seen(*moments))
    assert table.t.tolist() == [0, 0, 1, 2, 2]
    assert table.number.tolist() == [1, 3, 3, 1, 3]
    assert table.parent.tolist() == [-1, -1, 1, 0, 2]


def test_daughters_hang_on_the_last_row_of_their_mother_even_one_that_she_left_in():
    before = balls([(0, 0, 0), (0, 12, 0)], 4.0)
    away = balls([(0, 0, 60), (0, 12, 0)], 4.0)
    after = balls([(0, 12, 0), (0, -5, 0), (0, -14, 0)], 4.0, number=(2, 3, 4), mother=(0, 1, 1))
    table = true_cells(seen(before, away, after))
    rows = {(t, n): (row, up) for row, (t, n, up) in enumerate(zip(table.t, table.number, table.parent, strict=True))}
    assert (1, 1) not in rows
    assert rows[2, 3][1] == rows[2, 4][1] == rows[0, 1][0]
    assert rows[2, 2][1] == rows[1, 2][0]


def test_places_are_world_places_at_that_frame_and_sizes_are_the_specimens():
    cells = balls([(3.0, -4.0, 5.0), (-9.0, 2.0, 0.0)], (4.0, 3.0))
    drifting = seen(cells, cells, drift_um=1.0, scale=(0.9, 0.9, 0.9), rotation_deg=(0.0, 40.0, 0.0))
    table = true_cells(drifting)
    for frame in (0, 1):
        rows = table.t == frame
        expected = drifting.pose.to_world(cells.centre_um) + drifting.pose.drift_um[frame]
        np.testing.assert_allclose(table.zyx_um[rows], expected, atol=1e-9)
    np.testing.assert_allclose(table.radius_um, [4, 3, 4, 3])
    np.testing.assert_allclose(table.volume_um3, 4 / 3 * np.pi * table.radius_um**3)
    np.testing.assert_allclose(table.voxels * drifting.grid.voxel_um3 / 0.9**3, table.volume_um3, rtol=0.08)


def test_a_signal_is_the_mean_over_a_cells_own_voxels():
    """The clean picture counts planes, so that a cell's signal is the index of its centre."""
    cells = balls([(0.0, -9.0, 0.0), (8.0, 5.0, 2.0)], 4.0)
    for projects in (False, True):
        one = seen(cells, projects=projects)
        index = one.pose.grid.to_index(one.pose.world(cells.centre_um, 0))
        expected = np.full(2, 190.0) if projects else index[:, 0]
        np.testing.assert_allclose(true_cells(one).signal, expected, atol=0.1)


def test_the_text_holds_every_number_to_the_last_bit():
    edge = balls([(0.0, 0.0, 0.0), (0.0, 0.0, SIDES[2] / 2 + 3.9), (1 / 3, 9.0, -1e-9)], (4.0, 4.0, np.pi))
    table = true_cells(seen(edge, edge))
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["id"]) for row in rows] == list(range(len(table)))
    columns = {"t": table.t, "radius": table.radius_um, "parent": table.parent, "number": table.number}
    columns |= {"volume_um3": table.volume_um3, "inside": table.inside, "voxels": table.voxels}
    for name, values in (columns | dict(zip("zyx", table.zyx_um.T, strict=True))).items():
        np.testing.assert_array_equal([float(row[name]) for row in rows], values, err_msg=name)
    unseen = table.voxels == 0
    assert unseen.any()
    assert [row["signal"] == "" for row in rows] == unseen.tolist()
    np.testing.assert_array_equal([float(r["signal"]) for r in rows if r["signal"]], table.signal[~unseen])
