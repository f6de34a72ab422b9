"""Made-up specimens to learn from: a pool that moves on, so that none is seen too often and none is drawn twice.

Specimen k depends on the pool's seed and k alone, and step s sees a window of numbers that begins at ``s · fresh``: a
batch is that of its step, whatever was drawn before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from pydantic import Field

from experiments.entries import Closed
from experiments.tasks.cell_pieces import Piece
from phantom.nuclei import random_specimen
from phantom.nuclei.shapes import real_shapes
from tracking3d.segment.network.normalise import levels
from tracking3d.segment.network.targets import targets
from volumes.shapes import AnyArray, Voxels

EASIEST = 0.3
"""The share of the greatest difficulty that the first specimen has."""


class PoolConfig(Closed):
    """Specimens of :mod:`phantom.nuclei`."""

    specimens: int = Field(160, gt=0, description="in the pool at any time")
    fresh: float = Field(1.0, ge=0, description="new ones a step; as many of the oldest go")
    size: int = Field(80, ge=16, description="voxels along each edge, of which a step sees a part")
    hardest: float = Field(1.0, ge=0, le=1, description="greatest difficulty")
    harder: int = Field(2000, ge=0, description="specimens until the greatest difficulty is reached")
    real: float = Field(0.35, ge=0, le=1, description="share of the specimens with shapes of real nuclei")


@dataclass(frozen=True, eq=False)
class Pool:
    """The specimens of a config and a seed."""

    config: PoolConfig
    seed: int
    kept: dict[int, Piece] = field(default_factory=dict)

    def piece(self, step: int, rng: np.random.Generator) -> Piece:
        """One of those that a step sees."""
        first = int(step * self.config.fresh)
        number = first + int(rng.integers(self.config.specimens))
        if number not in self.kept:
            for old in [k for k in self.kept if k < first]:
                del self.kept[old]
            self.kept[number] = piece_of(*self.drawn(number))
        return self.kept[number]

    def drawn(self, number: int) -> tuple[Voxels, Voxels]:
        """Image and labels of a specimen."""
        config, rng = self.config, np.random.default_rng((self.seed, number))
        grown = min(1.0, EASIEST + (1 - EASIEST) * number / max(config.harder, 1))
        tables = real_shapes_once() if config.real else None
        shape = (config.size, config.size, config.size)
        specimen = random_specimen(rng, shape, config.hardest * grown, tables, config.real)
        return specimen.image, specimen.labels


def piece_of(image: Voxels, labels: Voxels) -> Piece:
    """A whole volume on the network's grid, halved in memory."""
    numbers = labels.astype(np.uint16)
    return Piece(image.astype(np.float16), targets(labels).astype(np.float16), levels(image), numbers)


@lru_cache(maxsize=1)
def real_shapes_once() -> AnyArray:
    """The shapes that come along."""
    return real_shapes()
