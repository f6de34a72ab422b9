"""Nuclei made from a recipe: sizes, axes, turns, bumps, brightness and texture of each."""

from __future__ import annotations

import numpy as np

from phantom.cells.cells import DYES, Cells
from phantom.cells.shape import BUMPS
from phantom.cells.texture import Look, dressed
from phantom.nuclei.drawing import Nuclei
from phantom.nuclei.recipe import Bodies, Recipe
from volumes.shapes import AnyArray, Points

BUMPIEST = 0.45
"""Σ|b| of the bumpiest nucleus; a body's radius stays far above 0."""
FADES = 0.08
"""Standard deviation of how much nuclei of one specimen fade."""


def population(centres: Points, recipe: Recipe, shapes: int, rng: np.random.Generator) -> Nuclei:
    """A nucleus at each centre.

    Parameters
    ----------
    centres : (n, 3) voxels.
    recipe : of the specimen.
    shapes : how many given shapes there are to choose from.
    rng : all randomness.
    """
    bodies, stain, count = recipe.bodies, recipe.stain, len(centres)
    bright = rng.random(count) < stain.bright
    size = 0.5 * bodies.diameter * np.exp(bodies.size_spread * rng.standard_normal(count)) * np.where(bright, 0.8, 1)
    real = (rng.random(count) < bodies.real) & (shapes > 0)
    frame = _frames(size, real, bodies, rng)
    return Nuclei(
        centre=np.ascontiguousarray(centres, np.float64),
        frame=frame,
        bumps=np.where(real[:, None], 0, _bumps(count, bodies, rng)),
        shape=np.where(real, rng.integers(0, max(shapes, 1), count), -1),
        brightness=np.exp(stain.spread * rng.standard_normal(count)) * np.where(bright, rng.uniform(1.5, 4), 1),
        dress=_dress(frame, bright, stain.look, rng),
        split=_splits(count, stain.split, rng),
        fade=np.clip(stain.fade + FADES * rng.standard_normal(count), 0, 0.95) * (stain.fade > 0),
    )


def _frames(size: AnyArray, real: AnyArray, bodies: Bodies, rng: np.random.Generator) -> AnyArray:
    """(n, 3, 3): axes whose lengths multiply to size³, turned at random, then flattened along z."""
    count = len(size)
    logs = bodies.elongation * rng.standard_normal((count, 3)) * np.where(real, 0.3, 1)[:, None]
    axes = size[:, None] * np.exp(np.clip(logs - logs.mean(1, keepdims=True), -0.8, 0.8))
    turns = np.linalg.qr(rng.standard_normal((count, 3, 3)))[0] if count else np.zeros((0, 3, 3))
    turns[..., 0] *= np.sign(np.linalg.det(turns))[:, None]  # a mirrored frame is no turn
    squash = np.array([bodies.flatness, 1.0, 1.0]) * bodies.flatness ** (-1 / 3)
    return np.ascontiguousarray(squash[:, None] * turns * axes[:, None, :])


def _bumps(count: int, bodies: Bodies, rng: np.random.Generator) -> AnyArray:
    drawn = rng.standard_normal((count, BUMPS)) * np.concatenate([np.full(7, 1.0), np.full(9, 0.6)])
    total = np.abs(drawn).sum(1, keepdims=True)
    return np.asarray(bodies.bumps * BUMPIEST * rng.random((count, 1)) * drawn / np.maximum(total, 1e-9))


def _dress(frame: AnyArray, bright: AnyArray, look: Look, rng: np.random.Generator) -> AnyArray:
    """Textures; each follows from a number drawn here, and condensed nuclei are even."""
    count = len(frame)
    cells = Cells(
        number=np.arange(1, count + 1, dtype=np.int32),
        mother=np.zeros(count, np.int32),
        centre_um=np.zeros((count, 3)),
        frame_um=frame,
        bumps=np.zeros((count, BUMPS)),
        body=np.ones(count),
        condensed=np.where(bright, 0.9, 0.0),
        brightness=np.ones((count, len(DYES))),
        seed=rng.integers(0, 1 << 62, count),
    )
    return np.ascontiguousarray(dressed(cells, look))


def _splits(count: int, share: float, rng: np.random.Generator) -> AnyArray:
    normal = rng.standard_normal((count, 3))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    depth = np.where(rng.random(count) < share, rng.uniform(0.4, 0.9, count), 0)
    return np.concatenate([normal, depth[:, None], rng.uniform(0.08, 0.22, (count, 1))], 1)
