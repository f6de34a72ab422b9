"""Cells of a volume that does not fit into memory: from an OME-Zarr into an OME-Zarr, block by block.

Blocks write their cores, each a chunk of its own, into a folder beside the result; when all are done the cells are
numbered, and the labels streamed into the result. In memory are one block and a table of the cells.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import CHANNEL
from tracking3d.segment.blocks import Core, Found, cores, joined
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.heads import DIAMETER
from tracking3d.segment.network.segmenter import SAME
from volumes.errors import OutputError
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

log = logging.getLogger(__name__)


def segment_blockwise(
    volume: Volume,
    out: Path,
    config: CellNetworkConfig | None = None,
    channel: int = 0,
    scheduler: str = "synchronous",
) -> Detections:
    """Label the cells of one channel of a lazy volume into an OME-Zarr, and give the table of cells.

    Parameters
    ----------
    volume : as :func:`volumes.read` opens a large OME-Zarr; only blocks of it are read.
    out : the labels, ``.ome.zarr``.
    config : of the network.
    channel : which shows the cells.
    scheduler : of dask: ``synchronous``, ``threads``, or the address of a cluster that sees the same folders.

    Returns
    -------
    One row a cell: ``label``, ``confidence``, centre in µm, volume in µm³.

    Raises
    ------
    OutputError : another format than OME-Zarr.
    """
    from tracking3d.segment.network.prepare import finder_for, reader
    from volumes.io import write

    if not out.name.endswith(".zarr"):
        raise OutputError("labels of blocks need a format that is written in blocks", file=out, remedy="Use .ome.zarr")
    settings = config or CellNetworkConfig()
    finder, read = finder_for(settings, volume, channel), reader(volume, channel)
    shape = volume.grid.shape
    sides = shape if finder is None else finder.core_sides(settings.block)
    places = list(cores(shape, sides))
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        stored = _scratch(Path(folder), len(places), sides)

        def work(number: int) -> Found:
            assert finder is not None  # noqa: S101 - without a finder there is no work
            found = finder.block(read, places[number])
            stored[(number, *(slice(0, n) for n in found.labels.shape))] = found.labels
            return Found(np.zeros((0, 0, 0), np.int32), found.centre, found.voxels, found.confidence)

        tables = [] if finder is None else _computed(work, len(places), scheduler)
        cells = joined([(t.centre, t.voxels, t.confidence) for t in tables], SAME * DIAMETER)
        labels = _Renumbered(stored, places, cells.numbers or [np.zeros(1, np.int64)] * len(places), shape)
        write(Volume(labels, volume.grid, (CHANNEL,), volume.time_s, volume.valid), out)
    factors = (1.0, 1.0, 1.0) if finder is None else finder.view.factors
    return _table(volume, tables, cells.numbers, factors)


def _scratch(folder: Path, number: int, sides: Shape3) -> Any:  # noqa: ANN401 - zarr is untyped here
    """(blocks, z, y, x) of cores, a chunk each."""
    import zarr

    return zarr.create_array(
        str(folder / "cores.zarr"), shape=(number, *sides), chunks=(1, *sides), dtype="int32", fill_value=0
    )


def _computed(work: Callable[[int], Found], number: int, scheduler: str) -> list[Found]:
    import dask

    tasks = [dask.delayed(work, pure=False)(i) for i in range(number)]
    if "://" not in scheduler:
        return list(dask.compute(*tasks, scheduler=scheduler))
    from dask.distributed import Client

    with Client(scheduler):
        return list(dask.compute(*tasks))


def _table(
    volume: Volume, tables: Sequence[Found], numbers: Sequence[NDArray[np.int64]], factors: Sequence[float]
) -> Detections:
    """The cells in the order of their labels, each as the first block saw it that found it."""
    if not tables or not sum(len(table.centre) for table in tables):
        log.warning("no cell found in the volume at %g s", volume.time_s)
        nothing = {"label": np.zeros(0, np.int64), "confidence": np.zeros(0)}
        return Detections.of(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0), features=nothing)
    centre = np.concatenate([table.centre for table in tables]) * factors - 0.5
    voxels = np.concatenate([table.voxels for table in tables])
    confidence = np.concatenate([table.confidence for table in tables])
    label, first = np.unique(np.concatenate([part[1:] for part in numbers]), return_index=True)
    placed = volume.grid.to_world(centre[first])
    return Detections.of(
        np.zeros(len(first), int),
        placed,
        voxels[first] * float(np.prod(volume.grid.spacing_um)),
        features={"label": label, "confidence": confidence[first]},
    )


@dataclass(frozen=True, eq=False)
class _Renumbered:
    """The labels (1, z, y, x) with the numbers of the whole volume, read from the blocks when they are asked for."""

    stored: Any
    places: Sequence[Core]
    numbers: Sequence[NDArray[np.int64]]
    extent: Shape3

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, *self.extent)

    @property
    def dtype(self) -> np.dtype[Any]:
        highest = max(int(part.max()) for part in self.numbers)
        return np.dtype(np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32)

    def __getitem__(self, key: Any, /) -> AnyArray:  # noqa: ANN401 - as volumes.volume.LazyArray has it
        channel, *spatial = key if isinstance(key, tuple) else (key,)
        spatial += [slice(None)] * (3 - len(spatial))
        ranges = [range(*part.indices(n)) for part, n in zip(spatial, self.extent, strict=True)]
        out = np.zeros([len(r) for r in ranges], self.dtype)
        for number, shared in self._meeting(ranges):
            core = self.places[number]
            inside = tuple(slice(a - c[0], b - c[0]) for (a, b), c in zip(shared, core, strict=True))
            there = tuple(slice(a - r.start, b - r.start) for (a, b), r in zip(shared, ranges, strict=True))
            out[there] = self.numbers[number].astype(self.dtype)[self.stored[(number, *inside)]]
        return out if isinstance(channel, int) else out[None]

    def _meeting(self, ranges: Sequence[range]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        for number, core in enumerate(self.places):
            shared = [(max(a, r.start), min(b, r.stop)) for (a, b), r in zip(core, ranges, strict=True)]
            if all(a < b for a, b in shared):
                yield number, shared
