"""Cells of a volume that does not fit into memory: from an OME-Zarr into an OME-Zarr, block by block.

First the network looks at window after window, then basins are labelled in block after block. Windows and blocks are
whole chunks of their own in a folder beside the result; when all are done the basins are joined to cells, and the
labels streamed into the result. In memory are one window or one block, and tables of the basins.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import dask
import dask.array
import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.labels import CHANNEL
from tracking3d.segment.blocks import Core, Joined, joined
from tracking3d.segment.network.config import CellNetworkConfig
from tracking3d.segment.network.decode import certainty
from tracking3d.segment.network.edges import POOL
from tracking3d.segment.network.window import Finder, Maps, coarser
from tracking3d.segment.uphill import Basins
from volumes.errors import OutputError
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

T = TypeVar("T")
CHUNK = 48
"""Side of the chunks in which the network's maps are kept, along an axis of one window."""
MMAP_THRESHOLD = -3
"""The number of that parameter of glibc's ``mallopt``: from how many bytes on memory comes from the system."""
LARGE, USUAL = 1 << 20, 1 << 25
"""Bytes; by itself glibc raises the threshold to the second."""
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
    from tracking3d.segment.network.prepare import finder_for
    from tracking3d.segment.network.segmenter import NO_SIGN
    from volumes.io import write

    if not out.name.endswith(".zarr"):
        raise OutputError("labels of blocks need a format that is written in blocks", file=out, remedy="Use .ome.zarr")
    settings = config or CellNetworkConfig()
    finder = finder_for(settings, volume, channel)
    if finder is None:
        log.warning("no cell found in the volume at %g s: %s", volume.time_s, NO_SIGN)
        nothing = dask.array.zeros((1, *volume.grid.shape), np.uint16, chunks=CHUNK)
        write(Volume(nothing, volume.grid, (CHANNEL,), volume.time_s, volume.valid), out)
        return _table(volume, None, Joined([], np.zeros((0, 5)), np.zeros(0)))
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        stored, cells = _stored(_Work(finder, volume, channel, Path(folder)), settings.block, scheduler)
        labels = _Renumbered(stored, finder, finder.blocks(settings.block), cells.numbers)
        write(Volume(labels, volume.grid, (CHANNEL,), volume.time_s, volume.valid), out)
    return _table(volume, finder, cells)


@dataclass(frozen=True, eq=False)
class _Work:
    """What every worker needs to know."""

    finder: Finder
    volume: Volume
    channel: int
    folder: Path


def _stored(work: _Work, side: int, scheduler: str) -> tuple[Any, Joined]:
    """(blocks, z, y, x) of the blocks' own labels, on disk, and the cells that they make up."""
    from tracking3d.segment.network.prepare import reader

    finder = work.finder
    read = reader(work.volume, work.channel, finder.bounds[0])
    coarse, sides, blocks = finder.view.coarse, finder.sides(side), finder.blocks(side)
    maps = _maps(work.folder, coarse, finder.strides)
    labels = _array(work.folder / "labels.zarr", (len(blocks), *sides), (1, *sides), "int32")

    def look(window: Core) -> None:
        maps.put(window, finder.said(read, window))
        _give_back()

    def label(number: int) -> Basins:
        found = finder.basins(read, maps, blocks[number])
        labels[(number, *(slice(0, n) for n in found.labels.shape))] = found.labels
        _give_back()
        return replace(found, labels=np.zeros((0, 0, 0), np.int32))

    def labelled(number: int, voxels: NDArray[np.int64]) -> NDArray[np.int32]:
        there: NDArray[np.int32] = labels[number][tuple((voxels - [begin for begin, _ in blocks[number]]).T)]
        return there

    _give_back()
    with _large_apart():
        _computed(look, finder.windows(), scheduler)
    tables = _computed(label, range(len(blocks)), scheduler)
    every = joined(tables, blocks, finder.drawn, finder.decoder.depth, labelled)
    cells = finder.accepted(every)
    if not len(cells.peaks):
        log.warning("no cell found in the volume at %g s: %s", work.volume.time_s, finder.missing(every))
    return labels, cells


