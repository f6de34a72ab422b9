"""The path between a picture and noise, and the walk back along it with diffusers' schedulers.

x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε, t = 0 … 999, with the linear β of Ho et al. 2020 ("Denoising diffusion probabilistic
models"). Pictures lie in [−1, 1], nearly all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, cast

import torch
from torch import Tensor

TIMES = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02
FURTHEST = 1.2
"""Bound of |x̂₀|. An error of ε becomes √(1 − ᾱ_t)/√ᾱ_t times as large in x̂₀, 157 times at t = 999, so that early
estimates lie at the bound all over, and what a wider one lets in stays in the result. LP-F overshoots: 5 % of phantoms'
voxels lie beyond 1, 0.8 % beyond 1.2."""

Prediction: TypeAlias = Literal["epsilon", "v_prediction"]
"""What a network estimates: the noise ε, or v = √ᾱ_t ε − √(1 − ᾱ_t) x₀ (Salimans & Ho 2022)."""

SchedulerName: TypeAlias = Literal["ddim", "dpm-solver++"]
"""DDIM (Song et al. 2021), first order; DPM-Solver++ (Lu et al. 2022), second order: good from 10 steps on."""


class Stepped(Protocol):
    """What a step of one of diffusers' schedulers gives."""

    prev_sample: Tensor


class Scheduler(Protocol):
    """What is used of diffusers' schedulers."""

    timesteps: Tensor

    def set_timesteps(self, num_inference_steps: int, device: torch.device) -> None:
        """Choose the times of a walk."""

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor) -> Stepped:
        """One step towards the picture."""


def alpha_bars() -> Tensor:
    """ᾱ_t = Π (1 − β_s), s ≤ t, for t = 0 … 999, float32."""
    betas = torch.linspace(FIRST_BETA, LAST_BETA, TIMES, dtype=torch.float64)
    return torch.cumprod(1 - betas, 0).float()


def noised(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t; ``alpha_bar`` is one number, or one a sample as (batch, 1, 1, 1, 1)."""
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def velocity(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """v = √ᾱ_t ε − √(1 − ᾱ_t) x₀, what a network of ``v_prediction`` learns."""
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean


def clean_estimate(prediction: Tensor, x: Tensor, alpha_bar: Tensor, kind: Prediction) -> Tensor:
    """x̂₀ of what a network says of x_t."""
    if kind == "epsilon":
        return (x - (1 - alpha_bar).sqrt() * prediction) / alpha_bar.sqrt()
    return alpha_bar.sqrt() * x - (1 - alpha_bar).sqrt() * prediction


def noise_estimate(prediction: Tensor, x: Tensor, alpha_bar: Tensor, kind: Prediction) -> Tensor:
    """ε̂ of what a network says of x_t."""
    if kind == "epsilon":
        return prediction
    return alpha_bar.sqrt() * prediction + (1 - alpha_bar).sqrt() * x


def scheduler(name: SchedulerName) -> Scheduler:
    """The scheduler of that name, on this path; ``trailing``: its first step starts from noise alone, however few."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    make: dict[SchedulerName, Any] = {"ddim": DDIMScheduler, "dpm-solver++": DPMSolverMultistepScheduler}
    path: dict[str, Any] = {
        "num_train_timesteps": TIMES,
        "beta_start": FIRST_BETA,
        "beta_end": LAST_BETA,
        "beta_schedule": "linear",
        "timestep_spacing": "trailing",
    }
    if name == "ddim":
        path["clip_sample"] = False
    return cast(Scheduler, make[name](**path))


def sampled(
    predict: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    name: SchedulerName,
    steps: int,
    kind: Prediction,
    correct: Callable[[Tensor, float], Tensor] | None = None,
    strength: float = 1.0,
) -> Tensor:
    """Walk from noise to a picture, (batch, 1, z, y, x).

    Parameters
    ----------
    predict : (x_t, t) → what the network says, t (1,).
    start : x_t at the first time of the walk, float32.
    name, steps : the scheduler, and how many times the network is asked at most.
    kind : what it says.
    correct : (x̂₀, ᾱ_t) → a better x̂₀, before each step; None for none.
    strength : share of the steps that is walked, the last ones; see :func:`first_alpha_bar`.
    """
    walk, x = scheduler(name), start
    alphas = alpha_bars().to(start.device)
    for time in _times(walk, steps, strength, start.device):
        alpha_bar = alphas[time]
        clean = clean_estimate(predict(x, time[None]), x, alpha_bar, kind).clamp(-FURTHEST, FURTHEST)
        if correct is not None:
            clean = correct(clean, float(alpha_bar))
        noise = (x - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        x = walk.step(noise, time, x).prev_sample
    return x


def first_alpha_bar(name: SchedulerName, steps: int, strength: float) -> Tensor:
    """ᾱ of the time at which such a walk starts: how much of a picture its start may hold."""
    times = _times(scheduler(name), steps, strength, torch.device("cpu"))
    return alpha_bars()[times[0]]


def gaussian(shape: tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    """Noise (1, 1, z, y, x) of a seed, drawn on the CPU: the same numbers on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 1, *shape), generator=generator).to(device)


def _times(walk: Scheduler, steps: int, strength: float, device: torch.device) -> Tensor:
    # diffusers 0.42 makes a numpy array of a tensor in a way that numpy 2 warns of.
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        walk.set_timesteps(steps, device=device)
    return walk.timesteps[steps - max(1, round(strength * steps)) :]
