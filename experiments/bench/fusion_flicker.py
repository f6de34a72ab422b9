"""How restless a volume is over z: fused as a volume, and slice by slice on the same scale.

:func:`fusion.metrics.flicker` counts every change from slice to slice, also those that the sources have; so whoever
keeps more of a source's edges along z has more of it. :func:`beyond` counts what is left over, which no source shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from experiments.bench.fusion_kinds import Named, measuring
from fusion.fuser import Fuser
from fusion.metrics import flicker
from volumes import Volume
from volumes.shapes import AnyArray, Voxels


def z_flicker(fuser: Named, sources: Sequence[Volume]) -> dict[str, float]:
    """Flicker over z, and what of it is beyond the sources: as a volume, slice by slice, and each with its own scale.

    Parameters
    ----------
    fuser : takes the scale as it is, so that it is the same for a volume and its slices. Where it can measure one,
        slices are fused on scales of their own too, as pictures are that know nothing of their neighbours.
    sources : on one grid; slices outside those in which none is constant are left out.
    """
    arrays = [source.channel() for source in sources]
    seen = np.logical_and.reduce([array.min(axis=(1, 2)) < array.max(axis=(1, 2)) for array in arrays])
    first, last = (int(i) for i in np.flatnonzero(seen)[[0, -1]])
    inner = [_slices(source, first, last + 1) for source in sources]
    fused = {"as a volume": fuser.fuser.fuse(inner).channel(), "slice by slice": _one_by_one(fuser.fuser, inner)}
    own_scales = measuring(fuser.fuser)
    if own_scales is not None:
        fused["slices on own scales"] = _one_by_one(own_scales, inner)
    return compared(fused, [source.channel() for source in inner])


def compared(fused: Mapping[str, AnyArray], sources: Sequence[AnyArray]) -> dict[str, float]:
    """Flicker along the first axis, and what is beyond the sources, of fused arrays by name."""
    return {
        f"{word}, {name}": measure(array, sources)
        for word, measure in (("flicker", flicker), ("beyond", beyond))
        for name, array in fused.items()
    }


def beyond(fused: AnyArray, sources: Sequence[AnyArray]) -> float:
    """mean max(0, |ΔF| − maxₘ |ΔSₘ|) / mean maxₘ |ΔSₘ|: changes along the first axis that no source has there.

    Parameters
    ----------
    fused : on one scale with the sources.
    sources : of its shape; one of them changes along that axis.
    """
    most = np.max([_change(source) for source in sources], axis=0)
    return float(np.maximum(_change(fused) - most, 0).mean() / most.mean())


def _change(values: AnyArray) -> AnyArray:
    return np.abs(np.diff(np.asarray(values, np.float64), axis=0))


def _one_by_one(fuser: Fuser, sources: Sequence[Volume]) -> Voxels:
    number = sources[0].grid.shape[0]
    return np.stack([fuser.fuse([_slices(v, z, z + 1) for v in sources]).channel()[0] for z in range(number)])


def _slices(volume: Volume, first: int, end: int) -> Volume:
    data: Voxels = volume.channel()[first:end]
    return Volume(data[None], replace(volume.grid, shape=data.shape), volume.channels)
