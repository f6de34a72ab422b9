"""Reading OME-Zarr 0.5 and 0.4 (.zarr folders): small frames at once, large ones lazily, checksums held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from volumes.errors import FusetrackError, HeaderError, VolumeFileError
from volumes.io import ome_zarr_metadata
from volumes.io.content import Nonfinite, checked, require_real
from volumes.io.ome_zarr_metadata import Image
from volumes.io.world import in_file
from volumes.shapes import AnyArray, Mask
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

AT_ONCE_BYTES = 1 << 30
"""A frame up to this size is read into memory; a larger one stays on disk and is read where it is asked for."""


@dataclass(frozen=True)
class ZarrVoxels:
    """One frame (C, Z, Y, X) of an array on disk; what is asked for is read, and checked, then.

    Parameters
    ----------
    array : the zarr array, whose axes are those of ``axes``, z, y and x among them.
    axes : some of t, c, z, y, x, slowest first.
    frame : which of t.
    finite : whether NaN and Inf are an error; otherwise they read as 0.
    path : for the error.
    """

    array: Any
    axes: str
    frame: int
    finite: bool
    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, Z, Y, X)."""
        sizes = dict(zip(self.axes, self.array.shape, strict=True))
        return tuple(int(sizes.get(axis, 1)) for axis in "czyx")

    @property
    def ndim(self) -> int:
        """Always 4."""
        return 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels, in native byte order."""
        native: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return native

    def raw(self, key: Any, /) -> AnyArray:  # noqa: ANN401 - zarr takes any numpy index
        """Voxels as they are stored, in native byte order.

        Raises
        ------
        VolumeFileError : a chunk fails its checksum or cannot be read.
        """
        channel, *rest = _four(key)
        inner = (*((self.frame,) if "t" in self.axes else ()), *((channel,) if "c" in self.axes else ()), *rest)
        with faults(self.path):
            block = np.asarray(self.array[inner], dtype=self.dtype)
        if "c" in self.axes:
            return block
        alone: AnyArray = block[None][channel]
        return alone

    def __getitem__(self, key: Any, /) -> AnyArray:  # noqa: ANN401 - zarr takes any numpy index
        good, _ = checked(self.raw(key)[None], "error" if self.finite else "mask", self.path)
        block: AnyArray = good[0]
        return block

    def finite_mask(self) -> Mask | None:
        """Where all channels are finite (Z, Y, X), found slab by slab; None where they cannot but be."""
        if self.dtype.kind != "f":
            return None
        out = np.ones(self.shape[1:], bool)
        thick = int(self.array.chunks[self.axes.index("z")])
        for start in range(0, len(out), thick):
            planes = slice(start, start + thick)
            out[planes] = np.isfinite(self.raw((slice(None), planes))).all(axis=0)
        return out


def read_timelapse(path: Path, modality: str | None, unit: str | None, nonfinite: Nonfinite) -> TimeLapse:
    """The frames of a folder's full-resolution image; one without a t axis has a single frame."""
    with faults(path):
        group = zarr.open_group(str(path), mode="r")
        with ome_zarr_metadata.specified(path):
            image = ome_zarr_metadata.parse(dict(group.attrs), path)
        array = _array(group, image.array, image, path)
        mask = _mask(group, image, path)
    sizes = dict(zip(image.axes, array.shape, strict=True))
    with ome_zarr_metadata.specified(path):
        grid = image.grid(array.shape, unit, path)
        channels = image.channels(sizes.get("c", 1), modality, path)
        times = image.times_s(sizes.get("t", 1), path)
    if len(channels) != sizes.get("c", 1):
        raise HeaderError(
            f"{len(channels)} channels described, {sizes.get('c', 1)} there", file=path, field="fusetrack.channels"
        )

    def load(frame: int) -> Volume:
        lazy = ZarrVoxels(array, image.axes, frame, nonfinite == "error", path)
        valid = _valid(mask, frame, path)
        if np.prod(lazy.shape, dtype=object) * lazy.dtype.itemsize > AT_ONCE_BYTES:
            finite = None if nonfinite == "error" else lazy.finite_mask()
            return Volume(lazy, grid, channels, times[frame], _both(valid, finite))
        voxels, finite = checked(lazy.raw(...), nonfinite, path)
        return Volume(voxels, grid, channels, times[frame], _both(valid, finite))

    with in_file(path):
        return TimeLapse(grid, channels, times, load)


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """What zarr raises on a damaged folder comes out as VolumeFileError."""
    try:
        yield
    except FusetrackError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError) as error:
        raise VolumeFileError(
            f"cannot be read as Zarr: {error}",
            file=path,
            remedy="It is damaged, or no OME-Zarr: write it anew, or give the path of the image inside",
        ) from error


def _array(group: Any, name: str, image: Image, path: Path) -> Any:  # noqa: ANN401 - zarr is untyped here
    array = group[name]
    require_real(np.dtype(array.dtype), path)
    if array.ndim != len(image.axes):
        raise HeaderError(f"{array.ndim} axes there, {image.axes!r} described", file=path, field="axes")
    if list(array.shape) != image.ours.get("shape", list(array.shape)):
        raise VolumeFileError(
            f"its array is {array.shape}, {image.ours['shape']} was written",
            file=path,
            field="fusetrack.shape",
            value=array.shape,
            remedy="The folder is damaged: write it anew",
        )
    if image.ours.get("every_chunk_written"):
        _require_whole(array, path)
    return array


def _require_whole(array: Any, path: Path) -> None:  # noqa: ANN401 - zarr is untyped here
    """A chunk that is not there would read as zeros, without a word."""
    there, meant = int(array.nchunks_initialized), int(array.nchunks)
    if there != meant:
        raise VolumeFileError(
            f"{meant - there} of {meant} chunks are missing", file=path, field=array.path, remedy="Write it anew"
        )


def _mask(group: Any, image: Image, path: Path) -> Any:  # noqa: ANN401 - zarr is untyped here
    if "valid" not in image.ours:
        return None
    mask = group[image.ours["valid"]]["0"]
    _require_whole(mask, path)
    return mask


def _valid(mask: Any, frame: int, path: Path) -> Mask | None:  # noqa: ANN401 - zarr is untyped here
    if mask is None:
        return None
    with faults(path):
        valid: Mask = np.asarray(mask[frame] if mask.ndim == 4 else mask[...]).astype(bool)
    return valid


def _both(valid: Mask | None, finite: Mask | None) -> Mask | None:
    if valid is None or finite is None:
        return finite if valid is None else valid
    both: Mask = valid & finite
    return both


def _four(key: Any) -> list[Any]:  # noqa: ANN401 - any numpy index
    """An index over (C, Z, Y, X) spelt out."""
    given = key if isinstance(key, tuple) else (key,)
    if any(part is Ellipsis for part in given):
        at = next(i for i, part in enumerate(given) if part is Ellipsis)
        given = (*given[:at], *[slice(None)] * (5 - len(given)), *given[at + 1 :])
    return [*given, *[slice(None)] * (4 - len(given))]
