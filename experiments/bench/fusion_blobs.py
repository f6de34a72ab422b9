"""What only one of three sources shows: blobs planted in it, found in what is fused of two and of three.

Gaussian blobs at many places of the brain, in one source at a time. The channelised Hotelling observer
(:func:`fusion.metrics.detectability`) tells patches of the fused volume around these places with the blobs from those
without. A pair without that source is blind to them; the least d′ over the three sources is what a set of sources can
be trusted with. Places drawn twice vary less than as many different ones, so that intervals reach a little high.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
from jaxtyping import Int
from scipy import ndimage

from experiments.bench.fusion_kinds import Named
from fusion.metrics import detectability, patches_around
from volumes import Volume
from volumes.shapes import AnyArray, Mask, Voxels

log = logging.getLogger(__name__)

Centres: TypeAlias = Int[np.ndarray, "n 3"]
Found: TypeAlias = tuple[str, str, float, float, float]
"""Sources, measure, value, and its 95 % interval."""

WIDTH = 3.0
"""Full width of a blob at half its height, in voxels."""
HEIGHT = 20.0
"""Of a blob, in grey levels of 255."""
RADIUS = 4
"""Of a patch, in voxels."""
APART = 2 * RADIUS + 2
"""Places are so many voxels apart at least, so that no patch sees two blobs."""
CHANNELS = 5


def planted(
    fuser: Named, sources: Mapping[str, Volume], inside: Mask, resamples: int, seed: int = 0
) -> Iterator[Found]:
    """d′ of blobs in each one of the sources, for any of them fused.

    Yields
    ------
    For each set of sources, single ones included, d′ of the blobs of each source, and the least; for all together also
    how far their least is ahead of the best that a smaller set's is. Intervals are over the places, drawn with
    replacement, the same for all sets.

    Parameters
    ----------
    fuser : takes the scale as it is.
    sources : by name, on one grid and on 0–255.
    inside : (z, y, x), where blobs may lie.
    resamples : of the bootstrap.
    seed : of places and bootstrap.
    """
    rng = np.random.default_rng(seed)
    centres = places(inside, rng)
    log.info("%s: %d places for blobs", fuser.name, len(centres))
    blobs = blobs_at(centres, inside.shape)
    draws = [np.arange(len(centres)), *rng.integers(len(centres), size=(resamples, len(centres)))]
    names, least = tuple(sources), {}
    sets = [chosen for number in range(1, len(names) + 1) for chosen in combinations(names, number)]
    for chosen in sets:
        found = {lesion: _seen(fuser, sources, chosen, lesion, blobs, centres, draws) for lesion in names}
        least[chosen] = np.min([*found.values()], axis=0)
        of = " + ".join(chosen)
        for lesion, values in found.items():
            yield of, f"d′ of blobs in {lesion}", *_interval(values)
        yield of, "the least", *_interval(least[chosen])
    best = np.max([least[chosen] for chosen in sets[:-1]], axis=0)
    yield " + ".join(names), "ahead of any fewer", *_interval(least[names] - best)


def places(inside: Mask, rng: np.random.Generator) -> Centres:
    """Places at random where a whole patch lies inside, :data:`APART` voxels or more from each other (n, 3)."""
    box = np.ones([2 * r + 1 for r in radii(inside.shape)], bool)
    candidates = rng.permutation(np.argwhere(ndimage.binary_erosion(inside, box)))
    taken, free = [], np.ones(inside.shape, bool)
    for z, y, x in candidates:
        if free[z, y, x]:
            taken.append((z, y, x))
            free[tuple(slice(max(0, c - APART + 1), c + APART) for c in (z, y, x))] = False
    return np.array(taken, np.int64).reshape(-1, 3)


def blobs_at(centres: Centres, shape: Sequence[int]) -> Voxels:
    """Gaussian blobs (z, y, x) of height 1 and full width :data:`WIDTH` at half of it; discs in a single plane."""
    sigma = WIDTH / np.sqrt(8 * np.log(2))
    reach = radii(shape)
    squares = np.meshgrid(*(np.arange(-r, r + 1) ** 2 for r in reach), indexing="ij")
    blob = np.exp(-sum(squares) / (2 * sigma**2)).astype(np.float32)
    out = np.zeros(shape, np.float32)
    for centre in centres:
        out[tuple(slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True))] += blob
    return out


def radii(shape: Sequence[int]) -> tuple[int, ...]:
    """Of a patch along each axis: none across a single plane."""
    return tuple(RADIUS if n > 1 else 0 for n in shape)


def _seen(
    fuser: Named,
    sources: Mapping[str, Volume],
    chosen: Sequence[str],
    lesion: str,
    blobs: Voxels,
    centres: Centres,
    draws: Sequence[AnyArray],
) -> AnyArray:
    """(1 + resamples,): d′ over all places, and over each draw of them."""
    without = [sources[name] for name in chosen]
    with_blobs = [
        v.with_data(v.array + HEIGHT * blobs) if n == lesion else v for n, v in zip(chosen, without, strict=True)
    ]
    pictures = (_fused(fuser, volumes).channel() for volumes in (with_blobs, without))
    present, absent = (patches_around(picture, centres, radii(picture.shape)) for picture in pictures)
    return np.array([detectability(present[d], absent[d], 2.5 * WIDTH, CHANNELS) for d in draws])


def _fused(fuser: Named, volumes: Sequence[Volume]) -> Volume:
    return volumes[0] if len(volumes) == 1 else fuser.fuser.fuse(volumes)


def _interval(values: AnyArray) -> tuple[float, float, float]:
    low, high = np.percentile(values[1:], (2.5, 97.5))
    return float(values[0]), float(low), float(high)
