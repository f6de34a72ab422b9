"""Phantoms to learn from: what an instrument of :mod:`phantom` records, with the nuclei that are really there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from experiments.entries import Closed, Name
from experiments.phantom_file import load_phantom
from experiments.tasks.cell_labelled import Labelled
from phantom.config import PhantomConfig
from volumes.errors import ConfigError


class PhantomPiecesConfig(Closed):
    """What one instrument records of a phantom, drawn anew for every seed."""

    phantom: Path = Field(description="the phantom's own YAML")
    instrument: Name = Field(description="one of its instruments, which records volumes")
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="a phantom for each; instead of the file's own seed")


def drawn_phantoms(config: PhantomPiecesConfig) -> Iterator[Labelled]:
    """The first frame of each phantom on the network's grid, with its nuclei.

    Raises
    ------
    ConfigError : the phantom has no such instrument, or it records a projection.
    """
    phantom = load_phantom(config.phantom)
    _require_volumes(phantom, config.instrument)
    for seed in config.seeds:
        seen = phantom.model_copy(update={"seed": seed}).build().acquisitions[config.instrument]
        yield Labelled.from_volumes(seen.image()[0], seen.labels()[0])


def _require_volumes(phantom: PhantomConfig, instrument: str) -> None:
    known = phantom.instruments
    if instrument not in known:
        remedy = f"Known: {', '.join(known)}"
        raise ConfigError("the phantom has no such instrument", field="instrument", value=instrument, remedy=remedy)
    if known[instrument].build(phantom.difficulty).projects:
        raise ConfigError("records a projection, not a volume", field="instrument", value=instrument)
