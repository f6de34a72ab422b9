"""A volume in overlapping blocks whose seams are blended, so that memory does not grow with the volume.

Blocks begin at multiples of what the pyramid halves, so that a block's coarse voxels are those of the whole. Along
each axis neighbours overlap by twice the halo; across the middle half of an overlap their shares change linearly, so
that what the border of a block disturbs, within half a halo of it, is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from volumes.shapes import AnyArray, Shape3


@dataclass(frozen=True, eq=False)
class Block:
    """One block: where it lies, and how much each of its voxels counts; the shares of all blocks sum to 1.

    Parameters
    ----------
    place : slices along (z, y, x).
    share : (z, y, x) float32.
    """

    place: tuple[slice, slice, slice]
    share: AnyArray


def blocks(shape: Shape3, side: int, halo: int, unit: int) -> Iterator[Block]:
    """Blocks of at most ``side`` voxels along each axis that cover a volume; a small volume is one block.

    Parameters
    ----------
    shape : (z, y, x) of the volume.
    side, halo : in voxels; the side is more than four halos, or the halo shrinks.
    unit : blocks begin at multiples of it.
    """
    axes = [_intervals(n, side, halo, unit) for n in shape]
    for (z, share_z), (y, share_y), (x, share_x) in product(*axes):
        share = share_z[:, None, None] * share_y[:, None] * share_x
        yield Block((z, y, x), share.astype(np.float32))


def _intervals(n: int, side: int, halo: int, unit: int) -> list[tuple[slice, AnyArray]]:
    if n <= side:
        return [(slice(0, n), np.ones(n))]
    halo = min(halo, side // 4)
    step = max(unit, (side - 2 * halo) // unit * unit)
    begins = list(range(0, max(n - 2 * halo, 1), step))
    ends = [min(begin + step + 2 * halo, n) for begin in begins]
    while len(ends) > 1 and ends[-2] == n:
        begins.pop()
        ends.pop()
    return [(slice(b, e), _share(b, e, n, halo)) for b, e in zip(begins, ends, strict=True)]


def _share(begin: int, end: int, n: int, halo: int) -> AnyArray:
    """1 inside, rising from 0 to 1 across the middle half of the overlap of two halos at each inner border."""
    place = np.arange(begin, end) + 0.5
    up = np.ones(end - begin) if begin == 0 else np.clip((place - begin - halo / 2) / halo, 0, 1)
    down = np.ones(end - begin) if end == n else np.clip((end - halo / 2 - place) / halo, 0, 1)
    return np.asarray(np.minimum(up, down))


def joined(shape: Sequence[int], parts: Iterator[tuple[Block, AnyArray]]) -> AnyArray:
    """The blocks' results (channels, z, y, x) as one array of ``shape``, float32."""
    out = np.zeros(tuple(shape), np.float32)
    for block, values in parts:
        out[(slice(None), *block.place)] += block.share * values
    return out
