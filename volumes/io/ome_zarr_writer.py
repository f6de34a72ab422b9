"""Writing OME-Zarr 0.5 (.zarr folders): frame by frame, block by block, every chunk there and with a checksum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from volumes.atomic import replacing_folder
from volumes.grid import Grid
from volumes.io import content, ome_zarr_metadata
from volumes.io.ome_zarr_metadata import MASK, OURS, VERSION
from volumes.shapes import AnyArray, Shape3
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

CHUNK = 128
"""Longest edge of a chunk, in voxels; a chunk holds one channel of one frame."""
_KEPT = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "uint64", "int64", "float64",
)  # fmt: skip
_BLOCK_BYTES = 1 << 26


def write(movie: Volume | TimeLapse, path: Path) -> None:
    """Write a volume (c, z, y, x) or a movie (t, c, z, y, x), its channels, direction, times and masks."""
    times = movie.times_s if isinstance(movie, TimeLapse) else (movie.time_s,)
    axes = "tczyx" if isinstance(movie, TimeLapse) else "czyx"
    dtype = content.lossless(movie, _KEPT, path)
    with replacing_folder(path) as temporary:
        group = zarr.open_group(str(temporary), mode="a", zarr_format=3)
        ends = _write_frames(group, movie, axes, dtype, times, path)
        attributes = ome_zarr_metadata.image_attributes(movie.grid, axes, movie.channels, times, ends)
        if "labels" in group:
            attributes[OURS]["valid"] = MASK
        group.attrs.put(attributes)


def _write_frames(
    group: Any,  # noqa: ANN401 - zarr is untyped here
    movie: Volume | TimeLapse,
    axes: str,
    dtype: np.dtype[Any],
    times: tuple[float, ...],
    path: Path,
) -> list[tuple[float, float]]:
    """Write all voxels; gives the least and largest finite value of each channel."""
    grid = movie.grid
    sizes = (*((len(times),) if "t" in axes else ()), len(movie.channels), *grid.shape)
    array = _create(group, axes, sizes, dtype)
    ends = np.tile((np.inf, -np.inf), (len(movie.channels), 1))
    mask = None
    for t, frame in enumerate(content.each_frame(movie)):
        at: tuple[int, ...] = (t,) if "t" in axes else ()
        for channel in range(len(movie.channels)):
            for place in _blocks(grid.shape, dtype.itemsize):
                block = content.stored(np.asarray(frame.data[(channel, *place)]), dtype, path)
                array[(*at, channel, *place)] = block
                ends[channel] = _widened(ends[channel], block)
        if frame.valid is not None and mask is None:
            mask = _create_mask(group, grid, axes, times, t)
        if mask is not None:
            mask[at if at else ...] = frame.mask().astype(np.uint8)
    return [(float(low), float(high)) if low <= high else (0.0, 0.0) for low, high in ends]


def _create(group: Any, axes: str, sizes: tuple[int, ...], dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
    chunks = tuple(min(CHUNK, n) if axis in "zyx" else 1 for axis, n in zip(axes, sizes, strict=True))
    return group.create_array(
        "0",
        shape=sizes,
        chunks=chunks,
        dtype=dtype,
        compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=list(axes),
        fill_value=0,
        config={"write_empty_chunks": True},
    )


def _create_mask(group: Any, grid: Grid, axes: str, times: tuple[float, ...], before: int) -> Any:  # noqa: ANN401
    """The label image of the mask; frames ``before`` the first that has one are valid everywhere."""
    group.require_group("labels").attrs.put({"ome": {"version": VERSION, "labels": ["valid"]}})
    label, spatial = group.create_group(MASK), axes.replace("c", "")
    label.attrs.put(ome_zarr_metadata.mask_attributes(grid, spatial, times))
    sizes = (*((len(times),) if "t" in axes else ()), *grid.shape)
    mask = _create(label, spatial, sizes, np.dtype(np.uint8))
    for t in range(before):
        mask[t] = np.ones(grid.shape, np.uint8)
    return mask


def _blocks(shape: Shape3, itemsize: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slabs of whole chunks, full along x, as thick along y as the memory bound lets them be."""
    depth, height, width = shape
    rows = max(1, _BLOCK_BYTES // (CHUNK * CHUNK * width * itemsize)) * CHUNK
    for z in range(0, depth, CHUNK):
        for y in range(0, height, rows):
            yield slice(z, min(z + CHUNK, depth)), slice(y, min(y + rows, height)), slice(0, width)


def _widened(ends: AnyArray, block: AnyArray) -> AnyArray:
    finite = block if block.dtype.kind != "f" else block[np.isfinite(block)]
    if finite.size == 0:
        return ends
    return np.array([min(ends[0], finite.min()), max(ends[1], finite.max())])
