"""Interacting multiple models: a cell that is now calm, now agile, and may change from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.link.prediction.constant_velocity import Gaussian, begun, corrected, measured, moved
from tracking3d.link.prediction.model import Expected, mahalanobis
from tracking3d.link.prediction.noise import Noise
from volumes.shapes import Points


class Interacting(NamedTuple):
    """Tracks under each of m models.

    Parameters
    ----------
    mean, covariance : (n, m, 6) and (n, m, 6, 6) of the state if that model holds.
    probability : (n, m) that it holds.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    probability: NDArray[np.float64]


class InteractingModels(BaseModel):
    """Constant velocities under several accelerations (Blom & Bar-Shalom, IEEE Trans. Autom. Control 33, 1988).

    Parameters
    ----------
    agility : the accelerations of the models, as multiples of the one learnt from first links.
    stay : probability that the model of one frame still holds in the next; the others share the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interacting"] = "interacting"
    agility: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        (0.3, 3.0), min_length=1, max_length=8
    )
    stay: float = Field(0.9, ge=0, le=1)

    def build(self, noise: Noise, seed: int) -> InteractingModel:  # noqa: ARG002 - the same for every model
        """The model for cells that move so; nothing is drawn."""
        return InteractingModel(self, noise)


@dataclass(frozen=True)
class InteractingModel:
    """See :class:`InteractingModels`."""

    config: InteractingModels
    noise: Noise

    def started(self, zyx_um: Points) -> Interacting:
        """Tracks first seen at places (n, 3), each model as probable as any other."""
        m = len(self.config.agility)
        one = begun(zyx_um, self.noise)
        mean, covariance = (np.repeat(part[:, None], m, axis=1) for part in one)
        return Interacting(mean, covariance, np.full((len(zyx_um), m), 1 / m))

    def predicted(self, state: Interacting, seconds: NDArray[np.float64]) -> tuple[Interacting, Expected]:
        """Each model's prediction from the mixture that leads to it, and the mean and spread over all of them."""
        mixed = _mixed(state, self._changes(seconds))
        density = self.noise.acceleration_um2_s3 * np.array(self.config.agility)
        times, densities = np.broadcast_arrays(seconds[:, None], density)
        ahead = moved(Gaussian(mixed.mean, mixed.covariance), times, densities)
        each = measured(ahead, self.noise.localisation_um2)
        mean, covariance = _moments(each.zyx_um, each.covariance_um2, mixed.probability)
        return Interacting(*ahead, mixed.probability), Expected(mean, covariance)

    def seen(self, predicted: Interacting, zyx_um: Points) -> Interacting:
        """Each model's Kalman update by places (n, 3); a model gains by having expected them."""
        state, place = Gaussian(predicted.mean, predicted.covariance), zyx_um[:, None]
        expected = measured(state, self.noise.localisation_um2)
        squared, log_size = mahalanobis(place - expected.zyx_um, expected.covariance_um2)
        with np.errstate(divide="ignore"):
            weight = np.log(predicted.probability) - squared / 2 - log_size
        probability = np.exp(weight - weight.max(axis=1, keepdims=True))
        after = corrected(state, np.broadcast_to(place, expected.zyx_um.shape), self.noise.localisation_um2)
        return Interacting(*after, probability / probability.sum(axis=1, keepdims=True))

    def _changes(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, m, m) probability to be in model i and then, seconds (n,) later, in model j; whole frames compose."""
        m = len(self.config.agility)
        if m == 1:
            return np.ones((len(seconds), 1, 1))
        # Of a matrix with one value on and one off the diagonal, the power has the same form.
        leave = (1 - self.config.stay) / (m - 1)
        kept = (1 - m * leave) ** np.rint(seconds / self.noise.frame_s)
        return np.asarray(kept[:, None, None] * np.eye(m) + ((1 - kept) / m)[:, None, None])


def _mixed(state: Interacting, changes: NDArray[np.float64]) -> Interacting:
    """The state before each model's step: what all models knew, weighed by how they lead to it."""
    joint = state.probability[:, :, None] * changes
    probability = joint.sum(axis=1)
    weight = joint / np.where(probability > 0, probability, 1.0)[:, None, :]
    mean, covariance = np.empty_like(state.mean), np.empty_like(state.covariance)
    for j in range(weight.shape[2]):
        mean[:, j], covariance[:, j] = _moments(state.mean, state.covariance, weight[:, :, j])
    return Interacting(mean, covariance, probability)


def _moments(
    mean: NDArray[np.float64], covariance: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (n, d) and covariance (n, d, d) of mixtures of Gaussians (n, m, d), (n, m, d, d) with weights (n, m)."""
    middle = np.einsum("nm,nmd->nd", weight, mean)
    apart = mean - middle[:, None]
    spread = np.einsum("nm,nmd,nme->nde", weight, apart, apart)
    return middle, np.einsum("nm,nmde->nde", weight, covariance) + spread
