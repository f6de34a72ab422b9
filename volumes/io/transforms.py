"""Reading and writing transforms by suffix: ITK text files for linear ones, ITK's HDF5 for displacement fields too."""

from __future__ import annotations

from pathlib import Path

from volumes.errors import OutputError, VolumeFileError
from volumes.transform import Composite, Transform

H5 = (".h5", ".hdf5")


def read_transform(path: str | Path) -> Transform:
    """Read an ITK transform, or a composite of several.

    Parameters
    ----------
    path : .h5 or .hdf5 of linear transforms and displacement fields; all else is taken for ITK text (.tfm), which holds
        linear ones (rigid, similarity, scale, affine, translation).

    Returns
    -------
    An Affine, a DisplacementField, or a Composite of them, its parts in the order of the file.

    Raises
    ------
    VolumeFileError : missing, truncated, damaged, or no ITK transform.
    TransformError : of another kind, not three-dimensional, singular or not finite.
    HeaderError, ContentError : a displacement field whose grid is sheared, or that is not finite.
    """
    file = Path(path)
    if not file.is_file():
        raise VolumeFileError("does not exist or is a folder", file=file, remedy="Check the path")
    if file.suffix.lower() in H5:
        from volumes.io import h5

        return _one(h5.read(file))
    from volumes.io import tfm

    return _one(tfm.read(file))


def write_transform(transform: Transform, path: str | Path) -> None:
    """Write an Affine, a DisplacementField, or a Composite of them with its parts kept; replaces ``path`` at once.

    Parameters
    ----------
    transform : what is written.
    path : .tfm for linear transforms (equal content gives equal bytes), .h5 or .hdf5 for displacement fields too.

    Raises
    ------
    TransformError : a part that the format cannot hold.
    OutputError : another suffix, or a target that cannot be written.
    """
    file = Path(path)
    if file.suffix in H5:
        from volumes.io import h5

        h5.write(transform, file)
    elif file.suffix.lower() == ".tfm":
        from volumes.io import tfm

        tfm.write(transform, file)
    else:
        raise OutputError("transforms are written as .tfm or .h5", file=file, value=file.name, remedy="Use .tfm or .h5")


def _one(parts: tuple[Transform, ...]) -> Transform:
    return parts[0] if len(parts) == 1 else Composite(parts)
