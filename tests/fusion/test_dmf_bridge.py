"""The bridge has the moments of its closed form, and the walk along it the transitions of a Brownian bridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.diffusion.bridge import between, walk

PATHS = 20000


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("sigma", [0.0, 0.1, 2.0])
def test_a_point_on_the_path_has_the_moments_of_the_closed_form(sigma: float) -> None:
    times = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64)
    start, target = torch.full((5, 1, 1, 1, PATHS), 0.2), torch.full((5, 1, 1, 1, PATHS), 0.8)
    noise = torch.randn(start.shape, generator=generator())
    x = between(start, target, times, noise, sigma)
    assert x.dtype == torch.float32
    for item, t in zip(x, times.tolist(), strict=True):
        deviation = sigma * np.sqrt(t * (1 - t))
        assert item.mean().item() == pytest.approx(0.2 + 0.6 * t, abs=5 * deviation / PATHS**0.5 + 1e-6)
        assert item.std().item() == pytest.approx(deviation, rel=0.03, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_an_exact_estimate_is_where_the_walk_ends(steps: int, sigma: float) -> None:
    start, target = torch.rand(2, 1, 1, 3, 4, 5, generator=generator(), dtype=torch.float64)
    end = walk(lambda _x, _t: target, start, steps, sigma, generator())
    assert (end - target).abs().max() < 1e-14


@pytest.mark.parametrize("shape", [(1, 1, 1, 4, 4), (2, 1, 3, 4, 5)])
def test_one_step_is_the_estimate_at_the_start(shape: tuple[int, ...]) -> None:
    start, asked = torch.rand(shape, dtype=torch.float64), []

    def estimate(x: Tensor, t: float) -> Tensor:
        asked.append((x, t))
        return 3 * x + 1

    assert (walk(estimate, start, 1) - (3 * start + 1)).abs().max() < 1e-14
    assert len(asked) == 1
    assert torch.equal(asked[0][0], start)
    assert asked[0][1] == 0


def test_without_noise_the_walk_solves_the_flow_of_a_known_estimate() -> None:
    """dx/dt = (x̂₁ − x)/(1 − t) with x̂₁ = x + c (1 − t): the straight line x₀ + c t, whatever the steps."""
    start = torch.rand(1, 1, 1, 4, 4, dtype=torch.float64)
    for steps in (1, 3, 10):
        times: list[float] = []

        def estimate(x: Tensor, t: float, times: list[float] = times) -> Tensor:
            times.append(t)
            return x + 0.5 * (1 - t)

        assert (walk(estimate, start, steps) - start - 0.5).abs().max() < 1e-14
        assert times == pytest.approx([i / steps for i in range(steps)])


@pytest.mark.parametrize("steps", [2, 5])
def test_states_on_the_way_are_those_of_a_brownian_bridge(steps: int) -> None:
    """Means (1 − t) x₀ + t x₁ and covariances σ² s (1 − t), s ≤ t, between all times of the walk."""
    sigma, states, times = 0.7, [], []

    def estimate(x: Tensor, t: float) -> Tensor:
        states.append(x)
        times.append(t)
        return torch.full_like(x, 3.0)

    walk(estimate, torch.full((1, 1, 1, 1, PATHS), -1.0, dtype=torch.float64), steps, sigma, generator())
    seen, t = torch.stack(states).reshape(steps, -1).numpy(), np.array(times)
    assert np.abs(seen.mean(1) - (-1 + 4 * t)).max() < 5 * sigma / 2 / PATHS**0.5
    covariance = sigma**2 * np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))
    assert np.abs(np.atleast_2d(np.cov(seen)) - covariance).max() < 0.03 * sigma**2 / 4


def test_without_a_generator_every_walk_is_the_same_and_with_one_its_seed_decides() -> None:
    start = torch.rand(1, 1, 2, 4, 4)

    def estimate(x: Tensor, t: float) -> Tensor:
        return x.tanh() + t

    assert torch.equal(walk(estimate, start, 4, 0.5), walk(estimate, start, 4, 0.0))
    sampled = [walk(estimate, start, 4, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(sampled[0], sampled[1])
    assert (sampled[0] - sampled[2]).abs().max() > 0.01
