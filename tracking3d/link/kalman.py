"""Links by prediction: a motion model expects each track somewhere, and each frame's cells go where they fit best."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import lgamma
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tracking3d.detections import Detections
from tracking3d.link.matching import match
from tracking3d.link.nearest import in_table, nearest_parents
from tracking3d.link.prediction.config import MotionConfig
from tracking3d.link.prediction.constant_velocity import ConstantVelocity
from tracking3d.link.prediction.course import Course, run
from tracking3d.link.prediction.model import Expected, MotionModel, mahalanobis
from tracking3d.link.prediction.noise import learnt_noise
from tracking3d.link.reach import near_pairs, typical_reach
from tracking3d.link.scene import Scene, scene
from tracking3d.tracks import Rows, Tracks
from volumes.timelapse import TimeLapse

log = logging.getLogger(__name__)


class KalmanConfig(BaseModel):
    """Links to where a motion model expects each track; none divides.

    Parameters
    ----------
    motion : the motion model.
    max_missed : frames in a row in which a cell may be missed.
    max_distance_um : longest way from the expected place, µm; None leaves it to the gate.
    gate : probability that a cell is seen within the gate, a bound on the Mahalanobis distance.
    freedom : degrees of freedom of the Student t that cells are seen with about where they are expected, so that a
        jump now and then does not end a track; None takes the model's Gaussian as it is.
    p_appear : probability that a cell is new, or false.
    localisation_um : standard deviation along an axis of a measured place; None learns it from first links.
    passes : rounds of linking; each learns from the links of the one before how cells move.
    seed : of what the particle filter draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["kalman"] = "kalman"
    motion: MotionConfig = Field(ConstantVelocity())
    max_missed: int = Field(2, ge=0, le=10)
    max_distance_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    gate: float = Field(0.99, gt=0, lt=1)
    freedom: float | None = Field(2.0, gt=0, allow_inf_nan=False)
    p_appear: float = Field(0.005, gt=0, lt=1)
    localisation_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    passes: int = Field(2, ge=1, le=10)
    seed: int = Field(0, ge=0)

    def build(self) -> KalmanLinker:
        """The linker."""
        return KalmanLinker(self)


@dataclass(frozen=True)
class KalmanLinker:
    """Links frame by frame; see :class:`KalmanConfig`."""

    config: KalmanConfig

    def link(
        self,
        detections: Detections,
        labels: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
        image: TimeLapse | None = None,  # noqa: ARG002 - the protocol's
    ) -> Tracks:
        """Tracks over these detections; labels and image are not needed. Without ``dt_s`` a frame counts as 1 s."""
        cells = scene(detections)
        return Tracks(detections, in_table(cells, self.course(cells, detections.dt_s or 1.0).parent))

    def course(self, cells: Scene, frame_s: float) -> Course:
        """The links of the last pass with what the model expected, in the order of the scene."""

        def choose(ends: Rows, expected: Expected, here: Rows) -> Rows:  # noqa: ARG001 - the places say enough
            return self._mates(cells, expected, here)

        parent = nearest_parents(cells, typical_reach(cells), max_missed=0, greedily=False)
        for _ in range(self.config.passes):
            noise = learnt_noise(cells, parent, frame_s)
            if self.config.localisation_um is not None:
                noise = noise.located(self.config.localisation_um)
            model: MotionModel[Any] = self.config.motion.build(noise, self.config.seed)
            course = run(cells, model, frame_s, self.config.max_missed, choose)
            parent = course.parent
        if np.isfinite(course.effective).any():
            log.info("effective particles: %.0f in the median", np.nanmedian(course.effective))
        return course

    def _mates(self, cells: Scene, expected: Expected, here: Rows) -> Rows:
        """Which track (n,) each cell follows: the largest sum of log likelihood ratios to being new."""
        bound = within(self.config.gate, self.config.freedom)
        near = near_pairs(cells.zyx[here], expected.zyx_um, self._reach(expected, bound))
        offset = cells.zyx[here[near.one]] - expected.zyx_um[near.other]
        squared, log_size = mahalanobis(offset, expected.covariance_um2[near.other])
        new = np.log(self.config.p_appear) + cells.log_density[here[near.one]]
        gain = log_radial(squared, self.config.freedom) - log_size - new
        kept = squared <= bound
        return match(near.one[kept], near.other[kept], gain[kept], len(here), len(expected.zyx_um))

    def _reach(self, expected: Expected, bound: float) -> float:
        if not len(expected.zyx_um):
            return 0.0
        widest = float(np.sqrt(bound * np.linalg.eigvalsh(expected.covariance_um2)[:, -1].max()))
        return widest if self.config.max_distance_um is None else min(widest, self.config.max_distance_um)


def within(probability: float, freedom: float | None) -> float:
    """Squared Mahalanobis distance that a place is within by a probability: a quantile of χ²₃, or of 3 F(3, ν)."""
    from scipy.special import chdtri, fdtri

    return float(chdtri(3, 1 - probability) if freedom is None else 3 * fdtri(3, freedom, probability))


def log_radial(squared: NDArray[np.float64], freedom: float | None) -> NDArray[np.float64]:
    """Log density in three dimensions at squared Mahalanobis distances, but for the −½ log det of the covariance."""
    if freedom is None:
        return np.asarray(-(squared + 3 * np.log(2 * np.pi)) / 2)
    nu = freedom
    scale = lgamma((nu + 3) / 2) - lgamma(nu / 2) - 1.5 * np.log(nu * np.pi)
    return np.asarray(scale - (nu + 3) / 2 * np.log1p(squared / nu))
