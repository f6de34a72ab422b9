"""Nuclei are packed side by side: none overlaps, many touch, all lie in living tissue, and too many are refused."""

import numpy as np
import pytest
from scipy import optimize

from phantom.cells.cells import Cells
from phantom.cells.lives import Looks, newborn, put
from phantom.cells.packing import TOLERANCE, gaps, largest_overlap, placed, pushed, relaxed
from phantom.cells.room import room, sampled
from volumes.errors import ConfigError


class Ellipsoid:
    """Living tissue inside an ellipsoid."""

    centre_um = np.array([50.0, 60.0, 70.0])
    extent_um = np.array([80.0, 100.0, 140.0])

    def living(self, points):
        return (((points - self.centre_um) / (self.extent_um / 2)) ** 2).sum(1) < 1


class Everywhere(Ellipsoid):
    """Living tissue without end."""

    def living(self, points):
        return np.ones(len(points), bool)


def nuclei(n, rng, radius=4.0, **looks):
    kinds = {"size_spread": 0.1, "aspect": 0.15, "bumps": 0.025, "brightness_spread": 0.3, "body": 1.6} | looks
    return newborn(n, 1, Looks(radius, **kinds), rng).seen(0.0, 600.0)


def moved(cells, centre):
    return Cells(**{name: getattr(cells, name) for name in cells.__dataclass_fields__} | {"centre_um": centre})


def box(density, n, radius=4.0, tissue=None):
    side = (n * 4 / 3 * np.pi * radius**3 * 1.05 / density) ** (1 / 3)
    tissue = tissue or Everywhere()
    return room(tissue, tissue.centre_um, np.full(3, side), radius / 2, True)


def apart_by_planes(cells, i, j):
    """The widest gap between two ellipsoids over all directions, found by a search: they meet where it is below 0."""

    def gap(way):
        u = way / np.linalg.norm(way)
        reach = np.linalg.norm(cells.frame_um[i].T @ u) + np.linalg.norm(cells.frame_um[j].T @ u)
        return reach - (cells.centre_um[j] - cells.centre_um[i]) @ u

    return -optimize.minimize(gap, cells.centre_um[j] - cells.centre_um[i], method="BFGS", tol=1e-9).fun


@pytest.mark.parametrize(("density", "touching"), [(0.25, 0.6), (0.5, 0.95)])
def test_none_overlaps_and_many_touch(rng, density, touching):
    where = box(density, 250)
    cells = nuclei(250, rng)
    cells = moved(cells, placed(cells, where, rng))
    assert largest_overlap(cells) <= TOLERANCE
    assert (gaps(cells) < 0.1).mean() > touching
    assert where.holds(cells.centre_um).all()
    assert cells.volume_um3.sum() / where.volume_um3 == pytest.approx(density, rel=0.1)


def test_no_two_ellipsoids_meet_in_truth(rng):
    cells = nuclei(60, rng, bumps=0.0, aspect=0.3)
    cells = moved(cells, placed(cells, box(0.3, 60), rng))
    for i in range(60):
        for j in range(i):
            if np.linalg.norm(cells.centre_um[i] - cells.centre_um[j]) < 20:
                assert apart_by_planes(cells, i, j) >= -TOLERANCE * cells.radius_um[[i, j]].min()


def test_spheres_are_apart_by_the_sum_of_their_radii(rng):
    cells = nuclei(2, rng, bumps=0.0, aspect=0.0)
    cells = moved(cells, np.array([[50.0, 60, 70], [53.0, 64, 70]]))
    overlap = cells.radius_um.sum() - 5.0
    assert largest_overlap(cells) == pytest.approx(overlap / cells.radius_um.min())
    np.testing.assert_allclose(gaps(cells), -overlap / cells.radius_um)
    where = box(0.2, 30)
    after = relaxed(cells, where, cells.centre_um)
    assert np.linalg.norm(after[1] - after[0]) == pytest.approx(cells.radius_um.sum(), rel=TOLERANCE)
    np.testing.assert_allclose(after.mean(0), cells.centre_um.mean(0), atol=1e-9)


def test_two_at_one_place_are_parted(rng):
    cells = moved(nuclei(2, rng), np.tile([50.0, 60, 70], (2, 1)))
    after = relaxed(cells, box(0.2, 30), cells.centre_um)
    assert largest_overlap(moved(cells, after)) <= TOLERANCE


