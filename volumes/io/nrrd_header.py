"""What a NRRD header says of its voxels: types, axes, world and unit. https://teem.sourceforge.net/nrrd/format.html"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volumes.errors import ContentError, HeaderError, UnitError
from volumes.grid import Grid
from volumes.io import units
from volumes.io.world import grid_of
from volumes.shapes import AnyArray, Matrix4

_TYPES = {
    "int8": "signed char|int8|int8_t",
    "uint8": "uchar|unsigned char|uint8|uint8_t",
    "int16": "short|short int|signed short|signed short int|int16|int16_t",
    "uint16": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "int32": "int|signed int|int32|int32_t",
    "uint32": "uint|unsigned int|uint32|uint32_t",
    "int64": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "uint64": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "float32": "float",
    "float64": "double",
}
_DTYPES = {name: np.dtype(dtype) for dtype, names in _TYPES.items() for name in names.split("|")}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "scanner-xyz": (1, 1, 1),
    "3d-right-handed": (1, 1, 1),
    "3d-left-handed": (1, 1, 1),
    None: (1, 1, 1),
}
"""Signs that turn a space's (x, y, z) into LPS. A space without anatomy is taken as LPS, as ITK does."""
_COLOURS = {"rgb-color", "rgba-color", "hsv-color", "xyz-color", "complex", "quaternion"}


@dataclass(frozen=True)
class Axes:
    """Which of the file's axes (fastest first) are space, and which one, if any, holds channels."""

    sizes: tuple[int, ...]
    space: tuple[int, ...]
    channel: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""
        return tuple(self.sizes[axis] for axis in reversed(self.space))

    def arranged(self, flat: AnyArray) -> AnyArray:
        """Voxels in file order as (C, Z, Y, X)."""
        slowest_first = flat.reshape(self.sizes[::-1])
        if self.channel is None:
            return slowest_first[None]
        return np.moveaxis(slowest_first, len(self.sizes) - 1 - self.channel, 0)


def dtype(header: Mapping[str, Any], path: Path) -> np.dtype[Any]:
    """The voxels' type, in the file's byte order.

    Raises
    ------
    ContentError : blocks of bytes.
    HeaderError : an unknown type, or no byte order where one is needed.
    """
    name = " ".join(str(header["type"]).lower().split())
    if name == "block":
        raise ContentError("voxels are blocks of bytes, not numbers", file=path, field="type", value=name)
    if name not in _DTYPES:
        raise HeaderError("is not a known type", file=path, field="type", value=name, remedy="Convert the file")
    found, endian = _DTYPES[name], header.get("endian")
    if found.itemsize > 1 and endian not in ("little", "big"):
        raise HeaderError("must be little or big", file=path, field="endian", value=endian, remedy="Mend the header")
    return found.newbyteorder("<" if endian == "little" else ">")


def axes(header: Mapping[str, Any], path: Path) -> Axes:
    """The axes of three spatial dimensions, and of one of channels where there is one.

    Raises
    ------
    HeaderError : impossible sizes, or another number of spatial axes than three.
    ContentError : an axis of colours or complex parts.
    """
    sizes = tuple(int(n) for n in header["sizes"])
    count = int(header["dimension"])
    if len(sizes) != count or min(sizes, default=0) < 1:
        raise HeaderError("has an impossible size", file=path, field="sizes", value=sizes, remedy="Mend the header")
    space = tuple(i for i in range(count) if not _is_nonspatial(header, i))
    others = tuple(i for i in range(count) if i not in space)
    kinds = [str(k).lower() for k in header.get("kinds", [])]
    for i in others:
        if kinds and kinds[i] in _COLOURS:
            raise ContentError(
                f"an axis of {kinds[i]} is no volume", file=path, field="kinds", value=kinds, remedy="Split the colours"
            )
    if len(space) != 3 or len(others) > 1 or any(kinds[i : i + 1] == ["time"] for i in others):
        raise HeaderError(
            "needs three axes of space, and at most one of channels",
            file=path,
            field="sizes",
            value=sizes,
            remedy="Split the file, or convert a movie to OME-TIFF or OME-Zarr",
        )
    return Axes(sizes, space, others[0] if others else None)


def grid(header: Mapping[str, Any], found: Axes, unit: str | None, path: Path) -> Grid:
    """Where the voxels lie.

    "space units" win over the per-axis "units"; a missing "space origin" is zero.

    Raises
    ------
    HeaderError, UnitError : no voxel size, a space that is not known, no unit, or a matrix that cannot be.
    """
    space = header.get("space")
    if space is not None and str(space).lower() not in _TO_LPS:
        raise HeaderError("is not a space known here", file=path, field="space", value=space, remedy="Use LPS or RAS")
    signs = np.diag((*_TO_LPS[None if space is None else str(space).lower()], 1.0))
    return grid_of(found.shape, signs @ _matrix(header, found, path), _um(header, found, unit, path), path)


def _is_nonspatial(header: Mapping[str, Any], axis: int) -> bool:
    directions = header.get("space directions")
    if directions is not None:
        row = directions[axis]
        return row is None or bool(np.isnan(np.asarray(row, dtype=np.float64)).all())
    if "spacings" in header:
        return bool(np.isnan(float(header["spacings"][axis])))
    return False


def _matrix(header: Mapping[str, Any], found: Axes, path: Path) -> Matrix4:
    matrix = np.eye(4)
    if header.get("space directions") is not None:
        rows = [np.asarray(header["space directions"][axis], dtype=np.float64) for axis in found.space]
        if any(row.shape != (3,) for row in rows):
            raise HeaderError("needs three numbers an axis", file=path, field="space directions", value=rows)
        matrix[:3, :3] = np.stack(rows, axis=1)
        matrix[:3, 3] = header.get("space origin", (0.0, 0.0, 0.0))
    elif "spacings" in header:
        spacings = [float(header["spacings"][axis]) for axis in found.space]
        if min(spacings) <= 0:
            raise HeaderError(
                "must be above zero", file=path, field="spacings", value=spacings, remedy="Mend the voxel size"
            )
        matrix[:3, :3] = np.diag(spacings)
    else:
        raise HeaderError(
            "the file states no voxel size", file=path, field="space directions", remedy="Add it to the header"
        )
    return matrix


def _um(header: Mapping[str, Any], found: Axes, unit: str | None, path: Path) -> float:
    field = "space units" if "space units" in header else "units"
    stated = [str(name) for name in header.get(field, [])]
    if field == "units" and len(stated) == len(found.sizes):
        stated = [stated[axis] for axis in found.space]
    factors = {units.length_um(name, unit, path, field) for name in (stated or (None,))}
    if len(factors) != 1:
        raise UnitError(
            "the axes have different units", file=path, field=field, value=stated, remedy="Give them one unit"
        )
    return factors.pop()
