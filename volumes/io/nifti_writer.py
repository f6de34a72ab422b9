"""Writing NIfTI-1 (.nii, .nii.gz) in mm: sform and qform both set and both checked, equal content as equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import nibabel
import numpy as np

from volumes.atomic import replacing_file
from volumes.errors import HeaderError
from volumes.io import content, gzipped, nifti_affine
from volumes.io.world import RAS_TO_LPS, lps_of
from volumes.volume import Volume

_KEPT = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "uint64", "int64", "float64",
)  # fmt: skip
_MM = 1e3
_SCANNER = 1
_LONGEST = 32767


def write(volume: Volume, path: Path) -> None:
    """Write one channel as NIfTI.

    Raises
    ------
    HeaderError : more than one channel, an axis past 32767, or a grid that float32 cannot place to 1e-3 voxel.
    ContentError : voxels that no NIfTI type holds.
    """
    dtype = content.lossless(volume, _KEPT, path)
    header = _header(volume, dtype, path)
    content.mention_mask(volume, path)
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzipped.compressing(file) as stream:
                _voxels(volume, header, dtype, stream, path)
        else:
            _voxels(volume, header, dtype, file, path)


def _header(volume: Volume, dtype: np.dtype[Any], path: Path) -> Any:  # noqa: ANN401 - nibabel is untyped
    if len(volume.channels) != 1:
        raise HeaderError(
            f"NIfTI holds one channel, the volume has {len(volume.channels)}",
            file=path,
            field="channels",
            remedy="Write .ome.zarr or .ome.tif, or one channel at a time",
        )
    if max(volume.grid.shape) > _LONGEST:
        raise HeaderError(
            f"NIfTI holds at most {_LONGEST} voxels along an axis",
            file=path,
            field="shape",
            value=volume.grid.shape,
            remedy="Write .ome.zarr",
        )
    affine = RAS_TO_LPS @ lps_of(volume.grid, _MM)
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(volume.grid.shape[::-1])
    header.set_qform(affine, _SCANNER)
    header.set_sform(affine, _SCANNER)
    header.set_xyzt_units("mm", "sec")
    header["toffset"] = volume.time_s
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    _require_exact(header, volume, path)
    return header


def _require_exact(header: Any, volume: Volume, path: Path) -> None:  # noqa: ANN401 - nibabel is untyped
    for which in ("sform", "qform"):
        kept = nifti_affine.grid(header, volume.grid.shape, _MM, which, path)
        if not kept.is_close(volume.grid):
            raise HeaderError(
                f"the {which}'s float32 cannot place this grid to 1e-3 of a voxel",
                file=path,
                field="grid",
                value=volume.grid.origin_um,
                remedy="Write .nrrd or .ome.zarr, or move the origin nearer",
            )


def _voxels(volume: Volume, header: Any, dtype: np.dtype[Any], stream: IO[bytes], path: Path) -> None:  # noqa: ANN401
    stream.write(header.binaryblock + bytes(4))
    for _, slab in content.slabs(volume, 0):
        stream.write(content.stored(slab, dtype.newbyteorder("<"), path).data)