def test_what_has_room_stays(rng):
    cells = moved(nuclei(2, rng), np.array([[50.0, 60, 60], [50.0, 60, 80]]))
    np.testing.assert_array_equal(relaxed(cells, box(0.1, 30), cells.centre_um), cells.centre_um)


def test_nuclei_lie_inside_living_tissue(rng):
    tissue = Ellipsoid()
    where = room(tissue, tissue.centre_um, tissue.extent_um, 2.0, True)
    cells = nuclei(600, rng)
    cells = moved(cells, placed(cells, where, rng))
    assert tissue.living(cells.centre_um).all()
    assert largest_overlap(cells) <= TOLERANCE
    ends = cells.centre_um[:, None] + 0.5 * np.concatenate([cells.frame_um, -cells.frame_um], 2).swapaxes(1, 2)
    assert tissue.living(ends.reshape(-1, 3)).mean() > 0.99


@pytest.mark.parametrize(("density", "aspect"), [(0.7, 0.15), (0.6, 0.5)])
def test_too_many_are_refused_and_it_says_how_many_fit(rng, density, aspect):
    n, where = 400, box(density, 400)
    with pytest.raises(ConfigError, match="About") as error:
        placed(nuclei(n, rng, aspect=aspect), where, rng)
    fit = int(error.value.remedy.split()[1])
    assert 0.5 * n < fit < n
    cells = nuclei(int(0.8 * fit), rng, aspect=aspect)
    assert largest_overlap(moved(cells, placed(cells, where, rng))) <= TOLERANCE


def test_it_is_said_which_pairs_find_no_room(rng):
    where = box(0.9, 2)
    cells = moved(nuclei(4, rng), where.drawn(4, rng))
    centre, crowded = pushed(cells, where, cells.centre_um, 5)
    assert largest_overlap(moved(cells, centre)) > TOLERANCE
    for i, j in crowded:
        assert largest_overlap(moved(cells, centre).rows([i, j])) > TOLERANCE
    left = np.setdiff1d(np.arange(4), crowded.max(1))
    assert largest_overlap(moved(cells, centre).rows(left)) <= TOLERANCE


def test_a_room_measures_its_tissue():
    tissue = Ellipsoid()
    where = room(tissue, tissue.centre_um, tissue.extent_um + 10, 2.0, False)
    assert where.volume_um3 == pytest.approx(4 / 3 * np.pi * np.prod(tissue.extent_um / 2), rel=0.02)
    assert where.depth(tissue.centre_um[None])[0] == pytest.approx(40.0, abs=2.0)
    assert where.depth(tissue.centre_um[None] + [44.0, 0, 0])[0] == pytest.approx(-4.0, abs=2.0)


def test_random_places_are_living_and_even(rng):
    tissue = Ellipsoid()
    places = room(tissue, tissue.centre_um, tissue.extent_um, 4.0, False).drawn(20000, rng)
    assert tissue.living(places).all()
    inner = ((((places - tissue.centre_um) / (tissue.extent_um / 2)) ** 2).sum(1) < 0.5 ** (2 / 3)).mean()
    assert inner == pytest.approx(0.5, abs=0.02)


def test_a_box_without_tissue_is_refused():
    with pytest.raises(ConfigError, match="no living tissue"):
        room(Ellipsoid(), np.full(3, 500.0), np.full(3, 20.0), 2.0, True)


def test_values_and_gradients_of_a_linear_field_are_exact(rng):
    low, step = np.array([1.0, 2, 3]), np.array([0.5, 1, 2])
    nodes = np.einsum("i,izyx->zyx", [2.0, -3, 4], np.indices((5, 6, 7)) * step[:, None, None, None])
    points = low + rng.random((50, 3)) * step * [4, 5, 6]
    out = sampled(nodes, low, step, points)
    np.testing.assert_allclose(out[:, 0], (points - low) @ [2.0, -3, 4])
    np.testing.assert_allclose(out[:, 1:], np.tile([2.0, -3, 4], (50, 1)), atol=1e-9)


def test_the_same_generator_gives_the_same_places():
    both = [placed(nuclei(80, g := np.random.default_rng(5)), box(0.4, 80), g) for _ in range(2)]
    np.testing.assert_array_equal(*both)


def test_new_cells_lie_where_they_are_put(rng):
    lives = newborn(3, 5, Looks(4.0, 0.1, 0.1, 0.0, 0.3, 1.6), rng)
    centre = rng.random((3, 3))
    np.testing.assert_array_equal(put(lives, centre).seen(0.0, 1.0).centre_um, centre)
    np.testing.assert_array_equal(lives.number, [5, 6, 7])
