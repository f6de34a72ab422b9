"""Bytes of a file, plain or gzipped, read to their very end: nothing missing, nothing over, checksums held.

A gzip stream carries its CRC after the last byte, so a reader that stops at the last voxel never sees that a byte was
flipped. Deflate expands at most 1032 to 1, which bounds what a header may claim before memory is set aside for it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np

from volumes.errors import VolumeFileError
from volumes.shapes import AnyArray

MOST_EXPANSION = 1100
"""A gzip or deflate stream never grows more than this many times."""
MAGIC = b"\x1f\x8b"
_PIECE = 1 << 22


@contextmanager
def opened(path: Path, *, compressed: bool) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed where ``compressed``; faults of the stream come out as VolumeFileError.

    Raises
    ------
    VolumeFileError : the file is not what its suffix says, truncated, or fails its checksum.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == MAGIC
            file.seek(0)
            if is_gzip != compressed:
                said, found = ("gzip", "plain bytes") if compressed else ("plain bytes", "gzip")
                raise VolumeFileError(
                    f"its name says {said}, it holds {found}", file=path, remedy="Rename it to what it is"
                )
            with as_gzip(file) if compressed else file as stream:
                yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise VolumeFileError(
            f"the gzip stream is truncated or corrupt: {error}", file=path, remedy="Fetch the file again"
        ) from error
    except OSError as error:
        raise VolumeFileError(
            f"cannot be read: {error.strerror}", file=path, remedy="Check its permissions and the disk"
        ) from error


def as_gzip(file: IO[bytes]) -> IO[bytes]:
    """Decompresses what follows in an open file, and checks the CRC at its end."""
    return cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))


def refuse_impossible(path: Path, claimed: int, *, compressed: bool) -> None:
    """Raise VolumeFileError when a header claims more bytes than the file can hold; comes before any allocation."""
    held = path.stat().st_size
    if claimed > held * (MOST_EXPANSION if compressed else 1):
        raise VolumeFileError(
            f"its header claims {claimed:,} bytes, a file of {held:,} bytes cannot hold them",
            file=path,
            field="sizes",
            remedy="The file is truncated or its header is wrong: fetch it again",
        )


def exactly(stream: IO[bytes], count: int, path: Path) -> AnyArray:
    """The next ``count`` bytes as uint8.

    Raises
    ------
    VolumeFileError : the stream ends before.
    """
    out = np.empty(count, np.uint8)
    filled = 0
    while filled < count:
        got = cast(io.BufferedIOBase, stream).readinto(out[filled : filled + _PIECE].data)
        if not got:
            raise VolumeFileError(
                f"is truncated: {filled:,} bytes of voxels of the {count:,} that its header claims",
                file=path,
                remedy="Fetch the file again",
            )
        filled += got
    return out


def to_end(stream: IO[bytes], path: Path) -> None:
    """Read on to the end, so that the checksum is held; bytes past the voxels are an error.

    Raises
    ------
    VolumeFileError : the file holds more than its header says.
    """
    over = 0
    while piece := stream.read(_PIECE):
        over += len(piece)
    if over:
        raise VolumeFileError(
            f"holds {over:,} bytes more than its header says",
            file=path,
            field="sizes",
            remedy="Its header's sizes or type are wrong: mend them",
        )


@contextmanager
def compressing(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Gzip into an open file, without name and time: equal content gives equal bytes."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=1, mtime=0) as stream:
        yield cast(IO[bytes], stream)
