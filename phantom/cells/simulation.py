"""The lives of cells, moment by moment: they move, make room, divide, die, leave and enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from phantom.cells.cells import Cells
from phantom.cells.config import CellsConfig
from phantom.cells.divisions import Cycle, divided, fated, grown
from phantom.cells.history import History, checked_times
from phantom.cells.lineage_motion import LineageMotionConfig, followed
from phantom.cells.lives import Lives, Looks, joined, newborn, put
from phantom.cells.migration import MigrationConfig
from phantom.cells.motion import Motion
from phantom.cells.packing import placed, pushed, relaxed
from phantom.cells.room import Room, Tissue, room
from volumes.errors import ConfigError
from volumes.shapes import Points

STRIDE = 0.5
"""Cells make room for one another at least whenever they have gone so many radii."""
MOST_STRIDES = 10
"""But not more often than this between two moments."""
SHORTEST = 4
"""A cycle has at least so many moments."""
PATIENCE = 40
"""Lists of neighbours before a migrating cell that finds no room leaves the tissue, as by a vessel."""
GATES = 40
"""Places looked at for each cell that enters."""


@dataclass(frozen=True, eq=False)
class _World:
    """What stays the same while cells live."""

    room: Room
    motion: Motion
    looks: Looks
    cycle: Cycle
    has_border: bool


def simulated(
    config: CellsConfig, anatomy: Tissue, times_s: Sequence[float], difficulty: float, rng: np.random.Generator
) -> History:
    """The cells of a specimen at each moment, without overlap above :data:`~phantom.cells.packing.TOLERANCE`.

    Migrating cells may cross the field's border: as many enter as leave. One that is squeezed so that it finds no room
    leaves, too. Flowing ones stay, and more than have room are refused.

    Parameters
    ----------
    config : what cells, and how they live.
    anatomy : where they may live.
    times_s : the moments, increasing.
    difficulty : 0 to 1; it sets what the config leaves open.
    rng : the same state gives the same history.

    Raises
    ------
    ConfigError : moments that do not increase or are too rare for the cycle, no living tissue, or no room.
    TableError : a lineage table that cannot be read.
    """
    times = checked_times(times_s)
    centre = anatomy.centre_um if config.centre_um is None else config.centre_um
    size = anatomy.extent_um if config.size_um is None else config.size_um
    looks, cycle = config.looks(difficulty), config.cycle()
    border = isinstance(config.motion, MigrationConfig)
    closed = not border and not isinstance(config.motion, LineageMotionConfig)
    where = room(anatomy, np.asarray(centre), np.asarray(size), looks.radius_um / 2, closed)
    if isinstance(config.motion, LineageMotionConfig):
        own = config.radius_um is None
        return History(times, followed(config.motion, where, times, looks, cycle.mitosis_s, own, rng))
    if len(times) > 1 and cycle.length_s < SHORTEST * np.diff(times).max():
        raise ConfigError(
            f"must last {SHORTEST} moments or more", field="cycle_h", value=config.cycle_h, remedy="Make dt_s shorter"
        )
    world = _World(where, config.motion.build(where, rng), looks, cycle, border)
    return History(times, _lived(world, _first(config, world, times, rng), times, rng))


def _first(config: CellsConfig, world: _World, times: NDArray[np.float64], rng: np.random.Generator) -> Lives:
    """The cells of the first moment, at their places, each with its fate."""
    volume = 4 / 3 * np.pi * world.looks.radius_um**3 * np.exp(4.5 * world.looks.size_spread**2)
    n = config.count or max(1, round(config.density * world.room.volume_um3 / volume))
    lives = newborn(n, 1, world.looks, rng)
    lives = world.motion.started(put(lives, np.tile(world.room.low_um, (n, 1))), rng)
    lives = fated(lives, world.cycle, np.full(n, times[0]), rng, midway=True)
    return put(lives, placed(lives.seen(times[0], world.cycle.mitosis_s), world.room, rng))


def _lived(world: _World, lives: Lives, times: NDArray[np.float64], rng: np.random.Generator) -> tuple[Cells, ...]:
    """What is seen at each moment."""
    moments = [lives.seen(times[0], world.cycle.mitosis_s)]
    issued = int(lives.number.max())
    for before, now in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        lives = _stepped(world, lives, before, now, issued + 1, rng)
        issued = max(issued, int(lives.number.max(initial=0)))
        moments.append(lives.seen(now, world.cycle.mitosis_s))
    return tuple(moments)


def _stepped(world: _World, lives: Lives, before: float, now: float, first: int, rng: np.random.Generator) -> Lives:
    """The cells a moment later; new ones are numbered from ``first``."""
    cycle, dt_s, n = world.cycle, now - before, len(lives)
    strides = int(np.clip(np.ceil(world.motion.speed_um_s * dt_s / (STRIDE * world.looks.radius_um)), 1, MOST_STRIDES))
    for k in range(strides):
        lives = _kept(world, world.motion.moved(lives, dt_s / strides, rng))
        if k < strides - 1:
            lives = _parted(world, lives, before + (k + 1) * dt_s / strides)
    entering = n - len(lives)
    lives = lives.rows(lives.dies_s > now)
    stays = lives.divides_s > now
    growing = grown(lives, cycle, dt_s, world.room.volume_um3)
    lives = replace(lives, radius_um=np.where(stays, growing.radius_um, lives.radius_um))
    lives = divided(_inside(world, lives), now, world.looks, cycle, world.room.tissue, first, rng)
    if entering:
        first = max(first, int(lives.number.max(initial=0)) + 1)
        lives = joined([lives, _entered(world, lives, entering, first, now, rng)])
    return _parted(world, lives, now)


def _kept(world: _World, lives: Lives) -> Lives:
    """The cells that are still in the field, where it has a border that they can cross."""
    return lives.rows(world.room.holds(lives.centre_um)) if world.has_border else lives


def _inside(world: _World, lives: Lives) -> Lives:
    """The cells, those that went where they cannot live put back."""
    centre = np.clip(lives.centre_um, world.room.low_um, world.room.high_um)
    living = world.room.tissue.living(centre)
    return put(lives, np.where(living[:, None], centre, lives.home_um))


def _parted(world: _World, lives: Lives, time_s: float) -> Lives:
    """The cells after making room for one another; where the field has a border, without those that find none."""
    seen = lives.seen(time_s, world.cycle.mitosis_s)
    while world.has_border:
        centre, crowded = pushed(seen, world.room, lives.home_um, PATIENCE)
        if not len(crowded):
            return put(lives, centre)
        stays = np.ones(len(lives), bool)
        stays[crowded.max(1)] = False
        lives, seen = lives.rows(stays), seen.rows(stays)
    try:
        return put(lives, relaxed(seen, world.room, lives.home_um))
    except ConfigError as error:
        raise ConfigError(
            f"{error.problem} at {time_s:g} s", field=error.field, value=error.value, remedy=error.remedy
        ) from error


def _entered(world: _World, lives: Lives, n: int, first: int, now: float, rng: np.random.Generator) -> Lives:
    """So many new cells at the field's border, heading inwards, each at the emptiest of some random places."""
    new = newborn(n, first, world.looks, rng)
    new = world.motion.started(new, rng)
    new = fated(new, world.cycle, np.full(n, now), rng, midway=True)
    places, inwards = _gates(world.room, n * GATES, rng)
    if not len(places):
        return new.rows(np.zeros(0, np.int64))
    empty = np.asarray(cKDTree(lives.centre_um).query(places)[0]) if len(lives) else np.zeros(len(places))
    parts = np.array_split(np.arange(len(places)), min(n, len(places)))
    at = np.array([part[np.argmax(empty[part])] for part in parts])
    new = new.rows(np.arange(len(at)))
    toward = np.sign(inwards[at])
    velocity = np.where(toward != 0, toward * np.abs(new.velocity_um_s), new.velocity_um_s)
    return put(replace(new, velocity_um_s=velocity), places[at])


def _gates(room: Room, n: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Up to n random living places on the box's faces, evenly by area, and the way inwards from each."""
    size = room.high_um - room.low_um
    axis = rng.choice(3, n, p=(area := np.prod(size) / size) / area.sum())
    side = rng.integers(0, 2, n)
    places = room.low_um + rng.random((n, 3)) * size
    rows = np.arange(n)
    places[rows, axis] = np.where(side == 0, room.low_um[axis], room.high_um[axis])
    inwards = np.zeros((n, 3))
    inwards[rows, axis] = 1.0 - 2.0 * side
    living = np.asarray(room.tissue.living(places))
    return places[living], inwards[living]
