"""A real lineage lives on in the phantom: the same places, scaled, and the same divisions."""

import numpy as np
import pytest

from phantom.cells.config import CellsConfig
from phantom.cells.lineage_motion import LineageMotionConfig
from phantom.cells.packing import TOLERANCE, largest_overlap
from phantom.cells.simulation import simulated
from phantom.lineage import read_lineage
from volumes.errors import ConfigError, TableError

#  1 ── 2 ── 3 ─┬─ 4 ── 6        frames 0 … 4; 9 is lost for one frame and ends, 12 begins late
#               └─ 5 ── 7
#  8 ── 9 ────── 10              11 stands still
TABLE = """id,t,z,y,x,radius,parent
1,0,0,0,0,10,-1
2,1,0,2,0,10,1
3,2,0,4,0,10,2
4,3,0,4,-8,8,3
5,3,0,4,8,7,3
6,4,0,5,-9,8,4
7,4,0,5,9,7,5
8,0,0,40,0,6,-1
9,1,0,40,4,6,8
10,3,0,40,12,6,9
11,0,40,0,0,6,-1
21,1,40,0,0,6,11
22,2,40,0,0,6,21
23,3,40,0,0,6,22
24,4,40,0,0,6,23
12,3,40,40,40,6,-1
13,4,40,40,42,6,12
"""


class Everywhere:
    centre_um = np.array([100.0, 110.0, 120.0])
    extent_um = np.full(3, 120.0)

    def living(self, points):
        return np.ones(len(points), bool)


class Half(Everywhere):
    def living(self, points):
        return points[:, 2] < 130


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "lineage.csv"
    path.write_text(TABLE)
    return path


def lived(path, frames, tissue=None, radius=None, mitosis=30.0, **motion):
    config = CellsConfig(motion=LineageMotionConfig(file=path, **motion), radius_um=radius, mitosis_s=mitosis)
    times = [60.0 * k for k in range(frames)]
    return simulated(config, tissue or Everywhere(), times, 0.5, np.random.default_rng(3))


def test_places_are_the_tables_scaled_and_centred(table):
    history = lived(table, 5, radius=1.0, scale=2.0)
    lineage = read_lineage(table)
    for k, cells in enumerate(history.moments):
        here = lineage.zyx[lineage.t == k]
        expected = (here - [20, 20, 16.5]) * 2 + Everywhere.centre_um
        for place in expected:
            assert np.linalg.norm(cells.centre_um - place, axis=1).min() < 1e-9
    assert [len(cells) for cells in history.moments] == [3, 3, 3, 5, 4]


def test_a_gap_is_bridged_by_a_straight_line(table):
    cells = lived(table, 5, radius=1.0, scale=1.0).moments
    number = cells[0].number[np.argmax(cells[0].centre_um[:, 1])]
    track = [c.centre_um[c.number == number][0, 2] for c in cells[:4]]
    np.testing.assert_allclose(np.diff(track), 4)
    assert number not in cells[4].number


def test_divisions_are_the_tables_and_keep_the_volume(table):
    cells = lived(table, 5).moments
    mother = cells[3].mother[cells[3].mother > 0]
    assert len(mother) == 2
    assert len(set(mother)) == 1
    hers = cells[2].volume_um3[cells[2].number == mother[0]]
    pair = cells[3].rows(cells[3].mother == mother[0])
    np.testing.assert_allclose(pair.volume_um3.sum(), hers[0], rtol=1e-9)
    assert pair.volume_um3[0] / hers[0] == pytest.approx(8**3 / (8**3 + 7**3), rel=1e-6)
    np.testing.assert_array_equal(cells[4].rows(cells[4].mother == mother[0]).number, pair.number)


def test_the_tables_radii_count_unless_one_is_asked_for(table):
    own = lived(table, 2, scale=1.0).moments[0]
    ratio = own.radius_um.max() / own.radius_um.min()
    assert ratio == pytest.approx(10 / 6, rel=1e-6)
    assert own.radius_um.max() <= 10 / 1.6 + 1e-9
    asked = lived(table, 2, scale=1.0, radius=2.0).moments[0]
    assert np.median(asked.radius_um) == pytest.approx(2.0, rel=0.2)


def test_a_mother_rounds_up_before_and_her_daughters_flatten_after(table):
    cells = lived(table, 5, mitosis=120.0).moments
    number = cells[3].mother.max()
    condensed = [float(c.condensed[c.number == number][0]) for c in cells[:3]]
    assert condensed[0] < condensed[1] < condensed[2]
    assert cells[3].condensed[cells[3].mother == number].min() > cells[4].condensed[cells[4].mother == number].max()


def test_it_fits_the_field_when_left_alone(table):
    history = lived(table, 5, radius=1.0)
    every = np.concatenate([cells.centre_um for cells in history.moments])
    np.testing.assert_allclose(np.ptp(every, axis=0).max(), 120.0)
    np.testing.assert_allclose((every.max(0) + every.min(0)) / 2, Everywhere.centre_um)


def test_cells_beyond_the_tissue_are_left_out(table):
    cells = lived(table, 5, Half(), radius=1.0, scale=1.0).moments
    assert [len(c) for c in cells] == [3, 3, 3, 4, 3]
    assert all(Half().living(c.centre_um).all() for c in cells)


def test_a_later_start(table):
    history = lived(table, 2, radius=1.0, scale=1.0, first_frame=3)
    assert [len(c) for c in history.moments] == [5, 4]
    assert (history.moments[0].mother == 0).all()


@pytest.mark.parametrize(("frames", "first"), [(6, 0), (2, 4), (1, 7)])
def test_more_moments_than_frames_are_refused(table, frames, first):
    with pytest.raises(ConfigError, match="has no frame"):
        lived(table, frames, first_frame=first)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(TableError, match="missing"):
        lived(tmp_path / "none.csv", 1)


def test_a_whole_embryo_lives_without_overlap(data):
    path = data / "tracking" / "lineages" / "phallusia_Pm03.csv.gz"
    history, lineage = lived(path, 20), read_lineage(path)
    used = lineage.t < 20
    scale = 120 / np.ptp(lineage.zyx[used], axis=0).max()
    middle = (lineage.zyx[used].max(0) + lineage.zyx[used].min(0)) / 2
    exact = 0
    for k, cells in enumerate(history.moments):
        assert largest_overlap(cells) <= TOLERANCE
        expected = (lineage.zyx[lineage.t == k] - middle) * scale + Everywhere.centre_um
        assert len(cells) == len(expected)
        away = np.linalg.norm(cells.centre_um[:, None] - expected, axis=2).min(1)
        exact += (away < 1e-6).sum()
        assert away.max() < 1.2 * np.median(cells.radius_um)
    assert exact > 0.5 * used.sum()
    mothers = {int(m) for cells in history.moments for m in cells.mother if m}
    assert len(mothers) == (lineage.t[lineage.dividing] < 19).sum()
