"""Migrating cells: persistent random walks, drawn to a wound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.spatial.transform import Rotation

from phantom.cells.lives import Lives
from phantom.cells.motion import Finite, MotionSettings, NotNegative, Positive
from phantom.cells.room import Room
from volumes.shapes import AnyArray, Points

NEAR = 10.0
"""Within so many µm of a wound the pull fades, so that cells come to rest there."""


class MigrationConfig(MotionSettings):
    """Persistent random walk of single cells, such as leukocytes; they leave the field and others come in."""

    kind: Literal["migration"] = "migration"
    speed_um_s: NotNegative = Field(0.1, description="root mean square of the speed")
    persistence_s: Positive = Field(180.0, description="how long a cell keeps its course")
    elongation: NotNegative = Field(
        0.6, description="logarithm of length by width of a cell at twice that speed; it lies along its course"
    )
    wound_um: tuple[Finite, Finite, Finite] | None = Field(None, description="what draws the cells, in the specimen")
    attraction_um_s: NotNegative = Field(0.05, description="drift towards the wound, close to it")
    reach_um: Positive = Field(100.0, description="distance over which the drift falls to 37 %")

    def build(self, room: Room, rng: np.random.Generator) -> Migration:  # noqa: ARG002
        """The motion."""
        return Migration(self)


@dataclass(frozen=True)
class Migration:
    """Velocities of an Ornstein–Uhlenbeck process about a drift: ``dv = −v/P dt + noise``, ``dx = (v + u(x)) dt``.

    The walk alone has ``MSD(t) = 2 d D (t − P (1 − e^(−t/P)))`` with ``D = S² P / d``, P the persistence, S the speed
    (Fürth 1920, "Die Brownsche Bewegung bei Berücksichtigung einer Persistenz der Bewegungsrichtung", Zeitschrift für
    Physik 2; Uhlenbeck & Ornstein 1930, "On the theory of the Brownian motion", Physical Review 36).
    """

    config: MigrationConfig

    @property
    def speed_um_s(self) -> float:
        """Root mean square of speed and drift together."""
        drift = self.config.attraction_um_s if self.config.wound_um else 0.0
        return float(np.hypot(self.config.speed_um_s, drift))

    def started(self, lives: Lives, rng: np.random.Generator) -> Lives:
        """New cells with a velocity of the process at rest: normal, ``S²/3`` along each axis."""
        velocity = self.config.speed_um_s / np.sqrt(3) * rng.standard_normal((len(lives), 3))
        return self._aligned(replace(lives, velocity_um_s=velocity), velocity)

    def moved(self, lives: Lives, dt_s: float, rng: np.random.Generator) -> Lives:
        """The cells after ``dt_s``, exactly but for the drift, which counts from where they were."""
        c = self.config
        shift, velocity = walked(lives.velocity_um_s, dt_s, c.speed_um_s, c.persistence_s, rng)
        shift = shift + dt_s * self.drift(lives.centre_um)
        moved = replace(lives, centre_um=lives.centre_um + shift, velocity_um_s=velocity)
        return self._aligned(moved, shift / dt_s)

    def drift(self, points: Points) -> Points:
        """``u(x)``: towards the wound, ``a e^(−d/reach)``, fading within :data:`NEAR` of it, (n, 3) µm/s."""
        if self.config.wound_um is None:
            return np.zeros_like(points)
        way = np.asarray(self.config.wound_um) - points
        away = np.linalg.norm(way, axis=1, keepdims=True)
        pull = self.config.attraction_um_s * np.exp(-away / self.config.reach_um)
        return np.asarray(pull * way / np.maximum(away, NEAR))

    def _aligned(self, lives: Lives, course: Points) -> Lives:
        """Long axes (the first) turned onto the course by the shortest way, and longer the faster a cell is."""
        speed = np.linalg.norm(course, axis=1)
        goes = speed > 0
        turn = lives.turn.copy()
        turn[goes] = _onto(turn[goes][:, :, 0], course[goes] / speed[goes, None]) @ turn[goes]
        long = self.config.elongation * np.minimum(1, speed / max(2 * self.config.speed_um_s, 1e-12))
        uneven = (lives.log_axes[:, 1] - lives.log_axes[:, 2]) / 2
        axes = np.column_stack([2 / 3 * long, uneven - long / 3, -uneven - long / 3])
        return replace(lives, turn=turn, log_axes=axes)


def walked(
    velocity: Points, dt_s: float, speed_um_s: float, persistence_s: float, rng: np.random.Generator
) -> tuple[Points, Points]:
    """One step of the process, exact for any length: shifts (n, 3) µm and new velocities (n, 3) µm/s.

    Shift and velocity are drawn together (Gillespie 1996, "Exact numerical simulation of the Ornstein–Uhlenbeck process
    and its integral", Physical Review E 54).

    Parameters
    ----------
    velocity : (n, 3) µm/s.
    speed_um_s : root mean square of the speed.
    persistence_s : P.
    """
    p, variance = persistence_s, speed_um_s**2 / 3
    kept = np.exp(-dt_s / p)
    of_v = variance * -np.expm1(-2 * dt_s / p)
    of_both = variance * p * np.expm1(-dt_s / p) ** 2
    of_x = variance * p**2 * (2 * dt_s / p - 3 + 4 * kept - kept**2)
    first, second = rng.standard_normal((2, *velocity.shape))
    along = of_both / np.sqrt(of_v) if of_v > 0 else 0.0
    shift = velocity * p * (1 - kept) + along * first + np.sqrt(max(of_x - along**2, 0.0)) * second
    return shift, velocity * kept + np.sqrt(of_v) * first


def _onto(start: Points, end: Points) -> AnyArray:
    """Rotations (n, 3, 3) by the shortest way from unit vectors onto others (or onto their opposites, if nearer)."""
    end = end * np.where((start * end).sum(1) < 0, -1.0, 1.0)[:, None]
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, (start * end).sum(1))
    vector = axis * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 0.0)[:, None]
    return Rotation.from_rotvec(vector).as_matrix() if len(start) else np.zeros((0, 3, 3))
