"""From a config to a phantom: the tissue first, the cells in it, then every instrument's pose before it."""

from __future__ import annotations

import math

from phantom.acquisition import Acquisition
from phantom.anatomy.anatomy import Anatomy
from phantom.cells.history import History
from phantom.cells.simulation import simulated
from phantom.cells.texture import Look
from phantom.config import PhantomConfig
from phantom.phantom import Phantom
from phantom.pose import posed, seeded
from volumes.errors import ConfigError

MOST_MOMENTS = 100_000
"""Cells are simulated at no more moments than this, and no instrument takes more frames."""
MOST_VOXELS = 1 << 28
"""What is drawn at once, a slab with all planes that its blur reaches to, has no more voxels than this."""

MOST_BLURRED = 8192
"""Nor does blur reach over more planes than this: voxels that are so much finer than the optics show nothing."""


def built(config: PhantomConfig) -> Phantom:
    """The phantom of a config; each part draws from a generator of its own, so that one can change alone."""
    anatomy = config.anatomy.build(seeded(config.seed, "anatomy"))
    times = _moments(config)
    history = simulated(config.cells, anatomy, times, config.difficulty, seeded(config.seed, "cells"))
    acquisitions = {name: _acquisition(config, name, anatomy, history) for name in config.instruments}
    return Phantom(anatomy, history, acquisitions)


def _moments(config: PhantomConfig) -> tuple[float, ...]:
    """When the cells are simulated: every ``cells.dt_s`` from 0 until the last frame of any instrument is covered."""
    longest = 0.0
    for name, instrument in config.instruments.items():
        step = instrument.dt_s or config.cells.dt_s
        moments = (instrument.start_s + step * (instrument.frames - 1)) / config.cells.dt_s
        if max(moments, instrument.frames) > MOST_MOMENTS:
            raise ConfigError(
                f"needs {instrument.frames} frames and {moments:.3g} moments of the cells; {MOST_MOMENTS} are allowed",
                field=f"instruments.{name}.frames, start_s, dt_s",
                value=(instrument.frames, instrument.start_s, step),
                remedy="Take fewer frames, start earlier, or make cells.dt_s longer",
            )
        longest = max(longest, moments)
    steps = math.ceil(longest - 1e-9)
    return tuple(config.cells.dt_s * step for step in range(steps + 1))


def _acquisition(config: PhantomConfig, name: str, anatomy: Anatomy, history: History) -> Acquisition:
    instrument = config.instruments[name]
    acquisition = Acquisition(
        name=name,
        instrument=instrument.build(config.difficulty),
        pose=posed(instrument, anatomy.centre_um, anatomy.extent_um, config.seed, name),
        times_s=config.times_s(name),
        anatomy=anatomy,
        history=history,
        look=Look.at(config.difficulty),
        seed=config.seed,
    )
    _require_room(acquisition)
    return acquisition


def _require_room(acquisition: Acquisition) -> None:
    """Raise ConfigError for an instrument of which not even one slab fits into memory."""
    grid = acquisition.pose.grid
    halo = 2 * math.ceil(acquisition.instrument.halo_um / grid.spacing_um[0])
    planes = acquisition.slab_planes + halo
    if halo > MOST_BLURRED or planes * grid.shape[1] * grid.shape[2] > MOST_VOXELS:
        raise ConfigError(
            f"one slab has {planes} × {grid.shape[1]} × {grid.shape[2]} voxels, {halo} planes of them for the blur",
            field=f"instruments.{acquisition.name}.shape, spacing_um",
            value=(grid.shape, grid.spacing_um),
            remedy=f"Ask for fewer or larger voxels: {MOST_VOXELS} are drawn at once, {MOST_BLURRED} planes for blur",
        )
