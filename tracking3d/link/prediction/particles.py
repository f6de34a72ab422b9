"""A particle filter: many guesses at place and velocity for each cell, so that noise need not be Gaussian."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.link.prediction.model import Expected
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points


class Particles(NamedTuple):
    """Guesses at n tracks, k each.

    Parameters
    ----------
    state : (n, k, 6) place (z, y, x) in µm, then velocity in µm/s.
    weight : (n, k), their sum 1.
    agility : (n, k) what the acceleration's density is multiplied by until the next frame.
    seconds : (n,) that a prediction looks ahead.
    effective : (n,) effective number of guesses when the track was seen last, before any were drawn again.
    """

    state: NDArray[np.float64]
    weight: NDArray[np.float64]
    agility: NDArray[np.float64]
    seconds: NDArray[np.float64]
    effective: NDArray[np.float64]


class ParticleFilter(BaseModel):
    """Constant velocities under accelerations with heavy tails, by sequential importance resampling.

    Each guess moves by x' = v, v' = white noise whose density is drawn anew each frame, so that the steps follow a
    Student t; given the density, a guess is drawn from where it may be *and* was seen, and weighed by how likely that
    was (the optimal proposal of Doucet, Godsill & Andrieu, Statistics and Computing 10, 2000).

    Parameters
    ----------
    particles : guesses a track.
    freedom : degrees of freedom of the Student t, above 2; None for Gaussian steps.
    resample_below : guesses are drawn again when fewer than this share of them are effective.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["particles"] = "particles"
    particles: int = Field(200, ge=2, le=100_000)
    freedom: float | None = Field(4.0, gt=2, allow_inf_nan=False)
    resample_below: float = Field(0.5, ge=0, le=1)

    def build(self, noise: Noise, seed: int) -> ParticleModel:
        """The model for cells that move so; all that it draws comes from the seed."""
        return ParticleModel(self, noise, np.random.default_rng(seed))


@dataclass(frozen=True)
class ParticleModel:
    """See :class:`ParticleFilter`."""

    config: ParticleFilter
    noise: Noise
    rng: np.random.Generator = field(repr=False)

    def started(self, zyx_um: Points) -> Particles:
        """Tracks first seen at places (n, 3): guesses about them, with the velocities that cells have."""
        n, k = len(zyx_um), self.config.particles
        sigma = np.repeat(np.sqrt([self.noise.localisation_um2, self.noise.step_um2 / self.noise.frame_s**2]), 3)
        guesses = self.rng.normal(size=(n, k, 6)) * sigma
        guesses[..., :3] += zyx_um[:, None]
        return Particles(guesses, np.full((n, k), 1 / k), np.ones((n, k)), np.zeros(n), np.full(n, float(k)))

    def predicted(self, state: Particles, seconds: NDArray[np.float64]) -> tuple[Particles, Expected]:
        """The guesses where their velocities bring them; mean and covariance of where they will be seen."""
        ahead = state.state.copy()
        ahead[..., :3] += ahead[..., 3:] * seconds[:, None, None]
        agility = self._agility(state.weight.shape)
        mean = np.einsum("nk,nkd->nd", state.weight, ahead[..., :3])
        apart = ahead[..., :3] - mean[:, None]
        spread = np.einsum("nk,nkd,nke->nde", state.weight, apart, apart)
        # The tails' own variance is known, and is not left to the draw: E of the agility is 1.
        more = self._density * seconds**3 / 3 + self.noise.localisation_um2
        covariance = spread + more[:, None, None] * np.eye(3)
        return Particles(ahead, state.weight, agility, seconds, state.effective), Expected(mean, covariance)

    def seen(self, predicted: Particles, zyx_um: Points) -> Particles:
        """Guesses drawn about the measured places (n, 3), and, where few are left that count, drawn again."""
        t = predicted.seconds[:, None]
        density = self._density * predicted.agility
        offset = zyx_um[:, None] - predicted.state[..., :3]
        variance = density * t**3 / 3 + self.noise.localisation_um2
        with np.errstate(divide="ignore"):
            log_weight = np.log(predicted.weight) - (offset**2).sum(axis=2) / (2 * variance) - 1.5 * np.log(variance)
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        state = predicted.state + self._step(t, density, offset)
        effective = effective_size(weight)
        for row in np.flatnonzero(effective < self.config.resample_below * self.config.particles):
            state[row] = state[row][systematic(weight[row], float(self.rng.random()))]
            weight[row] = 1 / self.config.particles
        return Particles(state, weight, np.ones_like(weight), np.zeros(len(weight)), effective)

    def _step(self, t: NDArray[np.float64], density: NDArray[np.float64], offset: Points) -> NDArray[np.float64]:
        """(n, k, 6) what a guess gains on its way, drawn given that it was seen at an offset (n, k, 3).

        A draw w of the acceleration's place and velocity and one of the localisation error e are moved by
        K (offset − w_place − e), with K = Q Hᵀ (H Q Hᵀ + R)⁻¹, which gives a draw of w given the offset
        (conditioning by kriging: Hoffman & Ribak, Astrophys. J. 380, 1991).
        """
        first, second = self.rng.normal(size=(2, *offset.shape))
        place = np.sqrt(density * t**3 / 3)[..., None] * first
        speed = np.sqrt(density * t)[..., None] * (np.sqrt(3) / 2 * first + second / 2)
        error = np.sqrt(self.noise.localisation_um2) * self.rng.normal(size=offset.shape)
        total = density * t**3 / 3 + self.noise.localisation_um2
        missing = (offset - place - error) / total[..., None]
        place += (density * t**3 / 3)[..., None] * missing
        speed += (density * t**2 / 2)[..., None] * missing
        return np.concatenate([place, speed], axis=2)

    def _agility(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Factors of mean 1 that make Gaussian steps a Student t of the variance learnt: (ν − 2)/χ²_ν."""
        if self.config.freedom is None:
            return np.ones(shape)
        return np.asarray((self.config.freedom - 2) / self.rng.chisquare(self.config.freedom, shape))

    @property
    def _density(self) -> float:
        return self.noise.acceleration_um2_s3


def effective_size(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective number of guesses (n,) of weights (n, k): 1/Σ w² (Kong, Liu & Wong, J. Am. Stat. Assoc. 89, 1994)."""
    return np.asarray(1 / (weight**2).sum(axis=1))


def systematic(weight: NDArray[np.float64], start: float) -> NDArray[np.int64]:
    """Guesses (k,) drawn by their weights (k,), one in each stretch of 1/k from a start in [0, 1)."""
    k = len(weight)
    at = np.searchsorted(np.cumsum(weight), (start + np.arange(k)) / k, side="right")
    return np.minimum(at, k - 1).astype(np.int64)
