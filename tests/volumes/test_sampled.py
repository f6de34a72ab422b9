"""Transforms sampled for files: within the error that is stated, there and back, and as SimpleITK reads them."""

import tracemalloc

import numpy as np
import pytest
import SimpleITK

from volumes import Affine, Composite, DisplacementField, Grid, read_transform, write_transform
from volumes.errors import GridError, TransformError
from volumes.sampled import sampled, sampled_inverse

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, -1.0))
GRID = Grid((20, 26, 30), (40.0, 20.0, 20.0), (500.0, -300.0, 200.0), TURNED)
MOVING = Grid((26, 32, 36), (40.0, 20.0, 20.0), (350.0, -450.0, 400.0), TURNED)
POSE = Affine.rigid((0.1, -0.05, 0.2), (40.0, -30.0, 25.0), GRID.centre_um[0].tolist())


class Waves:
    """x ↦ A(x + a sin(k·x)): known everywhere, smooth, without a border."""

    def __init__(self, size_um=12.0, length_um=500.0):
        self.size, self.length = size_um, length_um

    def __call__(self, points):
        points = np.asarray(points, float)
        return POSE(points + self.size * np.sin(2 * np.pi * points[:, [1, 2, 0]] / self.length))

    def inverse(self):
        return Backwards(self)


class Backwards:
    """The inverse of waves, by a fixed-point iteration of its own."""

    def __init__(self, waves):
        self.waves = waves

    def __call__(self, points):
        wanted = POSE.inverse()(points)
        found = wanted.copy()
        for _ in range(60):
            found += wanted - POSE.inverse()(self.waves(found))
        return found

    def inverse(self):
        return self.waves


def inside(grid, rng, n=20_000):
    return grid.to_world(rng.uniform(-0.5, np.array(grid.shape) - 0.5, (n, 3)))


def largest(a, b):
    return float(np.linalg.norm(a - b, axis=1).max())


@pytest.mark.parametrize("spacing", [None, (80.0, 60.0, 60.0), (130.0, 90.0, 110.0)])
def test_the_error_that_is_stated_holds_at_other_points(spacing, rng):
    waves, points = Waves(), inside(GRID, rng)
    found = sampled(waves, GRID, spacing)
    assert [type(part) for part in found.transform.parts] == [Affine, DisplacementField]
    true = largest(found.transform(points), waves(points))
    assert 0.8 * found.error_um < true < 1.1 * found.error_um


def test_finer_samples_are_better_by_the_square(rng):
    coarse, fine = (sampled(Waves(), GRID, (2 * s, s, s)).error_um for s in (40.0, 20.0))
    assert 3 < coarse / fine < 5


def test_the_affine_part_is_the_best_and_the_field_the_small_rest(rng):
    found = sampled(Waves(2.0), GRID)
    affine, field = found.transform.parts
    points = inside(GRID, rng)
    np.testing.assert_allclose(affine(points), Waves(2.0)(points), atol=6)
    assert np.abs(field.displacements_um).max() < 6


def test_a_linear_transform_stays_one(rng):
    for linear in (POSE, Composite((POSE, POSE.inverse(), POSE))):
        found = sampled(linear, GRID)
        assert isinstance(found.transform, Affine)
        assert found.error_um == 0
        points = inside(GRID, rng, 50)
        np.testing.assert_allclose(found.transform(points), linear(points), atol=1e-9)


def test_it_is_continuous_and_tends_to_the_affine_map(rng):
    found = sampled(Waves(), GRID)
    affine, field = found.transform.parts
    assert field.folded_fraction() == 0
    for face in (field.displacements_um.take(end, axis) for axis in range(3) for end in (0, -1)):
        assert not face.any()
    line = GRID.centre_um + np.linspace(-4000, 4000, 100_001)[:, None] * rng.normal(size=(1, 3))
    step = largest(found.transform(line)[1:], found.transform(line)[:-1]) / largest(line[1:], line[:-1])
    assert step < 2
    np.testing.assert_array_equal(found.transform(line[[0, -1]]), affine(line[[0, -1]]))


def test_nothing_outside_the_field_of_view_is_asked_for(rng):
    """A field jumps at its border to nothing; what lies within is kept to the very edge."""
    field = DisplacementField(rng.normal(scale=5.0, size=(*GRID.shape, 3)), GRID)
    found = sampled(field, GRID)
    assert found.error_um < 1e-9
    points = inside(GRID, rng)
    np.testing.assert_allclose(found.transform(points), field(points), rtol=0, atol=1e-9)


def test_a_single_plane_and_a_single_voxel():
    for shape in ((1, 20, 20), (1, 1, 1)):
        flat = Grid(shape, (40.0, 20.0, 20.0))
        assert sampled(Waves(), flat).error_um < 1


