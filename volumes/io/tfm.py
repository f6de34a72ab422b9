"""Linear transforms as ITK text files (.tfm) in mm.

ITK's points are (x, y, z) LPS, ours the same read backwards, so a matrix has its rows and columns reversed; lengths are
divided by 1000. Both map fixed points to moving points, and both apply the last part of a composite first, so the parts
keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from volumes.atomic import replacing_file
from volumes.errors import OutputError, TransformError, VolumeFileError
from volumes.io.world import in_file, reversed_axes
from volumes.shapes import Matrix4
from volumes.transform import Affine, Composite, Transform

if TYPE_CHECKING:
    import SimpleITK

_MM = 1e3
_COUNT = "#Parts"


def read_transform(path: str | Path) -> Affine | Composite:
    """Read an ITK .tfm of linear transforms (rigid, similarity, scale, affine, translation), or a composite of them.

    Raises
    ------
    VolumeFileError : missing, truncated, or no ITK transform.
    TransformError : not linear, not three-dimensional, singular or not finite.
    """
    import SimpleITK

    file = Path(path)
    _require_whole(file)
    try:
        found = SimpleITK.ReadTransform(str(file))
    except (RuntimeError, ValueError) as error:
        raise VolumeFileError(
            "holds no ITK transform that can be read", file=file, remedy="Write it again as .tfm"
        ) from error
    with in_file(file):
        parts = [Affine(_from_itk(_matrix(part))) for part in _parts(found)]
    return parts[0] if len(parts) == 1 else Composite(tuple(parts))


def write_transform(transform: Transform, path: str | Path) -> None:
    """Write an Affine, or a Composite of Affines with its parts kept, as ITK .tfm; equal content gives equal bytes.

    Raises
    ------
    TransformError : a part that is not linear.
    OutputError : another suffix than .tfm, or a target that cannot be written.
    """
    import SimpleITK

    file = Path(path)
    if file.suffix.lower() != ".tfm":
        raise OutputError("linear transforms are written as .tfm", file=file, value=file.name)
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    itk = [_to_itk(part, file) for part in parts]
    with replacing_file(file) as temporary:
        try:
            SimpleITK.WriteTransform(SimpleITK.CompositeTransform(itk) if len(itk) > 1 else itk[0], str(temporary))
        except RuntimeError as error:
            raise OutputError(
                "ITK cannot write it", file=file, remedy="Check that the folder can be written"
            ) from error
        _state_count(temporary, len(itk))
        _require_same(temporary, parts, file)


def _state_count(file: Path, count: int) -> None:
    """A comment that tells a composite that was cut between two parts from a whole one; ITK skips it."""
    first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    file.write_text(f"{first}\n{_COUNT} {count}\n{rest}", encoding="utf-8")


def _require_same(temporary: Path, parts: Sequence[Transform], file: Path) -> None:
    """Hold what is on the disk against what was meant: ITK does not tell of a disk that ran full."""
    try:
        written = read_transform(temporary)
    except VolumeFileError:
        written = None
    found = written.parts if isinstance(written, Composite) else (written,)
    pairs = zip(found, parts, strict=False)
    same = all(isinstance(a, Affine) and isinstance(b, Affine) and np.allclose(a.matrix, b.matrix) for a, b in pairs)
    if len(found) != len(parts) or not same:
        raise OutputError("what was written does not read back", file=file, remedy="Check the space on the disk")


def _require_whole(file: Path) -> None:
    """Refuse what ITK reads without a word: a file cut inside its parameters comes out as the identity."""
    if not file.is_file():
        raise VolumeFileError("does not exist or is a folder", file=file, remedy="Check the path")
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


def _parts(found: SimpleITK.Transform) -> list[SimpleITK.Transform]:
    if found.GetName() != "CompositeTransform":
        return [found]
    nested = [found.GetNthTransform(i) for i in range(found.GetNumberOfTransforms())]
    return [part for transform in nested for part in _parts(transform)]


def _matrix(part: SimpleITK.Transform) -> Matrix4:
    """``x ↦ M (x − c) + c + t`` as one matrix over (x, y, z) mm."""
    if part.GetDimension() != 3 or not part.IsLinear():
        raise TransformError(
            "is not a linear transform of three dimensions", field="Transform", value=part.GetName(), remedy="Use .h5"
        )
    matrix = np.eye(4)
    if hasattr(part, "GetMatrix"):
        matrix[:3, :3] = np.reshape(part.GetMatrix(), (3, 3))
        centre = np.asarray(part.GetCenter())
        shift = np.asarray(part.GetTranslation()) if hasattr(part, "GetTranslation") else np.zeros(3)
        matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    elif hasattr(part, "GetOffset"):
        matrix[:3, 3] = part.GetOffset()
    elif part.GetTransformEnum() != _identity():
        raise TransformError("is of a kind that is not known here", field="Transform", value=part.GetName())
    return matrix


def _identity() -> int:
    import SimpleITK

    return int(SimpleITK.sitkIdentity)


def _from_itk(matrix: Matrix4) -> Matrix4:
    out = reversed_axes(matrix)
    out[:3, 3] *= _MM
    return out


def _to_itk(part: Transform, file: Path) -> SimpleITK.Transform:
    import SimpleITK

    if not isinstance(part, Affine):
        raise TransformError(
            "only linear transforms fit a .tfm", file=file, field="parts", value=type(part).__name__, remedy="Use .h5"
        )
    matrix = reversed_axes(part.matrix)
    out = SimpleITK.AffineTransform(3)
    out.SetMatrix(matrix[:3, :3].ravel().tolist())
    out.SetTranslation((matrix[:3, 3] / _MM).tolist())
    return out
