"""Writing NRRD (.nrrd) in µm, left-posterior-superior, gzipped: equal content gives equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from volumes.atomic import replacing_file
from volumes.io import content, gzipped
from volumes.io.world import lps_of
from volumes.volume import Volume

_NAMES = {
    "uint8": "uint8", "int8": "int8", "uint16": "uint16", "int16": "int16", "uint32": "uint32", "int32": "int32",
    "float32": "float", "uint64": "uint64", "int64": "int64", "float64": "double",
}  # fmt: skip


def write(volume: Volume, path: Path) -> None:
    """Write all channels; more than one become the slowest axis, a list.

    Raises
    ------
    ContentError : voxels that no NRRD type holds.
    """
    dtype = content.lossless(volume, tuple(_NAMES), path)
    content.mention_mask(volume, path)
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        file.write(_header(volume, dtype).encode("ascii"))
        with gzipped.compressing(file) as stream:
            for channel in range(len(volume.channels)):
                for _, slab in content.slabs(volume, channel):
                    stream.write(content.stored(slab, dtype.newbyteorder("<"), path).data)


def _header(volume: Volume, dtype: np.dtype[Any]) -> str:
    matrix = lps_of(volume.grid, 1.0)
    several = len(volume.channels) > 1
    sizes = [*volume.grid.shape[::-1], *([len(volume.channels)] if several else [])]
    directions = [_vector(matrix[:3, axis]) for axis in range(3)]
    lines = [
        "NRRD0004",
        f"type: {_NAMES[dtype.name]}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join([*directions, *(['none'] if several else [])])}",
        f"kinds: {' '.join(['domain'] * 3 + (['list'] if several else []))}",
        "endian: little",
        "encoding: gzip",
        'space units: "um" "um" "um"',
        f"space origin: {_vector(matrix[:3, 3])}",
    ]
    return "\n".join(lines) + "\n\n"


def _vector(values: Sequence[float] | np.ndarray) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"