def itk_points(transform, points):
    return np.array([transform.TransformPoint((p[::-1] / 1000).tolist()) for p in points])[:, ::-1] * 1000


def test_there_and_back_through_files_and_itk(tmp_path, rng):
    waves = Waves()
    there = sampled(waves, GRID)
    back = sampled_inverse(there.transform, GRID, MOVING)
    exact = sampled_inverse(waves, GRID, MOVING)
    points = inside(GRID, rng, 400)
    within = np.abs(MOVING.to_index(waves(points)) - (np.array(MOVING.shape) - 1) / 2) <= np.array(MOVING.shape) / 2
    points = points[within.all(axis=1)]
    assert len(points) > 300
    for name, found in (("there.h5", there), ("back.h5", back), ("exact.h5", exact)):
        write_transform(found.transform, tmp_path / name)
        itk = SimpleITK.ReadTransform(str(tmp_path / name))
        np.testing.assert_allclose(itk_points(itk, points), found.transform(points), rtol=0, atol=1e-5)
    first, second, third = (read_transform(tmp_path / f"{name}.h5") for name in ("there", "back", "exact"))
    assert largest(first(points), waves(points)) <= 1.1 * there.error_um
    assert largest(second(first(points)), points) <= 1.1 * back.error_um
    assert largest(third(waves(points)), points) <= 1.1 * exact.error_um


def test_the_inverse_of_an_affine_part_and_a_tapered_field_comes_back(rng):
    there = sampled(Waves(), GRID).transform
    points = np.concatenate([inside(GRID, rng, 2000), GRID.centre_um + rng.normal(scale=3000, size=(2000, 3))])
    np.testing.assert_allclose(there.inverse()(there(points)), points, rtol=0, atol=1e-4)
    np.testing.assert_allclose(there(there.inverse()(points)), points, rtol=0, atol=1e-4)


def test_where_the_field_folds_the_inverse_is_refused():
    folded = sampled(Waves(size_um=200.0), GRID).transform
    with pytest.raises(TransformError, match="folds") as caught:
        sampled_inverse(folded, GRID, GRID)
    assert caught.value.remedy


def test_grids_that_the_transform_lays_apart_are_refused():
    away = Grid(MOVING.shape, MOVING.spacing_um, (9e4, 0.0, 0.0))
    with pytest.raises(TransformError, match="no point of the fixed grid"):
        sampled_inverse(Waves(), GRID, away)


def test_an_error_above_the_limit_is_refused():
    with pytest.raises(TransformError, match="between its samples") as caught:
        sampled(Waves(), GRID, (200.0, 200.0, 200.0), limit_um=1.0)
    assert "finely" in caught.value.remedy
    with pytest.raises(TransformError, match="between its samples"):
        sampled_inverse(Waves(), GRID, MOVING, (200.0, 200.0, 200.0), limit_um=1.0)
    assert sampled(Waves(), GRID, limit_um=1.0).error_um <= 1.0


def test_points_that_are_given_are_looked_at_too():
    class Spike(Waves):
        def __call__(self, points):
            near = np.linalg.norm(np.asarray(points) - GRID.to_world([[10.2, 10.3, 10.4]]), axis=1) < 1
            return super().__call__(points) + 50.0 * near[:, None]

    spike = GRID.to_world([[10.2, 10.3, 10.4]])
    assert sampled(Spike(), GRID).error_um < 1
    assert sampled(Spike(), GRID, also_um=spike).error_um > 80


class Nowhere(Waves):
    def __call__(self, points):
        return np.where(np.asarray(points)[:, :1] > GRID.centre_um[0, 0], np.nan, super().__call__(points))


class Flat(Waves):
    def __call__(self, points):
        return super().__call__(points) * [0.0, 1.0, 1.0]


def test_what_cannot_be_sampled_is_refused(monkeypatch):
    with pytest.raises(TransformError, match="not finite"):
        sampled(Nowhere(), GRID)
    with pytest.raises(TransformError, match="singular"):
        sampled(Flat(), GRID)
    monkeypatch.setattr("volumes.sampled.MOST_VOXELS", 20_000)
    with pytest.raises(GridError, match="coarsely"):
        sampled(Waves(), GRID)
    assert sampled(Waves(), GRID, (100.0, 100.0, 100.0)).transform.parts[1].displacements_um.size < 60_000


def test_the_points_never_stand_in_memory_together():
    grid = Grid((60, 60, 60), (20.0, 20.0, 20.0))
    sampled(Waves(1.0), Grid((4, 4, 4), (20.0, 20.0, 20.0)))
    tracemalloc.start()
    found = sampled(Waves(1.0), grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rest = 62**3 * 3 * 8
    assert peak < rest + 1.3 * found.transform.parts[1].displacements_um.nbytes + 8e6
