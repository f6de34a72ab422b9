"""Squared local correlation against a loop over the windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from registration.deformable import lncc as module
from registration.deformable.lncc import lncc_squared
from volumes.errors import GridError

SHAPE = (7, 6, 8)


@pytest.fixture
def pair(rng) -> tuple[torch.Tensor, torch.Tensor]:
    fixed = rng.random((1, 1, *SHAPE))
    return torch.from_numpy(fixed), torch.from_numpy(0.5 * fixed + rng.random((1, 1, *SHAPE)))


@pytest.fixture
def weights(rng) -> torch.Tensor:
    """A third of the voxels count for nothing, the rest for more or less."""
    return torch.from_numpy((rng.random((1, 1, *SHAPE)) - 0.33).clip(0))


def by_loop(f: np.ndarray, g: np.ndarray, w: np.ndarray, radius: int, noise: float) -> float:
    total = 0.0
    for place in np.ndindex(f.shape):
        window = tuple(slice(max(p - radius, 0), p + radius + 1) for p in place)
        if w[place] > 0:
            a = w[window].ravel()
            c = np.cov(f[window].ravel(), g[window].ravel(), aweights=a, ddof=0)
            total += w[place] * c[0, 1] ** 2 / ((c[0, 0] + noise**2) * (c[1, 1] + noise**2))
    return total / w.sum()


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_value_is_that_of_a_loop_over_the_windows(pair, weights, radius):
    fixed, warped = pair
    for w in (weights, None):
        a = np.ones(SHAPE) if w is None else w[0, 0].numpy()
        wanted = by_loop(fixed[0, 0].numpy(), warped[0, 0].numpy(), a, radius, 0.05)
        assert float(lncc_squared(fixed, warped, radius, w, 0.05)) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("slope", [3.0, -0.2])
def test_an_affine_function_of_the_volume_is_wholly_alike_whatever_its_sign(pair, slope):
    fixed, _ = pair
    assert float(lncc_squared(fixed, 5 + slope * fixed, 2, noise=1e-6)) == pytest.approx(1, abs=1e-6)


def test_sign_of_the_contrast_changes_nothing(pair):
    fixed, warped = pair
    assert float(lncc_squared(fixed, warped, 2)) == pytest.approx(float(lncc_squared(fixed, 1 - warped, 2)), rel=1e-9)


def test_windows_that_hold_only_noise_count_as_unlike(rng):
    noise = torch.from_numpy(0.5 + 1e-4 * rng.standard_normal((1, 1, *SHAPE)))
    assert float(lncc_squared(noise, noise, 1, noise=1e-2)) < 1e-3
    assert float(lncc_squared(noise, noise, 1, noise=1e-7)) > 0.999


def test_single_precision_keeps_small_differences_on_a_high_level(rng):
    fixed = 100 + rng.random((1, 1, *SHAPE))
    warped = 100 + rng.random((1, 1, *SHAPE))
    exact, rounded = (
        float(lncc_squared(*(torch.from_numpy(v).to(kind) for v in (fixed, warped)), 2))
        for kind in (torch.float64, torch.float32)
    )
    assert rounded == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("radius", [1, 3])
def test_gradients_by_differences(pair, weights, radius):
    fixed, warped = (v[..., :4, :4].clone().requires_grad_() for v in pair)
    inside = weights[..., :4, :4]
    assert torch.autograd.gradcheck(lambda f, w: lncc_squared(f, w, radius, inside, 0.1), (fixed, warped))
    assert torch.autograd.gradcheck(lambda w: lncc_squared(fixed.detach(), w, radius), warped)


def test_loops_and_torch_alone_agree(pair, weights):
    f, g, w = (t[0, 0] for t in (*pair, weights))
    for radius in (1, 2, 9):
        loops = module._looped(f, g, w, radius, 0.05, (True, True))
        alone = module.correlated_anywhere(f, g, w, radius, 0.05, (True, True))
        for a, b in zip(loops, alone, strict=True):
            torch.testing.assert_close(a, b, atol=1e-13, rtol=1e-9)


def test_channels_are_averaged(pair):
    fixed, warped = pair
    both = lncc_squared(torch.cat([fixed, fixed], 1), torch.cat([warped, fixed], 1), 2)
    apart = [float(lncc_squared(fixed, w, 2)) for w in (warped, fixed)]
    assert float(both) == pytest.approx(np.mean(apart), rel=1e-12)


def test_nothing_outside_the_weights_matters(pair, weights):
    fixed, warped = pair
    other = torch.where(weights > 0, warped, 77.0)
    assert float(lncc_squared(fixed, other, 2, weights)) == pytest.approx(
        float(lncc_squared(fixed, warped, 2, weights))
    )
    warped.requires_grad_()
    lncc_squared(fixed, warped, 2, weights).backward()
    assert not warped.grad[weights == 0].any()
    assert warped.grad[weights > 0].all()


def test_no_weight_at_all_is_no_likeness(pair):
    fixed, warped = pair
    value = lncc_squared(fixed, warped.requires_grad_(), 2, torch.zeros(1, 1, *SHAPE))
    value.backward()
    assert float(value.detach()) == 0
    assert not warped.grad.any()


def test_same_bytes_whatever_the_number_of_threads(rng):
    fixed, warped, weights = (torch.from_numpy(rng.random((1, 1, 40, 40, 40), np.float32)) for _ in range(3))
    warped.requires_grad_()

    def found(threads):
        torch.set_num_threads(threads)
        value = lncc_squared(fixed, warped, 2, weights)
        (slope,) = torch.autograd.grad(value, warped)
        return value.detach().numpy().tobytes(), slope.numpy().tobytes()

    before = torch.get_num_threads()
    try:
        assert found(1) == found(2) == found(1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "call",
    [
        lambda f, g, _: lncc_squared(f, g[..., 1:], 2),
        lambda f, g, _: lncc_squared(f, g.float(), 2),
        lambda f, g, _: lncc_squared(f, g, 0),
        lambda f, g, _: lncc_squared(f, g, 2, noise=0.0),
        lambda f, g, w: lncc_squared(f, g, 2, w[0]),
    ],
)
def test_what_does_not_fit_is_refused(pair, weights, call):
    with pytest.raises(GridError):
        call(*pair, weights)
