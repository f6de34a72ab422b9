"""Reading and writing by suffix; each format is one file, imported only when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from volumes.errors import HeaderError, OutputError, VolumeFileError
from volumes.io.content import Nonfinite
from volumes.io.layout import Layout
from volumes.modality import stated
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

Affine = Literal["sform", "qform", "pixdim"]
Format = Literal["nifti", "nrrd", "tiff", "ome-zarr"]

SUFFIXES: dict[str, Format] = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".zarr": "ome-zarr",
}


def read(
    path: str | Path,
    *,
    modality: str | None = None,
    unit: str | None = None,
    nonfinite: Nonfinite = "error",
    affine: Affine | None = None,
    layout: Layout | None = None,
) -> Volume:
    """Read one volume; files of NIfTI, NRRD, TIFF and OME-Zarr are known by their suffix.

    Parameters
    ----------
    path : .nii, .nii.gz, .nrrd, .tif, .tiff, or a .zarr folder.
    modality : what took it; where the file itself names its channels' modalities (OME-Zarr), its word holds.
    unit : of the file's lengths ("um", "mm", …), where it states none.
    nonfinite : NaN and Inf are an error, or masked: 0 in their place and False in ``valid``.
    affine : for NIfTI, which of two contradicting affines to trust, or "pixdim" where there is none.
    layout : for TIFF, how the pages lie where the file does not say.

    Raises
    ------
    VolumeFileError : missing, truncated, corrupt, or not what its suffix says.
    HeaderError, UnitError : a header that cannot be trusted.
    ContentError : voxels that are not finite real numbers.
    """
    file, kind = _found(path)
    _check_options(file, kind, affine, layout)
    if kind == "nifti":
        from volumes.io import nifti

        return nifti.read(file, stated(modality, file), unit, nonfinite, affine)
    if kind == "nrrd":
        from volumes.io import nrrd

        return nrrd.read(file, stated(modality, file), unit, nonfinite)
    movie = read_timelapse(file, modality=modality, unit=unit, nonfinite=nonfinite, layout=layout)
    if len(movie) > 1:
        raise HeaderError(
            f"holds {len(movie)} frames, one volume is meant",
            file=file,
            field="T",
            value=len(movie),
            remedy="Read it with read_timelapse",
        )
    return movie[0]


def read_timelapse(
    path: str | Path,
    *,
    modality: str | None = None,
    unit: str | None = None,
    nonfinite: Nonfinite = "error",
    affine: Affine | None = None,
    layout: Layout | None = None,
) -> TimeLapse:
    """Read a movie: 4-D NIfTI, TIFF or OME-Zarr with a time axis; a file without one gives a single frame.

    Frames are loaded one at a time, and checked as they are; parameters and errors as in :func:`read`.
    """
    file, kind = _found(path)
    _check_options(file, kind, affine, layout)
    if kind == "nifti":
        from volumes.io import nifti

        return nifti.read_timelapse(file, stated(modality, file), unit, nonfinite, affine)
    if kind == "tiff":
        from volumes.io import tiff

        return tiff.read_timelapse(file, stated(modality, file), unit, nonfinite, layout)
    if kind == "ome-zarr":
        from volumes.io import ome_zarr

        return ome_zarr.read_timelapse(file, modality, unit, nonfinite)
    return TimeLapse.of([read(file, modality=modality, unit=unit, nonfinite=nonfinite)])


def write(volume: Volume | TimeLapse, path: str | Path) -> None:
    """Write a volume or a movie; what was at ``path`` is replaced at once, or left as it was.

    NIfTI (mm) and NRRD (µm) take one volume, OME-TIFF and OME-Zarr movies too. Types that a format does not hold are
    changed only where every voxel keeps its value. Only OME-Zarr keeps the mask ``valid``: elsewhere the voxels
    outside are written as they are, and the log says so.

    Raises
    ------
    OutputError : the suffix is unknown, or the target cannot be written.
    ContentError : the format cannot hold the voxels without a loss.
    HeaderError : it cannot hold the grid or the channels.
    """
    file = Path(path)
    kind = _kind(file)
    if kind is None:
        raise OutputError("its suffix names no format", file=file, value=file.name, remedy=f"Use {_known()}")
    if file.is_dir() != (kind == "ome-zarr") and file.exists():
        raise OutputError("a file and a folder cannot replace each other", file=file, remedy="Choose another name")
    if file.is_dir() and any(file.iterdir()) and not _holds_zarr(file):
        raise OutputError("is a folder of something else", file=file, remedy="Choose another name, or empty it")
    if kind == "ome-zarr":
        from volumes.io import ome_zarr_writer

        ome_zarr_writer.write(volume, file)
    elif kind == "tiff":
        from volumes.io import tiff_writer

        tiff_writer.write(volume, file)
    elif kind == "nifti":
        from volumes.io import nifti_writer

        nifti_writer.write(_single(volume, file), file)
    else:
        from volumes.io import nrrd_writer

        nrrd_writer.write(_single(volume, file), file)


def _kind(path: Path) -> Format | None:
    name = path.name.lower()
    return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix) and name != suffix), None)


def _holds_zarr(folder: Path) -> bool:
    """Whether a folder, whatever its name, is a Zarr group of format 3 or 2."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup"))


def _known() -> str:
    return ", ".join(SUFFIXES)


def _found(path: str | Path) -> tuple[Path, Format]:
    """The path and its format, once it is there and of the right sort."""
    file = Path(path)
    if not file.exists():
        raise VolumeFileError("does not exist", file=file, remedy="Check the path")
    kind = "ome-zarr" if _holds_zarr(file) else _kind(file)
    if kind is None:
        raise VolumeFileError("is of an unknown format", file=file, value=file.name, remedy=f"Known: {_known()}")
    if file.is_dir() != (kind == "ome-zarr"):
        meant = "a folder" if kind == "ome-zarr" else "a file"
        raise VolumeFileError(f"{meant} is meant", file=file, remedy="Give the path of the volume itself")
    if file.is_file() and file.stat().st_size == 0:
        raise VolumeFileError("is empty", file=file, remedy="Fetch the file again")
    return file, kind


def _check_options(file: Path, kind: Format, affine: Affine | None, layout: Layout | None) -> None:
    for name, value, only in (("affine", affine, "nifti"), ("layout", layout, "tiff")):
        if value is not None and kind != only:
            raise HeaderError(f"applies to {only} alone", file=file, field=name, value=value, remedy="Leave it out")


def _single(volume: Volume | TimeLapse, file: Path) -> Volume:
    if isinstance(volume, Volume):
        return volume
    if len(volume) == 1:
        return volume[0]
    raise HeaderError(
        f"this format is written one volume at a time, the movie has {len(volume)}",
        file=file,
        field="T",
        value=len(volume),
        remedy="Write .ome.zarr or .ome.tif, or its frames one by one",
    )
