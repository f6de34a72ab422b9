"""Refine a view: damped Gauss–Newton steps on what its projection leaves of the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from registration.projection.fit import Fit, Scene, View
from volumes.shapes import AnyArray

STEP_PX = 0.25
"""Pixels by which the difference quotients move the specimen's rim."""
DAMPING, EASED, STIFFENED = 1e-2, 0.3, 4.0
"""Damping at the start, and its factors after a step that helps and one that does not."""
STIFFEST = 1e4
"""Damping beyond which no step helps."""
SETTLED_PX = 0.02
"""A step shorter than this ends the refinement."""
LARGEST_PX = 4.0
"""No step is longer than this."""
SCALE_BOUND = 0.3
"""The logarithm of the scale stays within this."""


@dataclass(frozen=True)
class Free:
    """Which parameters may change beside rotation and shift, and how far the rim moves for one pixel.

    Parameters
    ----------
    scale : whether the scale may.
    attenuation : whether the attenuation may.
    """

    scale: bool = False
    attenuation: bool = False

    @property
    def count(self) -> int:
        """Parameters."""
        return 5 + self.scale + self.attenuation


@dataclass(frozen=True)
class Refined:
    """A view, what it explains, and what bounds it.

    Parameters
    ----------
    view : refined.
    fit : what it explains and leaves.
    slopes : ∂rest/∂parameters (n, p) near the end; parameters are lengths in µm at the specimen's rim.
    evaluations : projections drawn.
    """

    view: View
    fit: Fit
    slopes: AnyArray
    evaluations: int


def refine(scene: Scene, start: View, radius_um: float, free: Free, steps: int) -> Refined:
    """The view near ``start`` that leaves least, by Levenberg and Marquardt with the linear part solved for each view.

    Golub & Pereyra 1973, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", SIAM J. Numer. Anal. 10:413. Derivatives are difference quotients: a projection is cheap.

    Parameters
    ----------
    scene : at one resolution.
    start : where to begin.
    radius_um : the specimen's, which makes lengths of angles.
    free : what may change beside rotation and shift.
    steps : at most.
    """
    pixel = float(scene.screen.pixel_um.max())
    view, fit = start, scene.fit(start)
    slopes, damping, tried = differences(scene, view, fit, radius_um, free), DAMPING, 1 + free.count
    for _ in range(steps):
        step = _step(slopes, fit, damping, pixel)
        ahead = moved(view, step, radius_um, free)
        there = scene.fit(ahead)
        tried += 1
        if there.explained > fit.explained:
            view, fit, damping = ahead, there, damping * EASED
            if float(np.abs(step).max()) < SETTLED_PX * pixel:
                break
            slopes, tried = differences(scene, view, fit, radius_um, free), tried + free.count
        else:
            damping *= STIFFENED
            if damping > STIFFEST or float(np.abs(step).max()) < SETTLED_PX * pixel:
                break
    return Refined(view, fit, slopes, tried)


def moved(view: View, parameters: Float64[np.ndarray, " p"], radius_um: float, free: Free) -> View:
    """A view after a move by parameters that are lengths in µm at the rim: turn (3), shift (2), scale, attenuation."""
    ahead = replace(view.turned(parameters[:3] / radius_um), shift_um=view.shift_um + parameters[3:5])
    if free.scale:
        log_scale = np.log(view.scale) + parameters[5] / radius_um
        ahead = replace(ahead, scale=float(np.exp(np.clip(log_scale, -SCALE_BOUND, SCALE_BOUND))))
    if free.attenuation:
        change = parameters[-1] / radius_um**2
        ahead = replace(ahead, attenuation=float(np.clip(view.attenuation + change, 0, 10 / radius_um)))
    return ahead


def differences(scene: Scene, view: View, fit: Fit, radius_um: float, free: Free) -> AnyArray:
    """∂rest/∂parameters (n, p), forward differences."""
    step = STEP_PX * float(scene.screen.pixel_um.max())
    here = fit.weighed(fit)
    columns = [
        (scene.fit(moved(view, row, radius_um, free)).weighed(fit) - here) / step for row in np.eye(free.count) * step
    ]
    return np.stack(columns, axis=1)


def _step(slopes: AnyArray, fit: Fit, damping: float, pixel_um: float) -> Float64[np.ndarray, " p"]:
    normal = slopes.T @ slopes
    normal[np.diag_indices_from(normal)] += damping * np.diag(normal) + 1e-9 * np.trace(normal) + 1e-30
    step: Float64[np.ndarray, " p"] = -np.linalg.solve(normal, slopes.T @ fit.weighed(fit))
    return step * min(1.0, LARGEST_PX * pixel_um / max(float(np.abs(step).max()), 1e-30))
