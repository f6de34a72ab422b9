"""Which of a NIfTI header's three ways to place its voxels holds: sform, qform, or voxel sizes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.spatialimages import HeaderDataError

from volumes.errors import HeaderError
from volumes.grid import Grid
from volumes.io.world import RAS_TO_LPS, grid_of
from volumes.shapes import Matrix4, Shape3

Which = Literal["sform", "qform", "pixdim"]

AGREE_VOXELS = 1e-3
"""qform and sform agree when no corner of the volume is further apart than this."""


def grid(header: Any, shape: Shape3, um: float, which: Which | None, path: Path) -> Grid:  # noqa: ANN401 - untyped
    """The grid of a header.

    Parameters
    ----------
    header : nibabel's Nifti1Header or Nifti2Header.
    shape : (z, y, x).
    um : µm in one of the header's unit.
    which : the affine to trust; None takes the one that is coded, or both where they agree.
    path : for the error.

    Raises
    ------
    HeaderError : none is coded, both are and differ, the one asked for is not there, or it cannot be.
    """
    coded = [name for name in ("sform", "qform") if int(header[f"{name}_code"]) > 0]
    if which in ("sform", "qform") and which not in coded:
        raise HeaderError(f"the file has no {which}", file=path, field=f"{which}_code", value=0, remedy=_other(coded))
    if which is None and not coded:
        raise HeaderError(
            "neither qform nor sform is set: where the voxels lie is not known",
            file=path,
            field="qform_code, sform_code",
            value=(0, 0),
            remedy="Read with affine='pixdim' to take the voxel sizes alone",
        )
    if which is None and len(coded) == 2:
        _require_agreement(header, shape, path)
    return grid_of(shape, RAS_TO_LPS @ _matrix(header, which or coded[0], path), um, path)


def _other(coded: list[str]) -> str:
    return f"Read with affine={coded[0]!r}" if coded else "Read with affine='pixdim'"


def _require_agreement(header: Any, shape: Shape3, path: Path) -> None:  # noqa: ANN401 - untyped
    sform, qform = _matrix(header, "sform", path), _matrix(header, "qform", path)
    ends = [(-0.5, n - 0.5) for n in reversed(shape)]
    corners = np.stack([*(a.ravel() for a in np.meshgrid(*ends)), np.ones(8)])
    apart = float(np.abs((sform - qform) @ corners).max())
    spacing = np.linalg.norm(qform[:3, :3], axis=0)
    if not apart <= AGREE_VOXELS * spacing.min():
        raise HeaderError(
            f"qform and sform place the volume's corners up to {apart:.3g} apart",
            file=path,
            field="qform, sform",
            value=(qform[:3].round(4).tolist(), sform[:3].round(4).tolist()),
            remedy="Read with affine='sform' or affine='qform'",
        )


def _matrix(header: Any, which: str, path: Path) -> Matrix4:  # noqa: ANN401 - untyped
    """Index (x, y, z) → world RAS, in the header's unit."""
    pixdim = np.asarray(header["pixdim"], dtype=np.float64)
    if which == "sform":
        sform = np.asarray(header.get_sform(), dtype=np.float64)
        if not np.isfinite(sform).all():
            raise HeaderError("is not finite", file=path, field="srow_x, y, z", remedy="Read with affine='qform'")
        return sform
    if not np.isfinite(pixdim[1:4]).all() or (pixdim[1:4] <= 0).any():
        raise HeaderError(
            "must be above zero", file=path, field="pixdim", value=pixdim[1:4].tolist(), remedy="Mend the voxel size"
        )
    if which == "pixdim":
        return RAS_TO_LPS @ np.diag((*pixdim[1:4], 1.0))
    upright = header.copy()
    upright["pixdim"][0] = pixdim[0] or 1
    try:
        return np.asarray(upright.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError) as error:
        raise HeaderError(
            "is not a rotation",
            file=path,
            field="quatern_b, c, d, pixdim[0]",
            remedy="Read with affine='sform' or 'pixdim'",
        ) from error
