"""How sure a pose is: either half of the specimen, registered alone from it, must come to the same one.

What lies right lies right in every part, whereas a wrong pose is a compromise between parts that each prefer another.
Where the two halves of three cuts end also tells how uncertain a right pose is: half the distance between two
independent estimates is what the error of their mean is expected to be. (A peak's curvature tells neither: intensities
of neighbouring samples depend on each other, and all of them on what the two modalities show differently.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from registration.linear.motion import RigidMotion, refine
from registration.linear.similarity import Similarity
from registration.linear.start import disagreement
from volumes.shapes import Matrix3, Matrix4, Points

ITERATIONS = 40
"""Steps of the climb of a half, at most."""


@dataclass(frozen=True)
class Halves:
    """How far the halves' poses lie from the whole's, in µm, at the coarsest and at the middle resolution."""

    coarse_um: float
    middle_um: float


def halves_um(similarity: Similarity, pose: RigidMotion, points_um: Points, tolerance: float) -> float:
    """Half the mean distance between the poses that two halves of a specimen come to; the median of three cuts.

    Parameters
    ----------
    similarity : of the whole.
    pose : the pose in question, which either half begins at and turns and shifts from.
    points_um : of the specimen, as much of it as both fields hold; each cut halves them, across a principal axis.
    tolerance : NMI; a step that gains less ends a climb.
    """
    middles = np.median(points_um @ (axes := _axes(points_um)), axis=0)
    out = []
    for upper in (similarity.samples.points_um @ axes > middles).T:
        ends = [_end(similarity, pose, side, tolerance) for side in (upper, ~upper)]
        out.append(disagreement(ends[0], ends[1], points_um) / 2)
    return float(np.median(out))


def _end(similarity: Similarity, pose: RigidMotion, side: Bool[np.ndarray, " n"], tolerance: float) -> Matrix4:
    """Where one half comes to."""
    return refine(similarity.only(side), pose, lambda _matrix, inside: inside > 0, ITERATIONS, tolerance).matrix


def _axes(points: Float64[np.ndarray, "n 3"]) -> Matrix3:
    """The principal axes, as columns."""
    away = points - points.mean(axis=0)
    axes: Matrix3 = np.linalg.eigh((away[:, :, None] * away[:, None]).mean(axis=0))[1]
    return axes
