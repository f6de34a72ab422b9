"""How an image is shown to the network, window by window: at which scale, and between which intensities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracking3d.segment.network.edges import noise_of
from tracking3d.segment.network.heads import DIAMETER
from tracking3d.segment.network.normalise import COUNTED, levels, normalised
from tracking3d.segment.network.resampling import Range, coarse_shape, needed, resampled
from volumes.shapes import Shape3, Triple, Voxels

T = TypeVar("T")
Ranges: TypeAlias = tuple[Range, Range, Range]
Read: TypeAlias = Callable[[Ranges], Voxels]
"""Voxels (z, y, x) of the image in ranges of its grid."""

FINEST = 2.0
"""Cells are drawn on the image's own grid, unless that is more than so many times finer than the network's."""
PROBE, PROBES = 64, 3
"""Intensities are measured in windows of so many of the network's voxels, at most so many along each axis."""
AT_ONCE = 1 << 24
"""Voxels of the image that are read at once to be made coarser."""


@dataclass(frozen=True)
class View:
    """An image's grid beside the network's, which is isotropic and has 14 voxels to a cell's diameter.

    Parameters
    ----------
    shape, spacing_um : of the image's grid (z, y, x).
    diameter_um : of a typical cell.
    """

    shape: Shape3
    spacing_um: Triple
    diameter_um: float

    @cached_property
    def factors(self) -> Triple:
        """Voxels of the image to one of the network's, along each axis; a single slice stays one."""
        side = self.diameter_um / DIAMETER
        return each(lambda n, spacing: 1.0 if n == 1 else side / spacing, self.shape, self.spacing_um)

    @cached_property
    def coarse(self) -> Shape3:
        """The shape of the network's grid."""
        return coarse_shape(self.shape, self.factors)

    @cached_property
    def steps(self) -> Triple:
        """Voxels of the image to one of the grid on which cells are drawn."""
        return each(lambda f: max(1.0, f / FINEST), self.factors)

    @cached_property
    def drawn(self) -> Shape3:
        """The shape of the grid on which cells are drawn."""
        return coarse_shape(self.shape, self.steps)

    def resampled(self, read: Read, wanted: Ranges) -> NDArray[np.float32]:
        """The image on the network's grid, in ranges of that; read in slabs of few voxels."""
        wide = each(needed, wanted, self.factors, self.shape)
        plane = math.prod(end - begin for begin, end in wide[1:])
        rows = max(1, int(AT_ONCE / (plane * self.factors[0])))
        slabs = [(z, min(z + rows, wanted[0][1])) for z in range(*wanted[0], rows)]
        return np.concatenate([self._slab(read, (slab, wanted[1], wanted[2])) for slab in slabs])

    def _slab(self, read: Read, wanted: Ranges) -> NDArray[np.float32]:
        held = each(needed, wanted, self.factors, self.shape)
        return resampled(read(held), held, wanted, self.factors)

    def shown(self, read: Read, wanted: Ranges, bounds: tuple[float, float]) -> NDArray[np.float32]:
        """What the network sees in ranges of its grid."""
        return normalised(self.resampled(read, wanted), bounds)

    def light(self, read: Read, wanted: Ranges, bounds: tuple[float, float]) -> NDArray[np.float32]:
        """The same in ranges of the grid on which cells are drawn."""
        held = each(lambda w, step, n: w if step == 1 else needed(w, step, n), wanted, self.steps, self.shape)
        return normalised(resampled(read(held), held, wanted, self.steps), bounds)

    def noise(self, read: Read, bounds: tuple[float, float]) -> float:
        """Standard deviation of the noise in that light: the median of the probes' middle planes."""
        per_voxel = each(lambda f, step: f / step, self.factors, self.steps)
        planes = [each(_scaled, probe, per_voxel, self.drawn) for probe in self.probes()]
        middles = [(z[0] + (z[1] - z[0]) // 2, y, x) for z, y, x in planes]
        return float(np.median([noise_of(self.light(read, ((z, z + 1), y, x), bounds)) for z, y, x in middles]))

    def probes(self) -> Iterator[Ranges]:
        """Windows of the network's grid, evenly spread; of a small volume they cover all."""
        for z in _spread(self.coarse[0]):
            for y in _spread(self.coarse[1]):
                for x in _spread(self.coarse[2]):
                    yield z, y, x

    def bounds(self, read: Read) -> tuple[float, float]:
        """The intensities that become 0 and 1: of what the probes see."""
        probes = list(self.probes())
        # As many as are counted; more would only be held.
        every = max(1, math.prod(b - a for a, b in probes[0]) * len(probes) // (4 * COUNTED))
        seen = [self.resampled(read, probe).ravel()[::every].copy() for probe in probes]
        return levels(np.concatenate(seen))


def each(function: Callable[..., T], *axes: Sequence[Any]) -> tuple[T, T, T]:
    """A function of what belongs to one axis, for z, y and x."""
    z, y, x = (function(*of_axis) for of_axis in zip(*axes, strict=True))
    return z, y, x


def _scaled(wanted: Range, factor: float, size: int) -> Range:
    begin = min(math.floor(wanted[0] * factor), size - 1)
    return begin, max(begin + 1, min(math.ceil(wanted[1] * factor), size))


def _spread(size: int) -> list[Range]:
    number = min(PROBES, math.ceil(size / PROBE))
    begins = np.linspace(0, max(size - PROBE, 0), number).round().astype(int)
    return [(int(begin), min(int(begin) + PROBE, size)) for begin in begins]
