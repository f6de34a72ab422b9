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


def built(config: PhantomConfig) -> Phantom:
    """The phantom of a config; each part draws from a generator of its own, so that one can change alone."""
    anatomy = config.anatomy.build(seeded(config.seed, "anatomy"))
    times = _moments(config)
    history = simulated(config.cells, anatomy, times, config.difficulty, seeded(config.seed, "cells"))
    acquisitions = {name: _acquisition(config, name, anatomy, history) for name in config.instruments}
    return Phantom(anatomy, history, acquisitions)


def _moments(config: PhantomConfig) -> tuple[float, ...]:
    """When the cells are simulated: every ``cells.dt_s`` from 0 until the last frame of any instrument is covered."""
    last = max(config.times_s(name)[-1] for name in config.instruments)
    steps = math.ceil(last / config.cells.dt_s - 1e-9)
    return tuple(config.cells.dt_s * step for step in range(steps + 1))


def _acquisition(config: PhantomConfig, name: str, anatomy: Anatomy, history: History) -> Acquisition:
    instrument = config.instruments[name]
    return Acquisition(
        name=name,
        instrument=instrument.build(config.difficulty),
        pose=posed(instrument, anatomy.centre_um, anatomy.extent_um, config.seed, name),
        times_s=config.times_s(name),
        anatomy=anatomy,
        history=history,
        look=Look.at(config.difficulty),
        seed=config.seed,
    )
