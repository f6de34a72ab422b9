"""Reading NRRD (.nrrd): the header through pynrrd, the voxels and every check here.

A file of ``space dimension: 3`` alone names no anatomy; its axes are taken as LPS, which is what ITK does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nrrd as pynrrd
import numpy as np

from volumes.errors import HeaderError, VolumeFileError
from volumes.io import gzipped, nrrd_header
from volumes.io.content import Nonfinite, checked
from volumes.shapes import AnyArray
from volumes.volume import Channel, Volume

_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_NEEDED = ("type", "dimension", "sizes", "encoding")


def read(path: Path, modality: str, unit: str | None, nonfinite: Nonfinite) -> Volume:
    """One volume of three axes, with channels where a fourth axis is not one of space."""
    with gzipped.opened(path, compressed=False) as file:
        header = _header(file, path)
        with _understandable(path):
            dtype, axes = nrrd_header.dtype(header, path), nrrd_header.axes(header, path)
            grid = nrrd_header.grid(header, axes, unit, path)
        raw = _voxels(file, header, int(np.prod(axes.sizes, dtype=object)) * dtype.itemsize, path)
    voxels, valid = checked(axes.arranged(raw.view(dtype)), nonfinite, path)
    names = [modality] if len(voxels) == 1 else [f"{modality}-{i}" for i in range(len(voxels))]
    return Volume(voxels, grid, tuple(Channel(name, modality) for name in names), valid=valid)


def _header(file: IO[bytes], path: Path) -> Mapping[str, Any]:
    if file.read(4) != b"NRRD":
        raise VolumeFileError("holds no NRRD header", file=path, remedy="Rename it to what it is")
    file.seek(0)
    with _understandable(path):
        header: Mapping[str, Any] = pynrrd.read_header(file)
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise HeaderError("is missing", file=path, field=missing[0], remedy="Mend the header")
    return header


@contextmanager
def _understandable(path: Path) -> Iterator[None]:
    """Fields that are no numbers, or too few of them, come out as HeaderError."""
    try:
        yield
    except (pynrrd.NRRDError, ValueError, TypeError, KeyError, IndexError) as error:
        raise HeaderError(f"its header cannot be read: {error}", file=path, remedy="Mend the header") from error


def _voxels(file: IO[bytes], header: Mapping[str, Any], count: int, path: Path) -> AnyArray:
    """All voxels' bytes, read to the end of the file."""
    for field in ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip"):
        if header.get(field):
            raise HeaderError(
                "voxels apart from the header are not read",
                file=path,
                field=field,
                value=header[field],
                remedy="Convert to one .nrrd file of raw or gzip encoding",
            )
    encoding = str(header["encoding"]).lower()
    if encoding not in _ENCODINGS:
        raise HeaderError(
            "is not read", file=path, field="encoding", value=encoding, remedy="Convert it to raw or gzip"
        )
    gzipped.refuse_impossible(path, count, compressed=_ENCODINGS[encoding])
    stream = gzipped.as_gzip(file) if _ENCODINGS[encoding] else file
    raw = gzipped.exactly(stream, count, path)
    gzipped.to_end(stream, path)
    return raw
