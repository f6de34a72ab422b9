"""The parts of a deformation: its basis, its objective's derivative, folds, and the working grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import volumes
from registration.deformable.field_search import LEAST_JACOBIAN, find_device, mended, tapered, to_um
from registration.deformable.refinement import Refinement
from registration.deformable.smooth_basis import SmoothBasis
from registration.deformable.total import average, total
from registration.deformable.unlikeness import Pictures
from registration.deformable.warp import jacobian, smooth, warp
from registration.deformable.working import block_factors, brought, working_grid
from volumes import Affine, Grid
from volumes.errors import ConfigError, ContentError, GridError

SHAPE = (14, 15, 16)
CPU = torch.device("cpu")


@pytest.fixture
def basis() -> SmoothBasis:
    return SmoothBasis(SHAPE, (4.0, 5.0, 6.0), CPU)


def _coefficients(basis: SmoothBasis, size: float = 0.3) -> torch.Tensor:
    return size * torch.randn(basis.nothing().shape, generator=torch.Generator().manual_seed(2))


def _pictures(likeness: str = "nmi") -> Pictures:
    """A smooth random volume, and itself bent and in another tone."""
    generator = torch.Generator().manual_seed(4)
    volume = smooth(torch.rand((1, 3, *SHAPE), generator=generator), 1.0)[:, :1]
    volume = (volume - volume.min()) / (volume.max() - volume.min())
    bend = smooth(torch.randn((1, 3, *SHAPE), generator=generator), 4.0)
    ones = torch.ones_like(volume)
    moved = 1 - warp(volume, bend * (1.0 / bend.abs().max()))
    plain = Pictures(volume, moved, ones, ones, likeness)
    return plain.described() if likeness == "mind" else plain


def test_the_basis_is_its_sum_of_gaussians(basis):
    coefficients = _coefficients(basis)
    field = basis.at((1, 1, 1)).field(coefficients)
    places = [
        (n - 1) / 2 + (np.arange(k) - (k - 1) / 2) * s
        for n, k, s in zip(SHAPE, basis.lattice, basis.sigma, strict=True)
    ]
    for voxel in [(0, 0, 0), (13, 14, 15), (5, 9, 2)]:
        z, y, x = (np.exp(-0.5 * ((v - p) / s) ** 2) for v, p, s in zip(voxel, places, basis.sigma, strict=True))
        expected = np.einsum("nabc,a,b,c->n", coefficients[0].double().numpy(), z, y, x)
        np.testing.assert_allclose(field[(0, slice(None), *voxel)].numpy(), expected, atol=1e-5)


def test_a_coarse_field_is_the_fine_one_in_larger_voxels(basis):
    coefficients = _coefficients(basis)
    fine, coarse = basis.at((1, 1, 1)).field(coefficients), basis.at((2, 3, 2)).field(coefficients)
    between = (fine[0, :, 4, 7, 6] + fine[0, :, 5, 7, 6] + fine[0, :, 4, 7, 7] + fine[0, :, 5, 7, 7]) / 4
    torch.testing.assert_close(coarse[0, :, 2, 2, 3] * torch.tensor([2.0, 3.0, 2.0]), between, atol=0.03, rtol=0)


def test_a_field_of_the_basis_is_found_again(basis):
    sampled, coefficients = basis.at((2, 2, 2)), _coefficients(basis)
    field = sampled.field(coefficients)
    torch.testing.assert_close(sampled.field(sampled.coefficients(field)), field, atol=0.05, rtol=0)


@pytest.mark.parametrize("likeness", ["mind", "lncc2", "nmi"])
def test_refining_lessens_the_loss_and_its_derivative_is_right(basis, likeness):
    pictures, sampled = _pictures(likeness), basis.at((1, 1, 1))
    start = _coefficients(basis, 0.05)
    loss = pictures.loss(sampled.field(start))
    leaf = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(sampled.field(leaf)), leaf)
    way = slope / slope.norm()
    ahead, behind = (float(loss(sampled.field(start + step * way))) for step in (0.02, -0.02))
    assert (ahead - behind) / 0.04 == pytest.approx(float(slope.norm()), rel=0.15)
    refinement = Refinement(basis, (((2, 2, 2), 8), ((1, 1, 1), 8)), 0.1, False)
    levels = {at: pictures.averaged(at) for at, _ in refinement.levels}
    found, evaluations = refinement.refine(levels, basis.nothing())
    assert float(loss(sampled.field(found))) < float(loss(sampled.field(basis.nothing())))
    assert 2 <= evaluations < 400


def test_a_velocity_has_an_exact_way_back(basis):
    refinement = Refinement(basis, (), 1.0, True)
    sampled, velocity = basis.at((1, 1, 1)), _coefficients(basis, 1.0)
    there, back = (refinement.displacement(sampled, sign * velocity) for sign in (1, -1))
    inner = (there + warp(back, there))[..., 4:-4, 4:-4, 4:-4]
    assert float(inner.abs().max()) < 0.1 * float(there.abs().max())
    assert float(jacobian(there).min()) > 0


def test_what_may_not_be_looked_at_has_no_say(basis):
    pictures, spoilt = _pictures("lncc2"), _pictures("lncc2")
    weights = torch.ones_like(pictures.fixed)
    weights[..., :6] = 0
    spoilt.moving[..., :2] = 9.0
    nothing = torch.zeros((1, 3, *SHAPE))
    losses = [Pictures(p.fixed, p.moving, weights, weights, "lncc2").loss(nothing)(nothing) for p in (pictures, spoilt)]
    assert float(losses[0]) == pytest.approx(float(losses[1]), abs=1e-9)


def test_folds_are_mended_and_the_rest_is_left():
    rough = 3 * torch.randn((1, 3, *SHAPE), generator=torch.Generator().manual_seed(1))
    assert float(jacobian(rough).min()) < 0
    assert float(jacobian(mended(rough)).min()) > LEAST_JACOBIAN
    calm = smooth(rough, 4.0)
    assert torch.equal(mended(calm), calm)


def test_a_tapered_field_neither_folds_nor_jumps():
    grid = Grid(SHAPE, (2.0, 2.0, 2.0), (5.0, 6.0, 7.0), ((0, 1, 0), (1, 0, 0), (0, 0, 1)))
    field = torch.zeros((1, 3, *SHAPE))
    field[0, 0] = 2.5
    found = tapered(field, grid)
    assert found.folded_fraction() == 0
    centre = grid.centre_um
    np.testing.assert_allclose(found(centre) - centre, [[0.0, 5.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(to_um(field, grid)[0, 0, 0], [0.0, 5.0, 0.0])


def test_the_working_grid_is_isotropic_over_the_fixed_field():
    fixed, moving = Grid((10, 40, 40), (4.0, 1.0, 1.0)), Grid((30, 30, 30), (2.0, 2.0, 2.0))
    grid = working_grid(fixed, moving, 10**9)
    np.testing.assert_allclose(grid.extent_um, fixed.extent_um)
    assert grid.spacing_um == (2.0, 2.0, 2.0)
    assert np.prod(working_grid(fixed, moving, 1000).shape) < 1500
    assert block_factors(grid, 6.5) == (3, 3, 3)
    assert block_factors(Grid((3, 40, 40), (1.0, 1.0, 1.0)), 6.0) == (1, 6, 6)


def test_a_finer_volume_is_smoothed_before_it_is_sampled_coarsely(rng):
    noise = volumes.from_array(rng.normal(size=(24, 24, 24)), [1.0] * 3, modality="MRI")
    coarse = noise.grid.with_spacing((4.0, 4.0, 4.0))
    voxels, inside = brought(noise, 0, None, coarse, Affine.identity(), "fixed")
    assert inside.all()
    assert voxels.std() < 0.2
    mask = np.zeros(noise.grid.shape, bool)
    mask[:12] = True
    assert brought(noise, 0, mask, coarse, Affine.identity(), "fixed")[1].mean() == 0.5
    with pytest.raises(ContentError, match="larger mask"):
        brought(noise, 0, np.zeros_like(mask), coarse, Affine.identity(), "fixed")


def test_sums_are_the_same_whatever_the_number_of_threads(rng):
    values = torch.from_numpy(rng.random((1, 1, 60, 61, 62), np.float32)).requires_grad_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append((float(total(values).detach()), float(average(values).detach())))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    wanted = values.detach().double().sum().item()
    assert found[0] == pytest.approx((wanted, wanted / values.numel()), rel=1e-6)
    (slope,) = torch.autograd.grad(total(values), values)
    assert bool((slope == 1).all())


def test_bad_settings_are_refused():
    with pytest.raises(GridError, match="above 0"):
        SmoothBasis(SHAPE, (0.0, 1.0, 1.0), CPU)
    with pytest.raises(ConfigError, match="device"):
        find_device("no-such-device")
