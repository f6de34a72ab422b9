"""Walks from noise end where closed forms say; the path is diffusers' own."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from fusion.diffusion.noise import (
    FURTHEST,
    alpha_bars,
    clean_estimate,
    first_alpha_bar,
    gaussian,
    noise_estimate,
    noised,
    sampled,
    scheduler,
    velocity,
)

NAMES = ["ddim", "dpm-solver++"]
SHAPE = (1, 1, 1, 4, 5)


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_path_is_that_of_diffusers() -> None:
    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    torch.testing.assert_close(alpha_bars(), theirs.alphas_cumprod, rtol=1e-4, atol=1e-7)
    clean, noise, times = drawn(0, (3, 1, 1, 4, 5)), drawn(1, (3, 1, 1, 4, 5)), torch.tensor([0, 400, 999])
    at = alpha_bars()[times].view(3, 1, 1, 1, 1)
    torch.testing.assert_close(noised(clean, noise, at), theirs.add_noise(clean, noise, times), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        velocity(clean, noise, at), theirs.get_velocity(clean, noise, times), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("time", [0, 500, 999])
def test_the_clean_picture_is_found_from_either_prediction(time: int) -> None:
    clean, noise, at = drawn(0).double(), drawn(1).double(), alpha_bars()[time].double()
    x = noised(clean, noise, at)
    torch.testing.assert_close(clean_estimate(noise, x, at, "epsilon"), clean)
    torch.testing.assert_close(clean_estimate(velocity(clean, noise, at), x, at, "v_prediction"), clean)
    torch.testing.assert_close(noise_estimate(noise, x, at, "epsilon"), noise)
    torch.testing.assert_close(noise_estimate(velocity(clean, noise, at), x, at, "v_prediction"), noise)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 4, 25])
def test_few_steps_start_from_noise_alone_and_go_down(name: str, steps: int) -> None:
    walk = scheduler(name)
    assert first_alpha_bar(name, steps, 1.0) == alpha_bars()[999]
    asked: list[int] = []

    def predict(x: Tensor, time: Tensor) -> Tensor:
        asked.append(int(time))
        return torch.zeros_like(x)

    sampled(predict, drawn(0), name, steps, "epsilon")
    assert len(asked) == steps
    assert all(a > b for a, b in pairwise(asked))
    assert walk is not scheduler(name)


def test_an_error_of_the_noise_is_157_times_as_large_in_the_picture_where_the_walk_begins() -> None:
    clean, noise, at = drawn(0).double(), drawn(1).double(), alpha_bars()[999].double()
    found = clean_estimate(noise + 0.01, noised(clean, noise, at), at, "epsilon")
    torch.testing.assert_close(clean - found, torch.full_like(clean, 1.57), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_where_the_noise_is_said_badly_the_result_stays_in_the_pictures_range(name: str) -> None:
    """Early estimates are of no use then, and only later ones bring the picture; none may leave more than its bound."""
    clean = drawn(3, (1, 1, 1, 16, 16)).clamp(-1, 1)
    errors = torch.Generator().manual_seed(2)

    def predict(x: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(1, 1, 1, 1, 1)
        return (x - at.sqrt() * clean) / (1 - at).sqrt() + 0.3 * torch.randn(x.shape, generator=errors)

    out = sampled(predict, drawn(4, clean.shape), name, 10, "epsilon")
    assert out.abs().max() <= FURTHEST + 1e-4
    assert (out - clean).square().mean().sqrt() < 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 3, 20])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_who_knows_the_picture_is_led_to_it(name: str, steps: int, strength: float) -> None:
    """A posterior that is a delta, as the letter's is: any number of steps ends there."""
    clean = drawn(3).clamp(-1, 1)

    def predict(x: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(1, 1, 1, 1, 1)
        return (x - at.sqrt() * clean) / (1 - at).sqrt()

    start = noised(clean, drawn(4), first_alpha_bar(name, steps, strength))
    out = sampled(predict, start, name, steps, "epsilon", strength=strength)
    torch.testing.assert_close(out, clean, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("name", "steps", "tolerance"), [("ddim", 250, 0.02), ("dpm-solver++", 60, 0.003)])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_normal_data_are_reached_by_the_straight_line_that_the_flow_has(
    name: str, steps: int, tolerance: float, kind: str
) -> None:
    """For x₀ ~ N(μ, s²) the flow maps x_T to μ + s (x_T − √ᾱ_T μ) / √(ᾱ_T s² + 1 − ᾱ_T)."""
    mean, spread = 0.3, 0.4
    start, last = drawn(5).clamp(-2, 2), alpha_bars()[999]

    def predict(x: Tensor, time: Tensor) -> Tensor:
        at = alpha_bars()[time].view(1, 1, 1, 1, 1)
        clean = mean + at.sqrt() * spread**2 / (at * spread**2 + 1 - at) * (x - at.sqrt() * mean)
        noise = (x - at.sqrt() * clean) / (1 - at).sqrt()
        return noise if kind == "epsilon" else velocity(clean, noise, at)

    expected = mean + spread * (start - last.sqrt() * mean) / (last * spread**2 + 1 - last).sqrt()
    torch.testing.assert_close(sampled(predict, start, name, steps, kind), expected, atol=tolerance, rtol=0)


def test_it_is_diffusers_own_loop() -> None:
    def predict(x: Tensor, time: Tensor) -> Tensor:
        return torch.sin(x + time / 300)

    path = {"beta_schedule": "linear", "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    theirs = DDIMScheduler(**path, clip_sample_range=FURTHEST)
    theirs.set_timesteps(7)
    x = drawn(6)
    ours = sampled(predict, x, "ddim", 7, "v_prediction")
    for time in theirs.timesteps:
        x = theirs.step(predict(x, time), time, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=1e-4)


def test_a_correction_sees_each_estimate_and_its_time_and_has_the_last_word() -> None:
    seen: list[float] = []

    def correct(clean: Tensor, alpha_bar: float) -> Tensor:
        seen.append(alpha_bar)
        return torch.full_like(clean, 0.25)

    out = sampled(lambda v, _: torch.zeros_like(v), drawn(7), "ddim", 5, "v_prediction", correct)
    torch.testing.assert_close(out, torch.full(SHAPE, 0.25))
    assert seen == sorted(seen)
    assert len(seen) == 5


def test_noise_is_that_of_its_seed() -> None:
    cpu = torch.device("cpu")
    assert torch.equal(gaussian((2, 3, 4), 5, cpu), gaussian((2, 3, 4), 5, cpu))
    assert not torch.equal(gaussian((2, 3, 4), 5, cpu), gaussian((2, 3, 4), 6, cpu))
    big = gaussian((8, 64, 64), 0, cpu)
    assert abs(big.mean()) < 0.02
    assert abs(big.std() - 1) < 0.02
