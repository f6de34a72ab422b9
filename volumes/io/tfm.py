"""Linear transforms as ITK text files (.tfm), in mm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from volumes.atomic import replacing_file
from volumes.errors import OutputError, TransformError, VolumeFileError
from volumes.io.itk_transforms import affine_of, itk_affine, itk_parts, parts_of, write_itk
from volumes.io.world import in_file
from volumes.transform import Affine, Transform

if TYPE_CHECKING:
    import SimpleITK

_COUNT = "#Parts"


def read(file: Path) -> tuple[Affine, ...]:
    """The parts of an ITK text file of linear transforms, in its order.

    Raises
    ------
    VolumeFileError : truncated, or no ITK transform.
    TransformError : not linear, not three-dimensional, singular or not finite.
    """
    import SimpleITK

    _require_whole(file)
    try:
        found = SimpleITK.ReadTransform(str(file))
    except (RuntimeError, ValueError) as error:
        raise VolumeFileError(
            "holds no ITK transform that can be read", file=file, remedy="Write it again as .tfm"
        ) from error
    with in_file(file):
        return tuple(affine_of(part) for part in itk_parts(found))


def write(transform: Transform, file: Path) -> None:
    """Write an Affine, or a Composite of Affines with its parts kept; equal content gives equal bytes.

    Raises
    ------
    TransformError : a part that is not linear.
    OutputError : the target cannot be written.
    """
    parts = parts_of(transform)
    itk = [_to_itk(part, file) for part in parts]
    with replacing_file(file) as temporary:
        write_itk(itk, temporary, file)
        _state_count(temporary, len(itk))
        _require_same(temporary, parts, file)


def _to_itk(part: Transform, file: Path) -> SimpleITK.Transform:
    if isinstance(part, Affine):
        return itk_affine(part)
    raise TransformError(
        "only linear transforms fit a .tfm",
        file=file,
        field="parts",
        value=type(part).__name__,
        remedy="Write a DisplacementField as .h5; sample any other with DisplacementField.of(transform, grid) first",
    )


def _state_count(file: Path, count: int) -> None:
    """A comment that tells a composite that was cut between two parts from a whole one; ITK skips it."""
    first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    file.write_text(f"{first}\n{_COUNT} {count}\n{rest}", encoding="utf-8")


def _require_same(temporary: Path, parts: Sequence[Transform], file: Path) -> None:
    """Hold what is on the disk against what was meant: ITK does not tell of a disk that ran full."""
    try:
        found = read(temporary)
    except VolumeFileError:
        found = ()
    pairs = zip(found, parts, strict=False)
    same = all(isinstance(b, Affine) and np.allclose(a.matrix, b.matrix) for a, b in pairs)
    if len(found) != len(parts) or not same:
        raise OutputError("what was written does not read back", file=file, remedy="Check the space on the disk")


def _require_whole(file: Path) -> None:
    """Refuse what ITK reads without a word: a file cut inside its parameters comes out as the identity."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise VolumeFileError("cannot be read", file=file, value=error.strerror, remedy="Check permissions") from error
    if not text.startswith("#Insight Transform File"):
        raise VolumeFileError("is no ITK text transform", file=file, remedy="Write it again as .tfm")
    lines = [line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#")]
    tags = [tag.strip() for tag, _ in lines]
    parts = [value for tag, value in lines if tag.strip() == "Transform" and "CompositeTransform" not in value]
    stated = [line.split()[-1] for line in text.splitlines() if line.startswith(_COUNT)]
    whole = (
        stated in ([], [str(len(parts))])
        and len(parts) == tags.count("Parameters") == tags.count("FixedParameters")
        and text.endswith("\n")
    )
    if not parts or not whole:
        raise VolumeFileError(
            f"is truncated: {len(parts)} transforms, {tags.count('Parameters')} lines of parameters, "
            f"{tags.count('FixedParameters')} of fixed parameters",
            file=file,
            remedy="Write it again; if it is whole, end it with a newline",
        )
