"""The pyramid in torch gives the numbers of ``volumes.pyramid`` and of LP-F, and has the gradient it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fusion
from fusion.diffusion.bands import (
    chosen_by_energy,
    collapse,
    expand,
    gaussian,
    laplacian,
    local_energy,
    plan_of,
    prefused,
    reduce,
)
from fusion.gaps import barred
from volumes import from_array, pyramid

CUBIC = (1.0, 1.0, 1.0)
PLANS = [
    ((16, 32, 24), CUBIC, 3),
    ((11, 37, 41), (2.0, 0.5, 0.5), 4),
    ((5, 23, 18), (1.0, 0.3, 0.7), 5),
    ((1, 33, 29), (5.0, 0.3, 0.3), 4),
    ((1, 1, 19), CUBIC, 4),
    ((2, 3, 2), CUBIC, 6),
    ((1, 3, 5), CUBIC, 4),
    ((1, 1, 1), CUBIC, 3),
    ((9, 2, 1), (1.0, 4.0, 1.0), 4),
]


def tensor(*arrays: np.ndarray, kind: torch.dtype = torch.float32) -> torch.Tensor:
    """(1, arrays, z, y, x)."""
    return torch.as_tensor(np.stack(arrays), dtype=kind)[None]


@pytest.mark.parametrize(("shape", "spacing", "levels"), PLANS)
def test_every_level_is_that_of_the_house(rng: np.random.Generator, shape, spacing, levels: int) -> None:
    data = rng.normal(size=shape).astype(np.float32)
    plan = plan_of(shape, spacing, levels)
    for mine, theirs in (
        (gaussian(tensor(data), plan), pyramid.gaussian_pyramid(data, spacing, levels)),
        (laplacian(tensor(data), plan), pyramid.laplacian_pyramid(data, spacing, levels)),
    ):
        assert len(mine) == len(theirs) == len(plan) + 1
        for own, level in zip(mine, theirs, strict=True):
            assert own.shape[2:] == level.data.shape
            assert np.abs(own[0, 0].numpy() - level.data).max() <= 3e-7 * max(1, np.abs(data).max())


@pytest.mark.parametrize(("shape", "spacing", "levels"), PLANS)
def test_collapse_undoes_laplacian(rng: np.random.Generator, shape, spacing, levels: int) -> None:
    plan = plan_of(shape, spacing, levels)
    for kind, bound in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        x = torch.as_tensor(rng.normal(size=(2, 3, *shape)), dtype=kind)
        assert (collapse(laplacian(x, plan), plan) - x).abs().max() < bound * 5


def test_the_plan_of_a_volume_of_no_axes_left_is_shorter() -> None:
    assert plan_of((1, 1, 1), CUBIC, 4) == ()
    assert plan_of((1, 4, 4), CUBIC, 4) == ((1, 2), (1, 2))
    assert plan_of((8, 32, 32), (4.0, 1.0, 1.0), 3) == ((1, 2), (1, 2), (0, 1, 2))
    assert plan_of((64, 64, 64), CUBIC, 2) == ((0, 1, 2), (0, 1, 2))


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_constants_stay_and_straight_lines_are_doubled(axes: tuple[int, ...]) -> None:
    """Away from the border, where reduction mirrors and expansion repeats."""
    assert torch.equal(reduce(torch.full((1, 1, 6, 7, 9), 2.0), axes).unique(), torch.tensor([2.0]))
    ramp = torch.arange(33.0).expand(1, 1, 1, 1, 33)
    assert torch.equal(reduce(ramp, (2,))[..., 1:-1], ramp[..., ::2][..., 1:-1])
    up = expand(ramp[..., ::2].contiguous(), (1, 1, 33), (2,))
    assert (up - ramp)[..., 2:-2].abs().max() < 1e-5


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("shape", "spacing", "levels"), PLANS[:4])
def test_prefusion_is_lpf_with_the_maximum_of_the_bases(rng, number: int, shape, spacing, levels: int) -> None:
    data = [rng.normal(size=shape).astype(np.float32) for _ in range(number)]
    if number == 3:  # equal details: their mean is taken
        data[2][:, :8] = data[1][:, :8]
    config = fusion.LPFConfig(base="max", match="none", levels=levels)
    expected = fusion.fuse([from_array(d, spacing, modality="MRI") for d in data], config).channel()
    got = prefused(tensor(*data), plan_of(shape, spacing, levels))[0, 0].numpy()
    # Where two energies are equal but for their rounding the other coefficient may be taken: nowhere else.
    assert np.mean(np.abs(got - expected) > 2e-6) < 1e-3


def test_prefusion_leaves_out_what_is_barred(rng: np.random.Generator) -> None:
    shape = (9, 20, 22)
    data = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    mask = np.ones(shape, bool)
    mask[:, :10] = False
    masks, levels = [np.ones(shape, bool), mask], 2
    volumes = [from_array(d, CUBIC, modality="MRI", valid=m) for d, m in zip(data, masks, strict=True)]
    config = fusion.LPFConfig(base="max", match="none", levels=levels)
    expected = fusion.fuse(volumes, config).channel()
    filled = [data[0], np.where(mask, data[1], data[0])]
    shut = [torch.from_numpy(level)[None] for level in barred(masks, CUBIC, levels)]
    got = prefused(tensor(*filled), plan_of(shape, CUBIC, levels), shut)[0, 0].numpy()
    assert np.mean(np.abs(got - expected) > 2e-6) < 1e-3


def test_energy_is_a_sum_over_a_cube_or_a_square_that_ends_at_the_border(rng: np.random.Generator) -> None:
    for shape in ((4, 5, 6), (1, 5, 6), (1, 1, 1), (2, 1, 3)):
        band = rng.normal(size=shape)
        around = np.pad(band**2, 1)
        z, y, x = shape
        expected = sum(around[i : i + z, j : j + y, k : k + x] for i in range(3) for j in range(3) for k in range(3))
        assert np.abs(local_energy(tensor(band, kind=torch.float64))[0, 0].numpy() - expected).max() < 1e-12


def test_the_order_of_sources_leaves_no_trace_where_all_are_equally_strong(rng: np.random.Generator) -> None:
    one = tensor(rng.normal(size=(3, 8, 9)), kind=torch.float64)
    bands = torch.cat([one, -one, 0.5 * one], 1)
    assert chosen_by_energy(bands).abs().max() == 0
    shut = torch.zeros_like(bands, dtype=torch.bool)
    shut[:, 1] = True
    torch.testing.assert_close(chosen_by_energy(bands, shut), one)
    torch.testing.assert_close(chosen_by_energy(bands[:, [2, 0, 1]], shut[:, [2, 0, 1]]), one)
    blank = torch.cat([0 * one, one], 1)
    assert chosen_by_energy(blank, shut[:, :2]).abs().max() == 0, "one that is open and blank before one that is barred"


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 5, 4)])
def test_gradients_are_those_of_finite_differences(rng: np.random.Generator, shape) -> None:
    plan = plan_of(shape, CUBIC, 2)
    x = tensor(*rng.normal(size=(2, *shape)), kind=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: tuple(laplacian(v, plan)), (x,), fast_mode=True)
    assert torch.autograd.gradcheck(local_energy, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda v: prefused(v, plan), (x,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda v: collapse(gaussian(v, plan), plan), (x,), fast_mode=True)
