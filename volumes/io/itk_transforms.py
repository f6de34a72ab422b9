"""Transforms to ITK and back, for the files that hold them.

ITK's points are (x, y, z) LPS in mm, ours the same read backwards in µm, so a matrix has its rows and columns reversed
and a vector its components; lengths are divided by 1000. Both map fixed points to moving points, and both apply the
last part of a composite first, so the parts keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from volumes.displacement import DisplacementField
from volumes.errors import OutputError, TransformError
from volumes.io.world import grid_of, lps_of, reversed_axes
from volumes.shapes import Matrix4
from volumes.transform import Affine, Composite, Transform

if TYPE_CHECKING:
    import SimpleITK

MM = 1e3


def parts_of(transform: Transform) -> tuple[Transform, ...]:
    """The parts of a composite, or the one transform itself."""
    return transform.parts if isinstance(transform, Composite) else (transform,)


def itk_parts(found: SimpleITK.Transform) -> list[SimpleITK.Transform]:
    """The parts of an ITK composite, however nested, or the one transform itself."""
    if found.GetName() != "CompositeTransform":
        return [found]
    nested = [found.GetNthTransform(i) for i in range(found.GetNumberOfTransforms())]
    return [part for transform in nested for part in itk_parts(transform)]


def affine_of(part: SimpleITK.Transform) -> Affine:
    """A linear ITK transform (rigid, similarity, scale, affine, translation) as our own.

    Raises
    ------
    TransformError : not linear, not three-dimensional, singular or not finite.
    """
    matrix = reversed_axes(_matrix(part))
    matrix[:3, 3] *= MM
    return Affine(matrix)


def itk_affine(part: Affine) -> SimpleITK.Transform:
    """Our own as ITK's."""
    import SimpleITK

    matrix = reversed_axes(part.matrix)
    out = SimpleITK.AffineTransform(3)
    out.SetMatrix(matrix[:3, :3].ravel().tolist())
    out.SetTranslation((matrix[:3, 3] / MM).tolist())
    return out


def write_itk(parts: Sequence[SimpleITK.Transform], temporary: Path, file: Path) -> None:
    """Let ITK write the parts, as one transform or as a composite, to ``temporary``; ``file`` is named in errors.

    Raises
    ------
    OutputError : ITK cannot write there.
    """
    import SimpleITK

    whole = SimpleITK.CompositeTransform(list(parts)) if len(parts) > 1 else parts[0]
    try:
        SimpleITK.WriteTransform(whole, str(temporary))
    except RuntimeError as error:
        raise OutputError("ITK cannot write it", file=file, remedy="Check that the folder can be written") from error


def field_of(part: SimpleITK.Transform, file: Path) -> DisplacementField:
    """An ITK displacement field transform as our own, float64.

    Raises
    ------
    TransformError : not three-dimensional.
    HeaderError : a grid that is sheared or not finite.
    ContentError : displacements that are not finite.
    """
    import SimpleITK

    if part.GetDimension() != 3:
        raise TransformError("is not three-dimensional", field="Transform", value=part.GetDimension())
    image = part.GetDisplacementField()
    voxels = SimpleITK.GetArrayFromImage(image)
    to_lps = np.eye(4)
    to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    to_lps[:3, 3] = image.GetOrigin()
    return DisplacementField(voxels[..., ::-1] * MM, grid_of(voxels.shape[:3], to_lps, MM, file))


def itk_field(part: DisplacementField) -> SimpleITK.Transform:
    """Our own as ITK's."""
    import SimpleITK

    in_mm = part.displacements_um[..., ::-1].astype(np.float64) / MM
    image = SimpleITK.GetImageFromArray(in_mm, isVector=True)
    to_lps, spacing = lps_of(part.grid, MM), np.asarray(part.grid.spacing_um[::-1]) / MM
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    return SimpleITK.DisplacementFieldTransform(image)


def _matrix(part: SimpleITK.Transform) -> Matrix4:
    """``x ↦ M (x − c) + c + t`` as one matrix over (x, y, z) mm."""
    if part.GetDimension() != 3 or not part.IsLinear():
        raise TransformError(
            "is not a linear transform of three dimensions",
            field="Transform",
            value=part.GetName(),
            remedy="Sample it with SimpleITK.TransformToDisplacementField and keep that as .h5",
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
