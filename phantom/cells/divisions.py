"""Cells that divide, grow and die: when, and into what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phantom.cells.lives import Lives, Looks, joined, shaped
from phantom.cells.room import Tissue
from volumes.shapes import Points

CYCLE_SPREAD = 0.15
"""Deviation of a cell's cycle, as a share of its length."""
SPLIT_SPREAD = 0.02
"""Deviation of a daughter's share of the mother's volume from one half; at most thrice that."""
ALIKE = 0.08
"""Deviation of the logarithm of a daughter's brightness from her mother's."""
AXES_TRIED = 12
"""Axes tried for a division next to the surface, before the cell waits for the next moment."""
TILT = 0.5
"""How far an axis of division strays from the long axis, which it mostly follows (Hertwig 1884)."""
FULLEST = 0.5
"""Nuclei stop growing once they fill so much of the living tissue."""


@dataclass(frozen=True)
class Cycle:
    """How fast cells live.

    Parameters
    ----------
    length_s : from division to division; inf where they never divide.
    mitosis_s : how long a mother rounds up before, her daughters flatten after.
    deaths_per_s : rate of death of each cell.
    growth : share of the volume lost in a division that a daughter gains until she divides.
    """

    length_s: float
    mitosis_s: float
    deaths_per_s: float
    growth: float


def fated(lives: Lives, cycle: Cycle, from_s: NDArray[np.float64], rng: np.random.Generator, *, midway: bool) -> Lives:
    """The cells with the instants of their divisions and deaths drawn.

    Lengths of cycles are normal; deaths come at a constant rate. Whichever comes first is kept. Cells met midway have
    the ages of a growing population, ``p(a) ∝ 2^(−a/T)`` (Powell 1956, "Growth rate and generation time of bacteria",
    Journal of General Microbiology 15).

    Parameters
    ----------
    from_s : since when each one lives, or when it is met midway, (n,).
    midway : whether they are met midway.
    """
    n = len(lives)
    spread = 1 + CYCLE_SPREAD * np.clip(rng.standard_normal(n), -3, 3)
    age = -np.log2(1 - rng.random(n) / 2) if midway else np.zeros(n)
    lengths = np.full(n, np.inf) if np.isinf(cycle.length_s) else cycle.length_s * spread * (1 - age)
    waits = rng.exponential(1.0, n)
    dies = from_s + (waits / cycle.deaths_per_s + cycle.mitosis_s if cycle.deaths_per_s > 0 else np.inf)
    divides = from_s + lengths
    first = dies - cycle.mitosis_s < divides
    return replace(lives, divides_s=np.where(first, np.inf, divides), dies_s=np.where(first, dies, np.inf))


def grown(lives: Lives, cycle: Cycle, dt_s: float, room_um3: float) -> Lives:
    """The cells after growing for a while, evenly, so that what was lost is back after a cycle; not in a full room."""
    volume, full = lives.radius_um**3, lives.full_um**3
    if not cycle.growth or np.isinf(cycle.length_s) or 4 / 3 * np.pi * volume.sum() > FULLEST * room_um3:
        return lives
    gain = cycle.growth * full / 2 * dt_s / cycle.length_s
    return replace(lives, radius_um=np.cbrt(np.minimum(volume + gain, np.maximum(full, volume))))


def divided(
    lives: Lives, time_s: float, looks: Looks, cycle: Cycle, tissue: Tissue, first: int, rng: np.random.Generator
) -> Lives:
    """The cells after the divisions that are due: mothers gone, daughters behind all others, two by two.

    The daughters' volumes sum to the mother's; they touch, and their centroid, weighted by volume, is hers. A mother
    that finds no axis with both daughters in living tissue waits.

    Parameters
    ----------
    time_s : now.
    first : the first daughter's number; the others follow.
    """
    due = np.flatnonzero(lives.divides_s <= time_s)
    share = 0.5 + SPLIT_SPREAD * np.clip(rng.standard_normal(len(due)), -3, 3)
    mothers = lives.rows(due)
    places, fine = _pairs(mothers, share, tissue, rng)
    if not fine.any():
        return lives
    stay = np.ones(len(lives), bool)
    stay[due[fine]] = False
    pair = daughters(mothers.rows(fine), share[fine], first, looks, rng)
    pair = replace(pair, centre_um=places[fine].reshape(-1, 3), home_um=places[fine].reshape(-1, 3))
    pair = fated(pair, cycle, np.full(len(pair), time_s), rng, midway=False)
    return joined([lives.rows(stay), pair])


def daughters(mothers: Lives, share: NDArray[np.float64], first: int, looks: Looks, rng: np.random.Generator) -> Lives:
    """Two daughters of each mother, one after the other, where she is, without a fate.

    Parameters
    ----------
    mothers : m cells.
    share : of the volume that goes to the first daughter, (m,).
    first : the first daughter's number.
    """
    twice = np.repeat(np.arange(len(mothers)), 2)
    both = mothers.rows(twice)
    n = len(both)
    log_axes, turn, bumps = shaped(n, looks, rng)
    shares = np.column_stack([share, 1 - share]).ravel()
    return replace(
        both,
        number=np.arange(first, first + n, dtype=np.int32),
        mother=both.number,
        radius_um=both.radius_um * np.cbrt(shares),
        log_axes=log_axes,
        turn=turn,
        bumps=bumps,
        brightness=both.brightness * np.exp(ALIKE * rng.standard_normal((n, 3))),
        seed=rng.integers(0, 2**62, n),
        born_s=both.divides_s,
        divides_s=np.full(n, np.inf),
        dies_s=np.full(n, np.inf),
    )


def _pairs(
    mothers: Lives, share: NDArray[np.float64], tissue: Tissue, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Places (m, 2, 3) of both daughters, and whether both are in living tissue, (m,)."""
    m = len(mothers)
    places, fine = np.zeros((m, 2, 3)), np.zeros(m, bool)
    apart = mothers.radius_um * (np.cbrt(share) + np.cbrt(1 - share))
    for _ in range(AXES_TRIED):
        if fine.all():
            break
        axis = _axes(mothers, rng) * apart[:, None]
        tried = mothers.centre_um[:, None] + np.stack([axis * (1 - share)[:, None], -axis * share[:, None]], 1)
        living = np.asarray(tissue.living(tried.reshape(-1, 3))).reshape(m, 2).all(1)
        places[living & ~fine] = tried[living & ~fine]
        fine |= living
    return places, fine


def _axes(mothers: Lives, rng: np.random.Generator) -> Points:
    """A unit vector each, about the longest axis."""
    longest = np.argmax(mothers.log_axes, 1)
    axis = mothers.turn[np.arange(len(mothers)), :, longest] + TILT * rng.standard_normal((len(mothers), 3))
    return np.asarray(axis / np.linalg.norm(axis, axis=1, keepdims=True))