def _maps(folder: Path, coarse: Shape3, strides: Shape3) -> Maps:
    """What is to be said of the whole, on disk; windows are whole chunks."""
    chunks = [s // 2 if s < n else min(CHUNK, n) for s, n in zip(strides, coarse, strict=True)]
    few = [-(-chunk // POOL) for chunk in chunks]
    said = _array(folder / "said.zarr", (2, *coarse), (2, *chunks), "float16")
    return Maps(said, _array(folder / "beside.zarr", (3, *coarser(coarse)), (3, *few), "float16"))


def _give_back() -> None:
    """Return freed memory to the system: glibc would keep more of it with every window."""
    _glibc("malloc_trim", 0)


@contextmanager
def _large_apart() -> Iterator[None]:
    """Meanwhile, memory for an array is asked from the system and returned to it.

    Else glibc takes it from its heaps, one for each thread, and their gaps grow with every window.
    """
    _glibc("mallopt", MMAP_THRESHOLD, LARGE)
    try:
        yield
    finally:
        _glibc("mallopt", MMAP_THRESHOLD, USUAL)


def _glibc(name: str, *numbers: int) -> None:
    if sys.platform == "linux" and (function := getattr(ctypes.CDLL(None), name, None)):
        function(*numbers)


def _array(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], kind: str) -> Any:  # noqa: ANN401 - zarr is untyped
    import zarr

    fast = zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    return zarr.create_array(str(path), shape=shape, chunks=chunks, dtype=kind, compressors=fast, fill_value=0)


def _computed(work: Callable[[Any], T], parts: Sequence[Any], scheduler: str) -> list[T]:
    tasks = [dask.delayed(work, pure=False)(part) for part in parts]
    if "://" not in scheduler:
        return list(dask.compute(*tasks, scheduler=scheduler))
    from dask.distributed import Client

    with Client(scheduler):
        return list(dask.compute(*tasks))


def _table(volume: Volume, finder: Finder | None, cells: Joined) -> Detections:
    """The cells in the order of their labels."""
    number = len(cells.peaks)
    features = {"label": np.arange(1, number + 1), "confidence": certainty(cells)}
    if finder is None or not number:
        return Detections.of(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0), features=features)
    steps = np.array(finder.view.steps)
    placed = volume.grid.to_world((cells.centre + 0.5) * steps - 0.5)
    sizes = cells.voxels * float(np.prod(steps) * np.prod(volume.grid.spacing_um))
    return Detections.of(np.zeros(number, int), placed, sizes, features=features)


@dataclass(frozen=True, eq=False)
class _Renumbered:
    """The labels (1, z, y, x) with the numbers of the whole volume, read from the blocks when they are asked for."""

    stored: Any
    finder: Finder
    blocks: Sequence[Core]
    numbers: Sequence[NDArray[np.int64]]

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, *self.finder.view.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        highest = max(int(part.max()) for part in self.numbers)
        return np.dtype(np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32)

    def __getitem__(self, key: Any, /) -> AnyArray:  # noqa: ANN401 - as volumes.volume.LazyArray has it
        channel, *spatial = key if isinstance(key, tuple) else (key,)
        spatial += [slice(None)] * (3 - len(spatial))
        asked = [part.indices(n)[:2] for part, n in zip(spatial, self.finder.view.shape, strict=True)]
        places = self.finder.places((asked[0], asked[1], asked[2]))
        seen = [range(int(place[0]), int(place[-1]) + 1) for place in places]
        drawn = np.zeros([len(r) for r in seen], self.dtype)
        for number, shared in self._meeting(seen):
            inside = tuple(slice(a - c[0], b - c[0]) for (a, b), c in zip(shared, self.blocks[number], strict=True))
            there = tuple(slice(a - r.start, b - r.start) for (a, b), r in zip(shared, seen, strict=True))
            drawn[there] = self.numbers[number].astype(self.dtype)[self.stored[(number, *inside)]]
        out: AnyArray = drawn
        if self.finder.drawn != self.finder.view.shape:
            out = drawn[np.ix_(*(place - r.start for place, r in zip(places, seen, strict=True)))]
        return out if isinstance(channel, int) else out[None]

    def _meeting(self, seen: Sequence[range]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        for number, block in enumerate(self.blocks):
            shared = [(max(a, r.start), min(b, r.stop)) for (a, b), r in zip(block, seen, strict=True)]
            if all(a < b for a, b in shared):
                yield number, shared
