"""Linear transforms and displacement fields as ITK composite transform files in HDF5 (.h5), in mm.

HDF5 keeps no checksum of ITK's arrays. What is written here therefore ends with one line more, the SHA-256 of all
before it, which HDF5 readers do not look at; files without that line are read all the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from volumes.atomic import replacing_file
from volumes.displacement import DisplacementField
from volumes.errors import FusetrackError, OutputError, TransformError, VolumeFileError
from volumes.io.itk_transforms import affine_of, field_of, itk_affine, itk_field, itk_parts, parts_of, write_itk
from volumes.io.world import in_file
from volumes.transform import Affine, Transform

if TYPE_CHECKING:
    import SimpleITK

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END_OF_FILE = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}
"""Where a superblock of each version says how many bytes an address has, and where the file ends."""
_TITLE = b"\n#sha256 "
_TRAILER = len(_TITLE) + 64 + 1
_CHUNK = 1 << 20


def read(file: Path) -> tuple[Transform, ...]:
    """The parts of an ITK transform file, in its order.

    Raises
    ------
    VolumeFileError : truncated, damaged, or no ITK transform.
    TransformError : a part that is neither linear nor a displacement field, or singular.
    HeaderError, ContentError : a displacement field whose grid is sheared, or that is not finite.
    """
    import SimpleITK

    _require_whole(file)
    try:
        found = SimpleITK.ReadTransform(str(file))
    except (RuntimeError, ValueError, MemoryError) as error:
        raise VolumeFileError(
            "holds no ITK transform that can be read", file=file, remedy="Write it again with ITK or fusetrack"
        ) from error
    with in_file(file):
        parts = tuple(_part(part, file) for part in itk_parts(found))
    if not parts:
        raise VolumeFileError("holds a composite without parts", file=file, remedy="Write it again")
    return parts


def write(transform: Transform, file: Path) -> None:
    """Write the parts of a transform.

    Raises
    ------
    TransformError : a part that is neither an Affine nor a DisplacementField.
    OutputError : the target cannot be written.
    """
    parts = parts_of(transform)
    itk = [_to_itk(part, file) for part in parts]
    with replacing_file(file) as temporary:
        write_itk(itk, temporary, file)
        digest = _digest(temporary, temporary.stat().st_size)
        with temporary.open("ab") as stream:
            stream.write(_TITLE + digest.encode() + b"\n")
        _require_same(temporary, parts, file)


def _part(part: SimpleITK.Transform, file: Path) -> Transform:
    return field_of(part, file) if part.GetName() == "DisplacementFieldTransform" else affine_of(part)


def _to_itk(part: Transform, file: Path) -> SimpleITK.Transform:
    if isinstance(part, Affine):
        return itk_affine(part)
    if isinstance(part, DisplacementField):
        return itk_field(part)
    raise TransformError(
        "an .h5 holds linear transforms and displacement fields alone",
        file=file,
        field="parts",
        value=type(part).__name__,
        remedy="Sample it first: DisplacementField.of(transform, grid)",
    )


def _require_same(temporary: Path, parts: tuple[Transform, ...], file: Path) -> None:
    """Hold what is on the disk against what was meant: a disk may run full without a word."""
    try:
        found: tuple[Transform, ...] = read(temporary)
    except FusetrackError:
        found = ()
    if len(found) != len(parts) or not all(_same(a, b) for a, b in zip(found, parts, strict=True)):
        raise OutputError("what was written does not read back", file=file, remedy="Check the space on the disk")


def _same(a: Transform, b: Transform) -> bool:
    if isinstance(a, DisplacementField) and isinstance(b, DisplacementField):
        return a.grid.is_close(b.grid) and np.allclose(a.displacements_um, b.displacements_um, rtol=1e-12, atol=1e-9)
    return isinstance(a, Affine) and isinstance(b, Affine) and np.allclose(a.matrix, b.matrix)


def _require_whole(file: Path) -> None:
    """Refuse what is cut or damaged before HDF5 sees it, which would say so at length on the terminal."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(64)
            stream.seek(max(size - _TRAILER, 0))
            tail = stream.read()
    except OSError as error:
        raise VolumeFileError("cannot be read", file=file, value=error.strerror, remedy="Check permissions") from error
    if not head.startswith(_SIGNATURE):
        raise VolumeFileError("is no HDF5 file", file=file, value=head[:8], remedy="Fetch the file again")
    stated = _stated_size(head)
    if stated is not None and size < stated:
        raise VolumeFileError(
            f"is truncated: it has {size} of {stated} bytes", file=file, remedy="Fetch the file again"
        )
    if tail.startswith(_TITLE) and tail[len(_TITLE) : -1] != _digest(file, size - _TRAILER).encode():
        raise VolumeFileError("is damaged: its checksum does not fit", file=file, remedy="Fetch the file again")


def _stated_size(head: bytes) -> int | None:
    """How long a file's superblock says it is; None where that cannot be told."""
    width_at, end_at = _END_OF_FILE.get(head[8] if len(head) > 8 else -1, (0, 0))
    if not end_at or len(head) < end_at + 8 or head[width_at] != 8:
        return None
    return int.from_bytes(head[end_at : end_at + 8], "little")


def _digest(file: Path, size: int) -> str:
    """SHA-256 of the first ``size`` bytes."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while size > 0 and (chunk := stream.read(min(_CHUNK, size))):
            found.update(chunk)
            size -= len(chunk)
    return found.hexdigest()
