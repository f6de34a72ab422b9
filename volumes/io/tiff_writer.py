"""Writing OME-TIFF (.tif, .tiff) of three to five dimensions, plane by plane, deflated; equal content, equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from volumes.atomic import replacing_file
from volumes.errors import HeaderError
from volumes.io import content, ome_xml
from volumes.shapes import AnyArray
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

_KEPT = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_CLASSIC = (1 << 32) - (1 << 25)
_STRAIGHT = 1e-9


def write(movie: Volume | TimeLapse, path: Path) -> None:
    """Write a volume or a movie; names, wavelengths and colours of channels are kept, their modalities are not.

    Raises
    ------
    HeaderError : a direction other than the identity, which OME-TIFF cannot say.
    ContentError : voxels that no OME type holds, such as labels past 2³².
    """
    grid = movie.grid
    if np.abs(grid.axes - np.eye(3)).max() > _STRAIGHT:
        raise HeaderError(
            "OME-TIFF cannot say a direction",
            file=path,
            field="direction",
            value=grid.direction,
            remedy="Write .ome.zarr, .nrrd or .nii.gz, or resample onto a straight grid first",
        )
    times = movie.times_s if isinstance(movie, TimeLapse) else (movie.time_s,)
    dtype = content.lossless(movie, _KEPT, path)
    count = len(times) * len(movie.channels) * grid.shape[0]
    shape = (count, *grid.shape[1:])
    big = int(np.prod(shape, dtype=object)) * dtype.itemsize > _CLASSIC
    with replacing_file(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big, ome=False) as tif:
        tif.write(
            _planes(movie, dtype, path),
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 1},
            metadata=None,
            description=ome_xml.describe(grid, movie.channels, times, dtype),
        )


def _planes(movie: Volume | TimeLapse, dtype: np.dtype[Any], path: Path) -> Iterator[AnyArray]:
    for frame in content.each_frame(movie):
        content.mention_mask(frame, path)
        for channel in range(len(frame.channels)):
            for _, slab in content.slabs(frame, channel):
                yield from content.stored(slab, dtype, path)
