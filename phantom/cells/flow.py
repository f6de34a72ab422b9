"""Tissue that flows: a steady field of velocities without sources or sinks, along the tissue's surface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.spatial.transform import Rotation

from phantom.cells.lives import Lives
from phantom.cells.motion import MotionSettings, NotNegative, Positive
from phantom.cells.room import Room, sampled
from volumes.shapes import AnyArray, Points, Voxels

MODES = 24
"""Waves that make up the vector potential."""
PROBES = 2000
"""Places at which the speed is measured, to scale it."""
TOUCH_UM = 2.0
"""Half the distance over which the vorticity is measured: about the radius of what it turns."""


class FlowConfig(MotionSettings):
    """Cells carried by a smooth flow of the tissue, such as in gastrulation, with a little motion of their own."""

    kind: Literal["flow"] = "flow"
    speed_um_s: NotNegative = Field(0.01, description="root mean square of the flow's speed")
    scale_um: Positive | None = Field(
        None, description="wavelength of the flow's eddies; left out: the field's longest side"
    )
    jitter_um2_s: NotNegative = Field(0.002, description="diffusion coefficient of each cell's own motion")

    def build(self, room: Room, rng: np.random.Generator) -> Flow:
        """The flow, drawn at random, in a room."""
        scale = self.scale_um or float((room.high_um - room.low_um).max())
        return flow(room, self.speed_um_s, scale, self.jitter_um2_s, rng)


@dataclass(frozen=True, eq=False)
class Flow:
    """``v = ∇ × (w A)``, which has no divergence; ``A = Σ a_k cos(k · x + φ_k)``, w vanishing on the tissue's surface.

    Cross products take (z, y, x) for right-handed throughout, as rotation vectors do, so that no sign is lost.
    On the surface ``v = ∇w × A`` is tangent to it, so that nothing flows out. A curl of random waves: Kraichnan 1970,
    "Diffusion by a random velocity field", Physics of Fluids 13; tapered along walls: Bridson, Hourihan & Nordenstam
    2007, "Curl-noise for procedural fluid flow", ACM Transactions on Graphics 26.

    Parameters
    ----------
    waves, strengths, phases : k (m, 3) 1/µm, a (m, 3) µm²/s, φ (m,).
    taper : w on the nodes of the room, (z, y, x).
    low_um, step_um : where those lie.
    jitter_um2_s : diffusion coefficient.
    speed_um_s : root mean square of the speed.
    """

    waves: Points
    strengths: Points
    phases: AnyArray
    taper: Voxels
    low_um: AnyArray
    step_um: AnyArray
    jitter_um2_s: float
    speed_um_s: float

    def velocity(self, points: Points) -> Points:
        """``v = w ∇ × A + ∇w × A`` at places (n, 3), µm/s."""
        phase = points @ self.waves.T + self.phases
        potential = np.cos(phase) @ self.strengths
        curl = -np.sin(phase) @ np.cross(self.waves, self.strengths)
        w = sampled(self.taper, self.low_um, self.step_um, points)
        return np.asarray(w[:, :1] * curl + np.cross(w[:, 1:], potential))

    def vorticity(self, points: Points) -> Points:
        """``∇ × v`` at places (n, 3), 1/s, by differences over a nucleus."""
        out = np.zeros_like(points)
        for axis in range(3):
            unit = np.zeros((1, 3))
            unit[0, axis] = 1.0
            slope = (self.velocity(points + TOUCH_UM * unit) - self.velocity(points - TOUCH_UM * unit)) / (2 * TOUCH_UM)
            out += np.cross(np.broadcast_to(unit, slope.shape), slope)
        return out

    def started(self, lives: Lives, rng: np.random.Generator) -> Lives:  # noqa: ARG002
        """New cells as they are: the flow carries them, whatever velocity they have."""
        return lives

    def moved(self, lives: Lives, dt_s: float, rng: np.random.Generator) -> Lives:
        """The cells after ``dt_s``: carried (midpoint rule), turned by half the vorticity, jittered."""
        half = lives.centre_um + dt_s / 2 * self.velocity(lives.centre_um)
        jitter = np.sqrt(2 * self.jitter_um2_s * dt_s) * rng.standard_normal((len(lives), 3))
        turn = lives.turn
        if len(lives):
            turn = Rotation.from_rotvec(self.vorticity(half) * dt_s / 2).as_matrix() @ turn
        return replace(lives, centre_um=lives.centre_um + dt_s * self.velocity(half) + jitter, turn=turn)


def flow(room: Room, speed_um_s: float, scale_um: float, jitter_um2_s: float, rng: np.random.Generator) -> Flow:
    """A random flow in a room, with the given root mean square of the speed where cells live.

    Parameters
    ----------
    scale_um : wavelength of the eddies; the waves' lengths lie between it and 1.5 times it.
    """
    way = rng.standard_normal((MODES, 3))
    number = 2 * np.pi / (scale_um * rng.uniform(1, 1.5, MODES))
    waves = way / np.linalg.norm(way, axis=1, keepdims=True) * number[:, None]
    strengths, phases = rng.standard_normal((MODES, 3)), rng.uniform(0, 2 * np.pi, MODES)
    width = min(scale_um / 4, float(room.depth_um.max()))
    taper = 1 - (1 - np.clip(room.depth_um / width, 0, 1)) ** 2
    plain = Flow(waves, strengths, phases, taper, room.low_um, room.step_um, jitter_um2_s, speed_um_s)
    rms = float(np.sqrt((plain.velocity(room.drawn(PROBES, rng)) ** 2).sum(1).mean()))
    return replace(plain, strengths=strengths * speed_um_s / rms)
