"""Reading NIfTI-1 and NIfTI-2 (.nii, .nii.gz): the header through nibabel, the voxels and every check here.

NIfTI's world is (x, y, z) RAS, ours LPS backwards: ``A_lps = diag(−1, −1, 1, 1) · A_ras``. Its voxels run x fastest,
which read as an array is (z, y, x). https://nifti.nimh.nih.gov/nifti-1
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from volumes.errors import HeaderError, VolumeFileError
from volumes.grid import Grid
from volumes.io import gzipped, nifti_affine, units
from volumes.io.content import Nonfinite, checked, require_real
from volumes.io.world import in_file
from volumes.shapes import AnyArray, Shape3
from volumes.timelapse import TimeLapse
from volumes.volume import Channel, Volume

_SMALL, _LARGE = 348, 540
_LENGTHS = {0: None, 1: "m", 2: "mm", 3: "um"}
_TIMES = {0: None, 8: "s", 16: "ms", 24: "us"}
_RGB = {128: "RGB24", 2304: "RGBA32"}


@dataclass(frozen=True)
class _Nifti:
    """A header that has been checked."""

    header: Any
    shape: Shape3
    frames: int
    dtype: np.dtype[Any]
    slope: float
    inter: float
    offset: int

    @property
    def frame_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def read(
    path: Path, modality: str, unit: str | None, nonfinite: Nonfinite, affine: nifti_affine.Which | None
) -> Volume:
    """One 3-D volume; a fourth axis of more than one is an error."""
    with gzipped.opened(path, compressed=_is_gz(path)) as stream:
        parsed = _parse(stream, path)
        if parsed.frames > 1:
            raise HeaderError(
                f"holds {parsed.frames} frames, one volume is meant",
                file=path,
                field="dim",
                value=parsed.header["dim"].tolist(),
                remedy="Read it with read_timelapse",
            )
        grid = _grid(parsed, path, unit, affine)
        raw = gzipped.exactly(stream, parsed.frame_bytes, path)
        gzipped.to_end(stream, path)
    return _volume(parsed, raw, grid, modality, nonfinite, path)


def read_timelapse(
    path: Path, modality: str, unit: str | None, nonfinite: Nonfinite, affine: nifti_affine.Which | None
) -> TimeLapse:
    """A 4-D file as frames. A plain file is read frame by frame; a gzipped one stays in memory, not yet scaled."""
    compressed = _is_gz(path)
    with gzipped.opened(path, compressed=compressed) as stream:
        parsed = _parse(stream, path)
        grid = _grid(parsed, path, unit, affine)
        times = _times(parsed, path)
        size = parsed.frame_bytes
        whole = gzipped.exactly(stream, size * parsed.frames, path) if compressed else None
        if compressed:
            gzipped.to_end(stream, path)
        elif path.stat().st_size != parsed.offset + size * parsed.frames:
            stream.seek(parsed.offset + size * parsed.frames)
            gzipped.to_end(stream, path)

    def load(frame: int) -> Volume:
        raw = _from_file(path, parsed.offset + frame * size, size) if whole is None else whole[frame * size :][:size]
        return _volume(parsed, raw, grid, modality, nonfinite, path)

    with in_file(path):
        return TimeLapse(grid, (Channel(modality, modality),), times, load)


def _is_gz(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _from_file(path: Path, offset: int, size: int) -> AnyArray:
    with gzipped.opened(path, compressed=False) as stream:
        stream.seek(offset)
        return gzipped.exactly(stream, size, path)


def _parse(stream: IO[bytes], path: Path) -> _Nifti:
    """Read the header up to the first voxel."""
    header = _header(stream, path)
    shape, frames = _sizes(header, path)
    dtype = _dtype(header, path)
    slope, inter = _scaling(header, path)
    length = int(header["sizeof_hdr"])
    offset = int(header["vox_offset"])
    claimed = int(np.prod(shape, dtype=object)) * frames * dtype.itemsize
    if not length <= offset:
        raise HeaderError(
            "lies inside the header", file=path, field="vox_offset", value=offset, remedy="Mend the header"
        )
    gzipped.refuse_impossible(path, offset + claimed, compressed=_is_gz(path))
    gzipped.exactly(stream, offset - length, path)
    return _Nifti(header, shape, frames, dtype, slope, inter, offset)


def _header(stream: IO[bytes], path: Path) -> Any:  # noqa: ANN401 - nibabel is untyped
    raw = stream.read(_SMALL)
    length = {int.from_bytes(raw[:4], order): order for order in ("little", "big")}
    if len(raw) < _SMALL or not length.keys() & {_SMALL, _LARGE}:
        raise VolumeFileError("holds no NIfTI header", file=path, remedy="Rename it to what it is, or fetch it again")
    endianness = "<" if length.get(_SMALL, length.get(_LARGE)) == "little" else ">"
    kind = nibabel.Nifti1Header if _SMALL in length else nibabel.Nifti2Header
    if kind is nibabel.Nifti2Header:
        raw += stream.read(_LARGE - _SMALL)
    if len(raw) != kind.template_dtype.itemsize:
        raise VolumeFileError("is truncated inside its header", file=path, remedy="Fetch the file again")
    header = kind(raw, endianness, check=False)
    magic = bytes(header["magic"].tobytes())[:3]
    if magic not in (b"n+1", b"n+2"):
        raise VolumeFileError(
            "is not a single NIfTI file", file=path, field="magic", value=magic, remedy="Convert .hdr/.img to .nii"
        )
    return header


def _sizes(header: Any, path: Path) -> tuple[Shape3, int]:  # noqa: ANN401 - nibabel is untyped
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise HeaderError(
            "has an impossible size", file=path, field="dim", value=dim, remedy="Fetch the file again or mend it"
        )
    sizes = dim[1 : dim[0] + 1] + [1] * (7 - dim[0])
    if max(sizes[4:]) > 1:
        raise HeaderError(
            "has more than four axes", file=path, field="dim", value=dim, remedy="Split it into 3-D or 4-D files"
        )
    return (sizes[2], sizes[1], sizes[0]), sizes[3]


def _dtype(header: Any, path: Path) -> np.dtype[Any]:  # noqa: ANN401 - nibabel is untyped
    code = int(header["datatype"])
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise HeaderError(
            "is not a known type of voxel", file=path, field="datatype", value=code, remedy="Convert the file"
        ) from error
    require_real(dtype, path)
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise HeaderError(
            f"contradicts the datatype {dtype.name}",
            file=path,
            field="bitpix",
            value=int(header["bitpix"]),
            remedy="The header is corrupt: fetch the file again",
        )
    return dtype


def _scaling(header: Any, path: Path) -> tuple[float, float]:  # noqa: ANN401 - nibabel is untyped
    """Slope and intercept; (1, 0) for none. Readers disagree on an intercept without a slope: it is refused."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    without = np.isnan(slope) or slope == 0
    if without and (np.isnan(inter) or inter == 0):
        return 1.0, 0.0
    if without or not np.isfinite([slope, inter]).all():
        raise HeaderError(
            "slope and intercept contradict each other, and readers disagree on them",
            file=path,
            field="scl_slope, scl_inter",
            value=(slope, inter),
            remedy="Set the slope to 1, or the intercept to 0, whichever is meant",
        )
    return slope, inter


