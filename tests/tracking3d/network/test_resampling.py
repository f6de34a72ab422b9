"""Between the image's grid and the network's: against direct sums, and the same in every block."""

from __future__ import annotations

import numpy as np
import pytest

from tracking3d.segment.network import view as view_module
from tracking3d.segment.network.resampling import coarse_shape, needed, resampled
from tracking3d.segment.network.view import View, each

FACTORS = [(1.0, 1.0, 1.0), (0.4, 2.3, 1.0), (3.7, 0.8, 1.5), (2.0, 2.0, 0.5)]


def whole(shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((0, n) for n in shape)


@pytest.mark.parametrize("factors", FACTORS)
def test_each_voxel_is_the_triangle_weighted_mean(
    rng: np.random.Generator, factors: tuple[float, float, float]
) -> None:
    voxels = rng.random((9, 11, 13), dtype=np.float32)
    shape = coarse_shape(voxels.shape, factors)
    found = resampled(voxels, whole(voxels.shape), whole(shape), factors)
    for index in [(0, 0, 0), tuple(n - 1 for n in shape), tuple(n // 2 for n in shape)]:
        weights = []
        for j, f, n in zip(index, factors, voxels.shape, strict=True):
            place = min(max((j + 0.5) * f - 0.5, 0), n - 1)
            weight = np.array([max(0.0, 1 - abs(place - i) / max(1, f)) for i in range(n)])
            weights.append(weight / weight.sum())
        assert found[index] == pytest.approx(np.einsum("zyx,z,y,x", voxels, *weights), rel=1e-5)


@pytest.mark.parametrize("factors", FACTORS)
def test_a_window_is_part_of_the_whole(rng: np.random.Generator, factors: tuple[float, float, float]) -> None:
    voxels = rng.random((40, 30, 35), dtype=np.float32)
    shape = coarse_shape(voxels.shape, factors)
    full = resampled(voxels, whole(voxels.shape), whole(shape), factors)
    wanted = tuple((n // 3, max(n // 3 + 1, 2 * n // 3)) for n in shape)
    held = each(needed, wanted, factors, voxels.shape)
    window = resampled(voxels[tuple(slice(*side) for side in held)], held, wanted, factors)
    assert np.allclose(window, full[tuple(slice(*side) for side in wanted)], atol=1e-6)


@pytest.mark.parametrize("factors", FACTORS)
def test_a_flat_volume_stays_flat_and_a_slope_a_slope(factors: tuple[float, float, float]) -> None:
    shape = (24, 24, 24)
    coarse = coarse_shape(shape, factors)
    assert np.allclose(resampled(np.full(shape, 7.0), whole(shape), whole(coarse), factors), 7)
    ramp = np.indices(shape)[1].astype(np.float32)
    found = resampled(ramp, whole(shape), whole(coarse), factors)
    place = (np.arange(coarse[1]) + 0.5) * factors[1] - 0.5
    inner = (place > 3) & (place < 20)
    assert np.allclose(found[coarse[0] // 2, inner, coarse[2] // 2], place[inner], atol=0.1 * factors[1])


def test_equal_grids_are_not_touched(rng: np.random.Generator) -> None:
    voxels = rng.random((5, 6, 7), dtype=np.float32)
    assert np.array_equal(resampled(voxels, whole(voxels.shape), whole(voxels.shape), (1.0, 1.0, 1.0)), voxels)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_the_view_depends_on_cells_and_voxels_in_proportion(rng: np.random.Generator, scale: float) -> None:
    voxels = rng.random((12, 40, 40))
    views = [View(voxels.shape, (2.0 * s, 0.5 * s, 0.5 * s), 10.0 * s) for s in (1.0, scale)]
    seen = [v.resampled(lambda r: voxels[tuple(slice(*side) for side in r)], whole(v.coarse)) for v in views]
    assert views[0].coarse == views[1].coarse
    assert np.allclose(seen[0], seen[1])


def test_a_slice_stays_a_slice() -> None:
    view = View((1, 60, 60), (7.0, 0.5, 0.5), 14.0)
    assert view.coarse == (1, 30, 30)
    assert view.factors[0] == 1


def test_slabs_give_what_the_whole_does(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = rng.random((40, 20, 20), dtype=np.float32)
    view = View(voxels.shape, (1.0, 1.0, 1.0), 35.0)

    def seen() -> np.ndarray:
        return view.resampled(lambda r: voxels[tuple(slice(*side) for side in r)], whole(view.coarse))

    at_once = seen()
    monkeypatch.setattr(view_module, "AT_ONCE", 2000)
    assert np.allclose(seen(), at_once, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 20, 20), (64, 200, 500)])
def test_probes_lie_inside_and_cover_what_is_small(shape: tuple[int, int, int]) -> None:
    seen = np.zeros(shape, bool)
    probes = list(View(shape, (1.0, 1.0, 1.0), 14.0).probes())
    for probe in probes:
        assert all(0 <= a < b <= n for (a, b), n in zip(probe, shape, strict=True))
        seen[tuple(slice(*side) for side in probe)] = True
    assert seen.all() == (shape == (20, 20, 20))
    assert len(probes) <= 27


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.3, 0.25)])
def test_light_and_noise_are_those_of_the_grid_that_is_drawn_on(
    rng: np.random.Generator, spacing: tuple[float, float, float]
) -> None:
    voxels = rng.normal(100, 5, (20, 90, 110)).astype(np.float32)
    view, bounds = View(voxels.shape, spacing, 14.0), (50.0, 150.0)

    def read(ranges: object) -> np.ndarray:
        return voxels[tuple(slice(*side) for side in ranges)]

    full = view.light(read, whole(view.drawn), bounds)
    part = tuple((n // 3, 2 * n // 3) for n in view.drawn)
    assert full.shape == view.drawn
    assert np.array_equal(view.light(read, part, bounds), full[tuple(slice(*side) for side in part)])
    if view.drawn == voxels.shape:
        assert np.allclose(full, (voxels - 50) / 100, atol=1e-6)
        assert view.noise(read, bounds) == pytest.approx(0.05, rel=0.1)
    else:
        assert 0 < view.noise(read, bounds) < 0.04
