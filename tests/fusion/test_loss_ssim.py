"""SSIM in torch gives scikit-image's numbers, in slices and volumes, and finite differences its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from fusion.losses.gradient import SOFT, gradient, gradient_magnitude
from fusion.losses.ssim import ssim, ssim_map
from fusion.losses.windows import gaussian_window, uniform_window, windowed_mean

SHAPES = [(1, 33, 29), (15, 17, 19)]


def pictures(rng: np.random.Generator, shape: tuple[int, ...], top: float) -> tuple[np.ndarray, np.ndarray]:
    a, b = (ndimage.gaussian_filter(rng.uniform(size=shape), 1) for _ in range(2))
    return top * a, top * (0.7 * a + 0.3 * b)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(array)[None, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("data_range", [1.0, 255.0, 2.0])
def test_the_papers_window_gives_what_scikit_image_gives(rng: np.random.Generator, shape, data_range: float) -> None:
    a, b = pictures(rng, shape, 255.0 if data_range > 1 else 1.0)
    expected = structural_similarity(
        a.squeeze(), b.squeeze(), data_range=data_range, gaussian_weights=True, use_sample_covariance=False
    )
    got = ssim(as_tensor(a), as_tensor(b), data_range, inner=True)
    assert got.shape == (1, 1)
    assert got.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_scikit_images_own_window_too(rng: np.random.Generator, shape) -> None:
    a, b = pictures(rng, shape, 255.0)
    expected = structural_similarity(a.squeeze(), b.squeeze(), data_range=2)
    got = ssim(as_tensor(a), as_tensor(b), 2.0, uniform_window(7), sampled=True, inner=True)
    assert got.item() == pytest.approx(expected, abs=1e-9)


def test_the_map_is_one_where_pictures_are_equal_and_weights_choose_the_place(rng: np.random.Generator) -> None:
    a, b = pictures(rng, (4, 40, 40), 1.0)
    b[..., :20] = a[..., :20]
    x, y = as_tensor(a), as_tensor(b)
    assert (ssim_map(x, y, 1.0)[..., :14] - 1).abs().max() < 1e-12
    left = torch.zeros(40, dtype=torch.float64)
    left[:14] = 1
    assert ssim(x, y, 1.0, weights=left).item() == pytest.approx(1, abs=1e-12)
    assert ssim(x, y, 1.0).item() < 0.99


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (2, 1, 5), (3, 3, 3)])
def test_any_size_works_and_equal_pictures_give_one(rng: np.random.Generator, shape) -> None:
    a = as_tensor(rng.uniform(size=shape))
    for inner in (False, True):
        assert ssim(a, a, 1.0, inner=inner).item() == pytest.approx(1, abs=1e-9)


def test_one_picture_spreads_to_many(rng: np.random.Generator) -> None:
    x, many = (torch.as_tensor(rng.uniform(size=(2, c, 3, 8, 9))) for c in (1, 3))
    each = torch.cat([ssim(x, many[:, [m]], 1.0) for m in range(3)], 1)
    torch.testing.assert_close(ssim(x, many, 1.0), each)


def test_the_window_ends_at_the_border_with_weights_that_sum_to_one(rng: np.random.Generator) -> None:
    x = rng.uniform(size=(4, 12, 13))
    window = np.array(gaussian_window())
    expected, inside = x, np.ones_like(x)
    for axis in range(3):
        expected = ndimage.correlate1d(expected, window, axis, mode="constant")
        inside = ndimage.correlate1d(inside, window, axis, mode="constant")
    got = windowed_mean(as_tensor(x), gaussian_window())[0, 0].numpy()
    assert np.abs(got - expected / inside).max() < 1e-12


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 5)])
@pytest.mark.parametrize("inner", [False, True])
def test_the_gradient_of_ssim_is_that_of_finite_differences(rng: np.random.Generator, shape, inner: bool) -> None:
    x, y = (as_tensor(rng.uniform(size=shape)).requires_grad_() for _ in range(2))
    window = gaussian_window(1.0, 1)
    assert torch.autograd.gradcheck(lambda a, b: ssim(a, b, 1.0, window, inner=inner), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: ssim_map(a, b, 1.0, window, sampled=True), (x, y))


@pytest.mark.parametrize("shape", [(1, 7, 8), (5, 6, 7)])
def test_gradients_are_numpys(rng: np.random.Generator, shape) -> None:
    x, spacing = rng.uniform(size=shape), (2.0, 0.5, 0.25)
    axes = [a for a in range(3) if shape[a] > 1]
    expected = [np.gradient(x, spacing[a], axis=a) for a in axes]
    got = gradient(as_tensor(x), spacing)
    for mine, other in zip(got, expected, strict=True):
        assert np.abs(mine[0, 0].numpy() - other).max() < 1e-12
    magnitude = gradient_magnitude(as_tensor(x), spacing)[0, 0].numpy()
    assert np.abs(magnitude - np.sqrt(np.sum(np.square(expected), axis=0))).max() <= SOFT


def test_the_magnitude_has_a_gradient_where_it_is_zero() -> None:
    flat = torch.full((1, 1, 2, 4, 4), 0.5, dtype=torch.float64, requires_grad=True)
    gradient_magnitude(flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.abs().max() == 0
    assert gradient_magnitude(torch.ones(1, 1, 1, 1, 1)).item() == 0


def test_the_gradient_of_the_magnitude_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    x = as_tensor(rng.uniform(size=(2, 4, 5))).requires_grad_()
    assert torch.autograd.gradcheck(gradient_magnitude, (x,), eps=1e-7, atol=1e-5)
