"""What voxels may be: real numbers, finite, in native byte order; and which types hold them without a loss."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from volumes.errors import ContentError
from volumes.shapes import AnyArray, ChannelVoxels, Mask
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

Nonfinite = Literal["error", "mask"]

_SLAB_BYTES = 1 << 26
_log = logging.getLogger(__name__)


def require_real(dtype: np.dtype[Any], file: Path) -> None:
    """Raise ContentError unless voxels are whole or floating numbers: no RGB records, no complex."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ContentError(
            "voxels are not real numbers of at most 64 bit",
            file=file,
            field="type",
            value=str(dtype),
            remedy="Split colours into channels, take a complex volume's magnitude",
        )


def checked(voxels: ChannelVoxels, nonfinite: Nonfinite, file: Path) -> tuple[ChannelVoxels, Mask | None]:
    """Voxels (C, Z, Y, X) in native byte order, without NaN and Inf, and where they are valid.

    Parameters
    ----------
    voxels : as read.
    nonfinite : "error", or "mask" to put 0 in their place and leave them out of the mask.
    file : for the error.

    Raises
    ------
    ContentError : voxels that are not real numbers, or NaN or Inf with nonfinite="error".
    """
    require_real(voxels.dtype, file)
    native = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind != "f":
        return native, None
    bad = ~np.isfinite(native)
    if not bad.any():
        return native, None
    if nonfinite == "error":
        raise ContentError(
            f"{int(bad.sum()):,} voxels are NaN or infinite",
            file=file,
            field="voxels",
            remedy="Read with nonfinite='mask' to leave them out, or mend them",
        )
    return np.where(bad, native.dtype.type(0), native), ~bad.any(axis=0)


def lossless(frames: Volume | TimeLapse, kept: Sequence[str], file: Path) -> np.dtype[Any]:
    """The type, one of ``kept``, that holds every voxel exactly.

    The voxels' own type where it is kept; else the smallest that holds them all, found from their least and largest.

    Parameters
    ----------
    frames : what will be written.
    kept : numpy names of the types that the format holds, smallest first.
    file : for the error.

    Raises
    ------
    ContentError : no kept type holds them.
    """
    own = _dtype(frames)
    require_real(own, file)
    for name in (own.name, *kept):
        same_sort = own.kind == "b" or (own.kind == "f") == (np.dtype(name).kind == "f")
        if name in kept and same_sort and np.can_cast(own, name, "safe"):
            return np.dtype(name)
    low, high = _range(frames)
    for name in kept:
        dtype = np.dtype(name)
        if own.kind in "iu" and dtype.kind in "iu" and np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    raise ContentError(
        f"no type of this format holds {own.name} voxels from {low} to {high} without a loss",
        file=file,
        field="type",
        value=own.name,
        remedy=f"Write OME-Zarr, or cast to one of {', '.join(kept)} yourself",
    )


def each_frame(volume: Volume | TimeLapse) -> Iterable[Volume]:
    """The frames, one loaded at a time."""
    return volume if isinstance(volume, TimeLapse) else (volume,)


def slabs(volume: Volume, channel: int) -> Iterator[tuple[slice, AnyArray]]:
    """One channel's planes in thick slabs, so that a lazy volume is never whole in memory."""
    depth, height, width = volume.grid.shape
    step = max(1, _SLAB_BYTES // max(1, height * width * volume.data.dtype.itemsize))
    for start in range(0, depth, step):
        planes = slice(start, min(start + step, depth))
        yield planes, np.asarray(volume.data[channel, planes])


def _dtype(frames: Volume | TimeLapse) -> np.dtype[Any]:
    volume = frames[0] if isinstance(frames, TimeLapse) else frames
    return np.dtype(volume.data.dtype)


def _range(frames: Volume | TimeLapse) -> tuple[int | float, int | float]:
    ends = [
        (piece.min().item(), piece.max().item())
        for frame in each_frame(frames)
        for c in range(len(frame.channels))
        for _, piece in slabs(frame, c)
    ]
    return min(low for low, _ in ends), max(high for _, high in ends)


def stored(voxels: AnyArray, dtype: np.dtype[Any], file: Path) -> AnyArray:
    """Voxels as ``dtype``, C-contiguous, every one unchanged.

    Raises
    ------
    ContentError : a voxel would change.
    """
    if voxels.dtype == dtype:
        return np.ascontiguousarray(voxels)
    with np.errstate(invalid="ignore", over="ignore"):
        cast = voxels.astype(dtype)
    if not np.array_equal(cast, voxels, equal_nan=voxels.dtype.kind == "f"):
        raise ContentError(
            f"voxels of {voxels.dtype.name} would change as {dtype.name}",
            file=file,
            field="type",
            remedy="Give all frames one type",
        )
    return np.ascontiguousarray(cast)


def mention_mask(volume: Volume, file: Path) -> None:
    """Say in the log that a format without a place for the mask writes the voxels outside it as they are."""
    if volume.valid is not None and not volume.valid.all():
        _log.warning("%s: this format keeps no mask; voxels outside the field are written as they are", file)