def _grid(parsed: _Nifti, path: Path, unit: str | None, which: nifti_affine.Which | None) -> Grid:
    code = int(parsed.header["xyzt_units"]) & 7
    if code not in _LENGTHS:
        raise HeaderError("is not a unit of length", file=path, field="xyzt_units", value=code, remedy="State unit=")
    um = units.length_um(_LENGTHS[code], unit, path, "xyzt_units")
    return nifti_affine.grid(parsed.header, parsed.shape, um, which, path)


def _times(parsed: _Nifti, path: Path) -> tuple[float, ...]:
    if parsed.frames == 1:
        return (_start(parsed, path),)
    code = int(parsed.header["xyzt_units"]) & 56
    if code not in _TIMES:
        raise HeaderError("the fourth axis is not time", file=path, field="xyzt_units", value=code)
    second = units.time_s(_TIMES[code], path, "xyzt_units", "Set the time unit in the header (8 is seconds)")
    step = float(parsed.header["pixdim"][4]) * second
    if not (np.isfinite(step) and step > 0):
        raise HeaderError(
            "the frame interval must be above zero", file=path, field="pixdim[4]", value=step, remedy="Mend the header"
        )
    return tuple(float(parsed.header["toffset"]) * second + i * step for i in range(parsed.frames))


def _start(parsed: _Nifti, path: Path) -> float:
    """The time of a single volume; 0 where the header has no unit of time."""
    unit = _TIMES.get(int(parsed.header["xyzt_units"]) & 56)
    return 0.0 if unit is None else float(parsed.header["toffset"]) * units.time_s(unit, path, "xyzt_units", "")


def _volume(parsed: _Nifti, raw: AnyArray, grid: Grid, modality: str, nonfinite: Nonfinite, path: Path) -> Volume:
    voxels, valid = checked(_scaled(raw.view(parsed.dtype), parsed).reshape(1, *parsed.shape), nonfinite, path)
    return Volume(voxels, grid, (Channel(modality, modality),), _start(parsed, path), valid)


def _scaled(voxels: AnyArray, parsed: _Nifti) -> AnyArray:
    """``slope · v + inter`` in float32, in float64 where the stored type has more than 24 bits."""
    if (parsed.slope, parsed.inter) == (1.0, 0.0):
        return voxels
    wide: Literal["f4", "f8"] = "f4" if np.can_cast(parsed.dtype, np.float32, "safe") else "f8"
    with np.errstate(over="ignore", invalid="ignore"):
        out = voxels.astype(wide)
        out *= out.dtype.type(parsed.slope)
        out += out.dtype.type(parsed.inter)
    return out
