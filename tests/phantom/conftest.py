"""A scene whose light and tissue are known: balls in a block of tissue, on any slab of one grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from phantom.anatomy.tissues import CODE
from phantom.cells.cells import DYES


@dataclass(frozen=True, eq=False)
class Block:
    """Planes of a grid with a halo; beyond the whole grid its outermost planes go on.

    ``light`` and ``fill`` are those of the whole grid, (z, y, x); so is ``codes``, the tissue of each voxel.
    """

    light: np.ndarray
    fill: np.ndarray
    codes: np.ndarray
    spacing_um: tuple[float, float, float] = (2.0, 1.0, 1.0)
    first: int = 0
    stop: int = 0
    halo: int = 0
    texture: float = 1.0
    time_s: float = 0.0
    seed: int = 3

    @property
    def planes(self) -> int:
        return len(self.codes)

    @property
    def core(self) -> slice:
        return slice(self.halo, self.stop - self.first - self.halo)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.stop - self.first, *self.codes.shape[1:])

    @property
    def paths(self) -> Block:
        return self

    def dye(self, name: str) -> np.ndarray:
        if name not in DYES:
            raise KeyError(name)
        return self._slab(self.light, outside=0)

    def nuclei(self) -> np.ndarray:
        return self._slab(self.fill, outside=0)

    def tissue(self, values: np.ndarray, textured: bool = False) -> np.ndarray:
        return self._slab(values[self.codes] * (self.texture if textured else 1.0))

    def path(self, values_per_mm: np.ndarray, axis: int = 0) -> np.ndarray:
        return self.sampled(values_per_mm, axis, self.first, self.shape)

    def sampled(self, values_per_mm: np.ndarray, axis: int, first: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Up to each voxel's centre."""
        each = values_per_mm[self.codes] * self.spacing_um[axis] * 1e-3
        whole = (np.cumsum(each, axis) - each / 2).astype(np.float32)
        return whole[np.clip(np.arange(first, first + shape[0]), 0, self.planes - 1)]

    def slab(self, first: int, stop: int, halo_um: float) -> Block:
        """The planes [first, stop) as the core."""
        halo = int(np.ceil(halo_um / self.spacing_um[0] - 1e-9))
        return replace(self, first=first - halo, stop=stop + halo, halo=halo)

    def _slab(self, whole: np.ndarray, outside: float | None = None) -> np.ndarray:
        at = np.arange(self.first, self.stop)
        out = whole[np.clip(at, 0, self.planes - 1)].astype(np.float32)
        if outside is not None:
            out[(at < 0) | (at >= self.planes)] = outside
        return out


@pytest.fixture(scope="session")
def block() -> Callable[..., Block]:
    """Makes a block of a shape with balls of one radius at random; ``tissue`` names what it is made of."""

    def made(
        shape: tuple[int, int, int] = (20, 48, 40), tissue: str = "soft", radius_um: float = 5.0, balls: int = 12
    ) -> Block:
        rng = np.random.default_rng(5)
        spacing = (2.0, 1.0, 1.0)
        at = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"), -1)
        fill = np.zeros(shape, np.float32)
        for centre in rng.random((balls, 3)) * np.multiply(shape, spacing):
            fill = np.maximum(fill, (np.linalg.norm(at - centre, axis=-1) <= radius_um).astype(np.float32))
        return Block(fill, fill, np.full(shape, CODE[tissue]), spacing)

    return made
