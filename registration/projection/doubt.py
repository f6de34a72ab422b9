"""How far a pose may be trusted: its rivals, and how sharply the picture holds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from registration.projection.align import Outcome, Stage
from registration.projection.fit import View
from registration.projection.refine import STEP_PX, Free, moved, refine
from volumes.shapes import AnyArray

RIVAL = 0.08
"""A different pose over which the best gains less than this is nearly as good: the mean of ln(left) over both bands."""
FINE = 16.0
"""Pixels to the radius from which that holds; with fewer, each gains more by chance, and more is asked of a gain."""
LOOSE = 0.15
"""A pose whose deviation is above this share of the specimen's radius is held too loosely."""
STEPS = 12
"""Steps that half a picture may move the pose by."""
FEWEST = 200
"""Pixels of a half that says something."""
TORN = 0.1
"""A pose that half the picture alone moves by more than this share of the radius is in doubt."""
TILES = 8
"""The picture is cut into so many parts along either side, whose pulls on the pose are taken to be independent."""


def rivals_um(stage: Stage, outcome: Outcome) -> float:
    """How far the furthest of the nearly as good poses lies from the best; 0 where there is none."""
    near = [one for one, gain in outcome.others if gain < needed(stage, outcome)]
    return max((stage.apart_um(one.view, outcome.best.view) for one in near), default=0.0)


def needed(stage: Stage, outcome: Outcome) -> float:
    """The gain over another pose that makes the best one certain, at the finest pixels worked on."""
    pixels = stage.specimen.radius_um / float(outcome.scene.screen.pixel_um.max())
    return RIVAL * max(1.0, FINE / pixels)


def halves_um(stage: Stage, outcome: Outcome, free: Free) -> float:
    """How far a half of the picture alone would move the pose: the furthest of its left, right, upper and lower one.

    Where the picture shows another specimen, or the model is wrong, each half is explained best by a pose of its own.
    """
    best, scene = outcome.best.view, outcome.scene
    middle = (best.shift_um - scene.screen.first_um) / scene.screen.pixel_um
    places = np.meshgrid(
        *(np.arange(n) - m for n, m in zip(scene.screen.known.shape, middle, strict=True)), indexing="ij"
    )
    out = 0.0
    for place in places:
        for half in (place < 0, place >= 0):
            known = scene.screen.known & half
            if np.count_nonzero(known) < FEWEST:
                continue
            part = replace(scene, screen=replace(scene.screen, known=known))
            alone = refine(part, best, stage.specimen.radius_um, free, STEPS)
            out = max(out, stage.apart_um(alone.view, best))
    return out


def deviation_um(stage: Stage, outcome: Outcome, free: Free) -> float:
    """The standard deviation of where a point of the specimen is seen in the picture.

    From the sandwich H⁻¹ M H⁻¹ (White 1982, "Maximum likelihood estimation of misspecified models", Econometrica 50):
    H is JᵀJ of the slopes, M the sum over the picture's tiles of g gᵀ, g being a tile's part of the gradient.
    """
    best, scene, radius = outcome.best, outcome.scene, stage.specimen.radius_um
    rest = best.fit.weighed(best.fit)
    tiles = np.tile(_tiles(scene.screen.known), 2)
    pulls = np.stack([np.bincount(tiles, column * rest, TILES * TILES) for column in best.slopes.T], axis=1)
    normal = best.slopes.T @ best.slopes
    normal[np.diag_indices_from(normal)] += 1e-6 * np.trace(normal) / len(normal) + 1e-30
    inverse = np.linalg.inv(normal)
    covariance = inverse @ (pulls.T @ pulls) @ inverse
    step = STEP_PX * float(scene.screen.pixel_um.max())
    columns = [_seen(stage, moved(best.view, row, radius, free)) for row in np.eye(free.count) * step]
    motions = (np.stack(columns, axis=-1) - _seen(stage, best.view)[..., None]) / step
    squares = np.einsum("nip,pq,niq->n", motions, covariance, motions)
    return float(np.sqrt(max(squares.mean(), 0.0)))


def _seen(stage: Stage, view: View) -> AnyArray:
    points = stage.specimen.foreground_um @ (view.scale * view.rotation).T @ stage.axes
    out: AnyArray = points[:, 1:] + view.shift_um
    return out


def _tiles(known: AnyArray) -> AnyArray:
    """The tile of each known pixel (n,)."""
    row, column = np.nonzero(known)
    out: AnyArray = (row * TILES // known.shape[0]) * TILES + column * TILES // known.shape[1]
    return out
