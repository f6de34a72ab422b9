"""A specimen that is known at every point of space, so that a moved copy of it needs no interpolation.

It is a lopsided cloud of Gaussian blobs in a soft body, about 100 µm across:

         .-~~~-.
       /  o   o  \\__
      |     O   o   )      no symmetry: no rotation brings it onto itself
       \\  o  ___ .-'
         `~~'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import volumes
from volumes import Affine, Grid, Volume

GRID = Grid((36, 40, 44), (3.0, 3.0, 3.0), (-54.0, -60.0, -66.0))
"""The grid that the tests look at the specimen on, unless they say otherwise."""


@dataclass(frozen=True)
class Specimen:
    """Brightness 0–1 at any point: blobs (k, 3) µm with widths and heights in a soft ellipsoid."""

    centres: np.ndarray
    widths: np.ndarray
    heights: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Brightness at world points (n, 3)."""
        radius = np.sqrt(((points - [3.0, -4.0, 2.0]) ** 2 / np.array([26.0, 34.0, 42.0]) ** 2).sum(axis=1))
        body = 0.4 / (1 + np.exp((radius - 1) * 8))
        square = ((points[:, None] - self.centres) ** 2).sum(axis=-1)
        return body + (self.heights * np.exp(-square / (2 * self.widths**2))).sum(axis=1)

    def seen(
        self,
        grid: Grid = GRID,
        transform: Affine | None = None,
        tone: Callable[[np.ndarray], np.ndarray] = lambda brightness: brightness,
        noise: float = 0.01,
    ) -> Volume:
        """The specimen on a grid after ``transform`` (fixed → moving points) moved it, in another tone, with noise."""
        index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
        points = grid.to_world(index)
        brightness = tone(self(points if transform is None else transform.inverse()(points)))
        grain = np.random.default_rng(7).normal(0, noise, brightness.shape)
        voxels = (brightness + grain).reshape(grid.shape).astype(np.float32)
        return volumes.from_array(
            voxels,
            grid.spacing_um,
            modality="fluorescence",
            origin_um=grid.origin_um,
            direction=grid.direction,
        )


@pytest.fixture(scope="session")
def specimen() -> Specimen:
    """The cloud."""
    rng = np.random.default_rng(3)
    directions = Rotation.random(24, rng=rng).apply([0.0, 0.0, 1.0])
    centres = directions * (rng.random((24, 1)) ** (1 / 3)) * [20.0, 26.0, 34.0] + [0.0, 2.0, 5.0]
    return Specimen(centres, rng.uniform(3.0, 8.0, 24), rng.uniform(0.2, 0.9, 24))


@pytest.fixture(scope="session")
def points(specimen: Specimen) -> np.ndarray:
    """World points (n, 3) of the specimen's inside, where errors are measured."""
    cloud = np.random.default_rng(5).uniform(-45, 45, (4000, 3))
    return cloud[specimen(cloud) > 0.25]
