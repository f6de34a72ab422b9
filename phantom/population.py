"""Cells that move a little and divide without ever touching one another or the border: where each is at each frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from scipy.spatial.transform import Rotation

from volumes.errors import ConfigError
from volumes.shapes import AnyArray, Triple

TRIES = 2000
"""Random places tried for a new cell before the field counts as full."""
MOVIES_TRIED = 20
"""Whole movies drawn before it is said that a division finds no room."""
AXES_TRIED = 60
"""Random axes tried for one division."""
SIZE_SPREAD = 0.1
"""Standard deviation of the logarithm of the radius."""
BRIGHTNESS_SPREAD = 0.25
"""Standard deviation of the logarithm of the brightness."""
ELONGATION = 0.15
"""Semi-axes differ from the radius by at most about this share."""


@dataclass(frozen=True)
class Nucleus:
    """One ellipsoidal nucleus at one frame.

    Parameters
    ----------
    label : its number, the same in all its frames, from 1.
    mother : the label of the nucleus it came from; 0 where there is none.
    centre_um : (z, y, x).
    semi_axes_um : three, along the columns of ``turn``.
    turn : rotation vector in radians, over (z, y, x).
    photons : light from each of its voxels.
    """

    label: int
    mother: int
    centre_um: Triple
    semi_axes_um: Triple
    turn: Triple
    photons: float

    @property
    def radius_um(self) -> float:
        """Radius of the sphere of equal volume."""
        return math.prod(self.semi_axes_um) ** (1 / 3)

    @property
    def reach_um(self) -> float:
        """Radius of the sphere that holds it."""
        return max(self.semi_axes_um)

    def touches(self, other: Nucleus) -> bool:
        """Whether the two spheres that hold them meet."""
        return math.dist(self.centre_um, other.centre_um) < self.reach_um + other.reach_um

    def fits(self, low_um: Sequence[float], high_um: Sequence[float], others: Sequence[Nucleus]) -> bool:
        """Whether it lies inside the box from ``low_um`` to ``high_um`` and touches none of the others."""
        r = self.reach_um
        inside = all(a + r <= c <= b - r for a, c, b in zip(low_um, self.centre_um, high_um, strict=True))
        return inside and not any(self.touches(other) for other in others)


@dataclass(frozen=True)
class Field:
    """The box cells live in, corner to corner in µm, and how they live: radius, photons a voxel, step a frame in µm."""

    low_um: Triple
    high_um: Triple
    radius_um: float
    photons: float
    step_um: float


def population(
    field: Field, cells: int, frames: int, divide: int, rng: np.random.Generator
) -> tuple[tuple[Nucleus, ...], ...]:
    """The nuclei of each frame.

    Cells walk at random; a step that would touch a neighbour or leave the field is not taken. ``divide`` of them
    divide once, spread evenly over the movie, into two of half the volume and the mother's brightness, which lie side
    by side where she was. No two cells of one frame touch.

    Raises
    ------
    ConfigError : the field is too small for so many cells or divisions.
    """
    births = [max(1, round((k + 1) * frames / (divide + 1))) for k in range(divide)]
    for _ in range(MOVIES_TRIED):
        movie = _drawn(field, cells, [births.count(frame) for frame in range(frames)], rng)
        if movie is not None:
            return movie
    raise ConfigError(
        "no cell has room to divide", field="divide", remedy="Ask for fewer or smaller cells, or a larger field"
    )


def _drawn(
    field: Field, cells: int, births: Sequence[int], rng: np.random.Generator
) -> tuple[tuple[Nucleus, ...], ...] | None:
    """One movie with so many divisions at each frame; None when one of them found no room."""
    labels = count(1)
    now: list[Nucleus] = []
    for _ in range(cells):
        now.append(_placed(field, next(labels), now, rng))
    movie = [tuple(now)]
    for divisions in births[1:]:
        now = _walked(field, now, rng)
        for _ in range(divisions):
            after = _divided(field, now, (next(labels), next(labels)), rng)
            if after is None:
                return None
            now = after
        movie.append(tuple(now))
    return tuple(movie)


def _placed(field: Field, label: int, others: Sequence[Nucleus], rng: np.random.Generator) -> Nucleus:
    size = field.radius_um * np.exp(SIZE_SPREAD * np.clip(rng.standard_normal(), -2, 2))
    shape = rng.uniform(1 - ELONGATION, 1 + ELONGATION, 3)
    semi_axes = _triple(size * shape / np.prod(shape) ** (1 / 3))
    turn = _triple(Rotation.random(rng=rng).as_rotvec())
    photons = float(field.photons * np.exp(BRIGHTNESS_SPREAD * rng.standard_normal()))
    reach = max(semi_axes)
    low, high = np.asarray(field.low_um) + reach, np.asarray(field.high_um) - reach
    for _ in range(TRIES if (low <= high).all() else 0):
        new = Nucleus(label, 0, _triple(rng.uniform(low, high)), semi_axes, turn, photons)
        if new.fits(field.low_um, field.high_um, others):
            return new
    raise ConfigError(
        f"the field has no room for cell {label}",
        field="cells",
        remedy="Ask for fewer or smaller cells, or a larger field",
    )


def _walked(field: Field, cells: Sequence[Nucleus], rng: np.random.Generator) -> list[Nucleus]:
    out = list(cells)
    for i, cell in enumerate(cells):
        step = field.step_um * rng.standard_normal(3)
        moved = replace(cell, centre_um=_triple(np.add(cell.centre_um, step)))
        if moved.fits(field.low_um, field.high_um, out[:i] + out[i + 1 :]):
            out[i] = moved
    return out


def _divided(
    field: Field, cells: Sequence[Nucleus], labels: tuple[int, int], rng: np.random.Generator
) -> list[Nucleus] | None:
    """The cells after one more of them divided, the first in random order that has room for it; None where none has."""
    undivided = [i for i in range(len(cells)) if cells[i].mother == 0]
    for i in rng.permutation(undivided).tolist():
        others = [*cells[:i], *cells[i + 1 :]]
        for _ in range(AXES_TRIED):
            pair = _daughters(cells[i], labels, rng)
            if all(daughter.fits(field.low_um, field.high_um, others) for daughter in pair):
                return [*others, *pair]
    return None


def _daughters(mother: Nucleus, labels: tuple[int, int], rng: np.random.Generator) -> tuple[Nucleus, Nucleus]:
    semi_axes = _triple(np.asarray(mother.semi_axes_um) * 0.5 ** (1 / 3))
    axis = rng.standard_normal(3)
    axis *= 1.02 * max(semi_axes) / np.linalg.norm(axis)
    ends = (_triple(np.add(mother.centre_um, axis)), _triple(np.subtract(mother.centre_um, axis)))
    first, second = (
        replace(mother, label=label, mother=mother.label, centre_um=end, semi_axes_um=semi_axes)
        for label, end in zip(labels, ends, strict=True)
    )
    return first, second


def _triple(values: AnyArray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
