"""The Kalman filter of a velocity that white noise accelerates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.link.prediction.model import Expected
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points

EYE = np.eye(3)


class Gaussian(NamedTuple):
    """Places and velocities known up to a Gaussian.

    Parameters
    ----------
    mean : (…, 6) place (z, y, x) in µm, then velocity in µm/s.
    covariance : (…, 6, 6) of it.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class ConstantVelocity(BaseModel):
    """x' = v, v' = white noise of spectral density q (Bar-Shalom, Li & Kirubarajan 2001, 6.2.2), by a Kalman filter.

    Parameters
    ----------
    acceleration_um2_s3 : q, µm²/s³; None learns it from first links.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["constant-velocity"] = "constant-velocity"
    acceleration_um2_s3: float | None = Field(None, gt=0, allow_inf_nan=False)

    def build(self, noise: Noise, seed: int) -> ConstantVelocityModel:  # noqa: ARG002 - the same for every model
        """The model for cells that move so; nothing is drawn."""
        return ConstantVelocityModel(noise, self.acceleration_um2_s3 or noise.acceleration_um2_s3)


@dataclass(frozen=True)
class ConstantVelocityModel:
    """See :class:`ConstantVelocity`."""

    noise: Noise
    acceleration_um2_s3: float

    def started(self, zyx_um: Points) -> Gaussian:
        """Tracks first seen at places (n, 3): a velocity about 0, with the variance of the steps that cells make."""
        return begun(zyx_um, self.noise)

    def predicted(self, state: Gaussian, seconds: NDArray[np.float64]) -> tuple[Gaussian, Expected]:
        """F x and F P Fᵀ + Q, and what is measured of it."""
        ahead = moved(state, seconds, np.full(len(seconds), self.acceleration_um2_s3))
        return ahead, measured(ahead, self.noise.localisation_um2)

    def seen(self, predicted: Gaussian, zyx_um: Points) -> Gaussian:
        """The Kalman update by measured places (n, 3)."""
        return corrected(predicted, zyx_um, self.noise.localisation_um2)


def begun(zyx_um: Points, noise: Noise) -> Gaussian:
    """Tracks seen once, at places (n, 3)."""
    mean = np.concatenate([zyx_um, np.zeros_like(zyx_um)], axis=1)
    variance = np.repeat([noise.localisation_um2, noise.step_um2 / noise.frame_s**2], 3)
    return Gaussian(mean, np.tile(np.diag(variance), (len(zyx_um), 1, 1)))


def transition(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """F (…, 6, 6): x + v · seconds (…)."""
    out = np.tile(np.eye(6), (*seconds.shape, 1, 1))
    out[..., :3, 3:] = seconds[..., None, None] * EYE
    return out


def white_acceleration(seconds: NDArray[np.float64], density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Q (…, 6, 6) = q [[t³/3, t²/2], [t²/2, t]] ⊗ I₃ for seconds t (…) and densities q (…)."""
    blocks = [[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]]
    out = np.zeros((*seconds.shape, 6, 6))
    for row, col in ((0, 0), (0, 1), (1, 0), (1, 1)):
        out[..., 3 * row : 3 * row + 3, 3 * col : 3 * col + 3] = (density * blocks[row][col])[..., None, None] * EYE
    return out


def moved(state: Gaussian, seconds: NDArray[np.float64], density: NDArray[np.float64]) -> Gaussian:
    """The state so many seconds (…) later, under accelerations of densities (…)."""
    f = transition(seconds)
    mean = (f @ state.mean[..., None])[..., 0]
    return Gaussian(mean, f @ state.covariance @ f.swapaxes(-1, -2) + white_acceleration(seconds, density))


def measured(state: Gaussian, localisation_um2: float) -> Expected:
    """Where the tracks (…) will be seen."""
    return Expected(state.mean[..., :3], state.covariance[..., :3, :3] + localisation_um2 * EYE)


def corrected(state: Gaussian, zyx_um: Points, localisation_um2: float) -> Gaussian:
    """The states (…) given measured places (…, 3): K = P Hᵀ S⁻¹, x + K y, (I − K H) P in Joseph's form."""
    expected = measured(state, localisation_um2)
    gain = np.linalg.solve(expected.covariance_um2, state.covariance[..., :3, :]).swapaxes(-1, -2)
    mean = state.mean + (gain @ (zyx_um - expected.zyx_um)[..., None])[..., 0]
    rest = np.tile(np.eye(6), (*gain.shape[:-2], 1, 1))
    rest[..., :3] -= gain
    kept = rest @ state.covariance @ rest.swapaxes(-1, -2)
    return Gaussian(mean, kept + localisation_um2 * gain @ gain.swapaxes(-1, -2))
