"""A Brownian bridge from the pre-fusion of degraded sources to the clean fused picture, and the walk along it.

x_t = (1 − t) x₀ + t x₁ + σ √(t (1 − t)) ε, with x₀ the pre-fusion of the degraded sources and x₁ the clean target (Li
et al. 2023, "BBDM: image-to-image translation with Brownian bridge diffusion models", eq. 4, time reversed). The noise
is what there is to learn from: on a path without it x₁ = (x_t − (1 − t) x₀)/t would be known exactly for t > 0.

From x_s to x_t, s < t, given x₁, the bridge is normal with mean x_s + (x₁ − x_s)(t − s)/(1 − s) and variance
σ² (t − s)(1 − t)/(1 − s). With the network's estimate in the place of x₁ and without that noise the walk is
deterministic; one step is the regression x̂₁(x₀, 0).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Estimate = Callable[[Tensor, float], Tensor]
"""``estimate(x_t, t)`` is x̂₁."""


def between(start: Tensor, target: Tensor, time: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """x_t for each item of a batch.

    Parameters
    ----------
    start, target, noise : x₀, x₁ and ε (batch, 1, z, y, x).
    time : t (batch,), 0 to 1.
    sigma : σ, on the scale of the pictures.
    """
    t = time.to(start.dtype).view(-1, *[1] * (start.dim() - 1))
    return (1 - t) * start + t * target + sigma * (t * (1 - t)).clamp_min(0).sqrt() * noise


def walk(
    estimate: Estimate, start: Tensor, steps: int, sigma: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """x₁ from x₀ in equal steps of t; the last of them is the estimate itself.

    Parameters
    ----------
    estimate : the network's x̂₁.
    start : x₀.
    steps : at least 1.
    sigma, generator : σ and the source of noise for a sample of the bridge; without a generator the walk is the same
        every time.
    """
    times = [i / steps for i in range(steps + 1)]
    x = start
    for s, t in pairwise(times):
        share = (t - s) / (1 - s)
        x = x + share * (estimate(x, s) - x)
        if generator is not None and t < 1:
            deviation = sigma * ((t - s) * (1 - t) / (1 - s)) ** 0.5
            x = x + deviation * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    return x
