"""Fields in torch against scipy, the point-wise maps of volumes, and differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from registration.deformable import warp as warping
from registration.deformable.gaussian import along, along_anywhere
from registration.deformable.warp import compose, invert, jacobian, resize, smooth, warp
from volumes import Grid
from volumes.displacement import DisplacementField
from volumes.errors import GridError

SHAPE = (14, 11, 9)


def places(shape=SHAPE) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)


def as_transform(field: torch.Tensor) -> DisplacementField:
    """The field as a map of points, on a grid whose µm are voxels."""
    return DisplacementField(field[0].permute(1, 2, 3, 0).numpy(), Grid(tuple(field.shape[2:]), (1.0, 1.0, 1.0)))


def smooth_field(rng, largest: float, shape=SHAPE, sigma=3.0) -> torch.Tensor:
    field = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), sigma) for _ in range(3)])
    return torch.from_numpy(field * largest / np.abs(field).max())[None]


@pytest.fixture
def pair(rng) -> tuple[torch.Tensor, torch.Tensor]:
    """A volume of two channels and a rough field that leaves it at many places."""
    return torch.from_numpy(rng.random((1, 2, *SHAPE))), torch.from_numpy(rng.uniform(-4, 4, (1, 3, *SHAPE)))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_warp_is_scipys_linear_interpolation_clamped_at_the_border(pair, kind):
    volume, field = (t.to(kind) for t in pair)
    wanted = [ndimage.map_coordinates(c, places() + field[0].numpy(), order=1, mode="nearest") for c in volume[0]]
    found = warp(volume, field)
    assert found.dtype == kind
    np.testing.assert_allclose(found[0], wanted, atol=2e-6 if kind == torch.float32 else 1e-12)


def test_warp_is_torchs_own_sampling(pair):
    volume, field = pair
    last = torch.tensor(SHAPE) - 1.0
    where = (torch.from_numpy(places()) + field[0]).permute(1, 2, 3, 0) / last * 2 - 1
    own = torch.nn.functional.grid_sample(volume, where[None].flip(-1), padding_mode="border", align_corners=True)
    torch.testing.assert_close(warp(volume, field), own)


def test_gradients_of_warp_by_differences(rng):
    volume = torch.from_numpy(rng.random((1, 2, 4, 3, 5))).requires_grad_()
    field = torch.from_numpy(rng.uniform(-1.4, 1.4, (1, 3, 4, 3, 5))).requires_grad_()
    assert torch.autograd.gradcheck(warp, (volume, field))


def test_loops_and_torch_alone_agree_on_every_path(pair, rng):
    volume, field = (t[0] for t in pair)
    field[:, ::2] = field[:, ::2].round()
    above = torch.from_numpy(rng.standard_normal(volume.shape))
    torch.testing.assert_close(warping._sampled(volume, field), warping.sampled_anywhere(volume, field))
    torch.testing.assert_close(
        warping._sloped(volume, field, above), warping.sloped_anywhere(volume, field, above), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(
        warping._scattered(above, field), warping.scattered_anywhere(above, field), atol=1e-10, rtol=0
    )


def test_sum_of_a_scattered_gradient_is_the_sum_of_the_gradient(pair):
    volume, field = pair
    volume.requires_grad_()
    warp(volume, field).sum().backward()
    assert float(volume.grad.sum()) == pytest.approx(volume.numel(), rel=1e-12)


def test_a_second_derivative_is_refused(pair):
    volume, field = pair
    field.requires_grad_()
    (slope,) = torch.autograd.grad(warp(volume, field).square().sum(), field, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_compose_is_one_map_after_the_other_at_every_voxel(rng):
    a, b = smooth_field(rng, 1.5), smooth_field(rng, 1.0)
    points = places().reshape(3, -1).T
    inner = as_transform(b)(points)
    within = ((inner >= 0) & (inner <= np.array(SHAPE) - 1)).all(axis=1)
    wanted = as_transform(a)(inner) - points
    found = compose(a, b)[0].numpy().reshape(3, -1).T
    assert within.mean() > 0.7
    np.testing.assert_allclose(found[within], wanted[within], atol=1e-12)


def test_invert_is_newtons_inverse(rng):
    shape = (24, 22, 20)
    field = smooth_field(rng, 2.0, shape)
    inverse = invert(field, 60)
    torch.testing.assert_close(compose(field, inverse), torch.zeros_like(field), atol=1e-9, rtol=0)
    points = places(shape)[:, 5:-5, 5:-5, 5:-5].reshape(3, -1).T
    wanted = as_transform(field).inverse()(points) - points
    found = inverse[0, :, 5:-5, 5:-5, 5:-5].reshape(3, -1).T
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_jacobian_is_that_of_the_field_in_volumes(rng):
    field = smooth_field(rng, 2.5)
    np.testing.assert_allclose(jacobian(field), as_transform(field).jacobian(), atol=1e-12)


def test_jacobian_of_a_flat_grid_is_that_of_the_plane():
    stretch = torch.from_numpy(0.25 * places((1, 6, 6)))[None]
    torch.testing.assert_close(jacobian(stretch), torch.full((1, 6, 6), 1.25**2, dtype=torch.float64))


def test_resize_keeps_a_linear_map_of_the_box():
    def linear(shape):
        share = (places(shape) + 0.5) / np.array(shape).reshape(3, 1, 1, 1)
        return torch.from_numpy(0.1 * (share - 0.5) * np.array(shape).reshape(3, 1, 1, 1))[None]

    small, large = (6, 8, 10), (12, 24, 20)
    inner = (..., slice(2, -2), slice(3, -3), slice(2, -2))
    torch.testing.assert_close(resize(linear(small), large)[inner], linear(large)[inner])


def test_smooth_is_scipys_gaussian_mirrored_at_the_border(rng):
    field = torch.from_numpy(rng.standard_normal((1, 3, *SHAPE)))
    wanted = [ndimage.gaussian_filter(c, (2.0, 0.0, 1.3), mode="reflect", radius=(6, 0, 4)) for c in field[0]]
    np.testing.assert_allclose(smooth(field, (2.0, 0.0, 1.3))[0], wanted, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 4.0, 9.0])
def test_smooth_is_its_own_adjoint_and_keeps_constants(rng, sigma):
    a, b = (torch.from_numpy(rng.standard_normal((1, 3, 5, 6, 7))) for _ in range(2))
    assert float((smooth(a, sigma) * b).sum()) == pytest.approx(float((a * smooth(b, sigma)).sum()), rel=1e-12)
    torch.testing.assert_close(smooth(torch.ones_like(a), sigma), torch.ones_like(a))
    assert torch.autograd.gradcheck(lambda field: smooth(field, sigma), a[..., :3, :2, :2].requires_grad_())


def test_smoothing_in_loops_and_in_torch_alone_agree(rng):
    values = torch.from_numpy(rng.standard_normal((2, 6, 7, 8)))
    for axis in (1, 2, 3):
        torch.testing.assert_close(along(values, axis, 1.7), along_anywhere(values, axis, 1.7))


def test_same_bytes_whatever_the_number_of_threads(rng):
    volume = torch.from_numpy(rng.random((1, 2, 40, 40, 40), np.float32)).requires_grad_()
    field = torch.from_numpy(rng.uniform(-4, 4, (1, 3, 40, 40, 40)).astype(np.float32)).requires_grad_()

    def found(threads):
        torch.set_num_threads(threads)
        value = (compose(field, smooth(field, 1.0)) ** 2 + warp(volume, field).sum(dim=1)) * jacobian(field)
        gradients = torch.autograd.grad(value, (volume, field), torch.ones_like(value))
        alone = warping.scattered_anywhere(volume.detach()[0], field.detach()[0])
        return [t.detach().numpy().tobytes() for t in (value, *gradients, alone)]

    before = torch.get_num_threads()
    try:
        assert found(1) == found(2) == found(1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "call",
    [
        lambda v, u: warp(v[..., 1:], u),
        lambda v, u: warp(v.float(), u),
        lambda v, u: warp(v, u[:, :2]),
        lambda v, u: warp(v, u.int()),
        lambda _, u: invert(u, 0),
        lambda _, u: smooth(u, -1.0),
        lambda _, u: smooth(u, float("nan")),
        lambda _, u: resize(u, (4, 0, 4)),
    ],
)
def test_what_does_not_fit_is_refused(pair, call):
    with pytest.raises(GridError):
        call(*pair)
