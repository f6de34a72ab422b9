"""Reading TIFF (.tif, .tiff): pages checked against the file before they are decoded, one frame at a time.

How pages lie comes from a :class:`Layout`, from OME-XML or from ImageJ's description, in this order.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from volumes.errors import ContentError, HeaderError, UnitError, VolumeFileError
from volumes.io import gzipped, ome_xml, tiff_layout, units
from volumes.io.content import Nonfinite, checked
from volumes.io.layout import Layout
from volumes.io.tiff_layout import Pages
from volumes.io.world import in_file
from volumes.shapes import AnyArray
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

_DEFLATE = (8, 32946)
_PLAIN = 1
_OTHER_EXPANSION = 10_000
_PIECE = 1 << 22
_FAULTS = (
    tifffile.TiffFileError, struct.error, zlib.error, EOFError, OSError, ValueError, TypeError, AttributeError,
    LookupError, ArithmeticError, RuntimeError,
)  # fmt: skip
"""What tifffile raises on bytes that make no sense, as single flipped bytes have shown."""


def read_timelapse(
    path: Path, modality: str, unit: str | None, nonfinite: Nonfinite, layout: Layout | None
) -> TimeLapse:
    """A stack's frames; one without a T axis has a single frame."""
    with _opened(path) as tif:
        pages = _pages(tif, modality, unit, layout, path)
        used = [tif.pages[int(number)].aspage() for number in np.unique(pages.numbers)]
        for page in used:
            _require_possible(page, pages, path)
        _require_alike(used, path)

    def load(frame: int) -> Volume:
        with _opened(path) as tif:
            planes = [_decoded(tif.pages[int(number)].aspage(), pages, path) for number in pages.numbers[frame].ravel()]
        voxels = np.stack(planes).reshape(len(pages.channels), *pages.grid.shape)
        good, valid = checked(voxels, nonfinite, path)
        return Volume(good, pages.grid, pages.channels, pages.times_s[frame], valid)

    with in_file(path):
        return TimeLapse(pages.grid, pages.channels, pages.times_s, load)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """An open file, whose faults come out as VolumeFileError."""
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except _FAULTS as error:
        raise VolumeFileError(
            f"cannot be read as TIFF: {error}",
            file=path,
            remedy="It is truncated, corrupt, no TIFF, or of a compression that needs imagecodecs: write it anew",
        ) from error


def _pages(tif: tifffile.TiffFile, modality: str, unit: str | None, layout: Layout | None, path: Path) -> Pages:
    if len(tif.pages) == 0:
        raise VolumeFileError("holds no page", file=path, remedy="Fetch the file again")
    if layout is not None:
        units.length_um("um", unit, path, "layout.spacing_um")
        return tiff_layout.from_layout(tif, layout, modality, path)
    if tif.is_ome:
        return ome_xml.parse(tif, modality, unit, path)
    if tif.is_imagej and tif.imagej_metadata:
        return tiff_layout.from_imagej(tif, modality, unit, path)
    raise UnitError(
        "a plain TIFF states neither its axes nor its voxel size",
        file=path,
        field="ImageDescription",
        remedy="State them: read(…, layout=Layout(axes='ZYX', sizes=…, spacing_um=…))",
    )


def _require_possible(page: Any, pages: Pages, path: Path) -> None:  # noqa: ANN401 - tifffile is untyped
    """Refuse a page that is not as described, or that its bytes in the file cannot fill."""
    if page.samplesperpixel != 1 or page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise ContentError(
            "pages hold colours or inverted grey, not one value a pixel",
            file=path,
            field="PhotometricInterpretation",
            value=str(page.photometric),
            remedy="Split the colours into channels",
        )
    if page.shape != pages.grid.shape[1:]:
        raise HeaderError(
            f"page {page.index} is {page.shape}, {pages.grid.shape[1:]} is described",
            file=path,
            field="sizes",
            value=page.shape,
            remedy="Correct the sizes, or the Layout",
        )
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    stored, most = sum(page.databytecounts), _expansion(int(page.compression))
    if not ends or min(page.databytecounts) == 0 or max(ends) > page.parent.filehandle.size:
        raise VolumeFileError(f"is truncated: page {page.index} is not whole", file=path, remedy="Fetch it again")
    if page.nbytes > stored * most or (most == 1 and not page.is_tiled and page.nbytes != stored):
        raise VolumeFileError(
            f"page {page.index} claims {page.nbytes:,} bytes, the file has {stored:,} for it",
            file=path,
            field="StripByteCounts",
            remedy="Fetch the file again",
        )


def _require_alike(used: Sequence[Any], path: Path) -> None:
    """Pages of differing types would be cast to a common one, without a word."""
    kinds = {(str(page.dtype), int(page.compression), page.bitspersample) for page in used}
    if len(kinds) > 1:
        raise HeaderError(
            "its pages differ in type or compression",
            file=path,
            field="BitsPerSample, Compression",
            value=sorted(map(str, kinds)),
            remedy="Write the stack anew with one type",
        )


def _expansion(compression: int) -> int:
    if compression == _PLAIN:
        return 1
    return gzipped.MOST_EXPANSION if compression in _DEFLATE else _OTHER_EXPANSION


def _decoded(page: Any, pages: Pages, path: Path) -> AnyArray:  # noqa: ANN401 - tifffile is untyped
    _require_possible(page, pages, path)
    if int(page.compression) in _DEFLATE:
        _require_checksums(page, path)
    plane: AnyArray = page.asarray()
    if plane.shape != page.shape:
        raise VolumeFileError(f"page {page.index} is not whole", file=path, value=plane.shape, remedy="Fetch it again")
    return plane


def _require_checksums(page: Any, path: Path) -> None:  # noqa: ANN401 - tifffile is untyped
    """Inflate every strip to its very end, where the Adler-32 stands; the decoder stops at the last pixel."""
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        packed, inflater = file.read(count), zlib.decompressobj()
        while not inflater.eof:
            if not packed and not inflater.decompress(b"", _PIECE):
                raise VolumeFileError(f"page {page.index} is cut short", file=path, remedy="Fetch the file again")
            inflater.decompress(packed, _PIECE)
            packed = inflater.unconsumed_tail
