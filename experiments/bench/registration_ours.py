"""Ours, with the default settings, as methods of the registration benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import registration
import volumes
from volumes.transform import Affine, Composite, Transform

Array = NDArray[np.float64]


def as_volume(image: Any, unit_um: float, modality: str = "MRI") -> volumes.Volume:  # noqa: ANN401
    """An ITK image as a Volume: axes read backwards, lengths in µm."""
    import SimpleITK as sitk  # noqa: N813

    direction = np.array(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    return volumes.from_array(
        sitk.GetArrayFromImage(image),  # a view would die with the image
        [spacing * unit_um for spacing in reversed(image.GetSpacing())],
        modality=modality,
        origin_um=[origin * unit_um for origin in reversed(image.GetOrigin())],
        direction=direction.tolist(),
    )


def linear_part(transform: Transform) -> Affine | None:
    """The affine map that a deformable one began from, ``A`` of ``x ↦ A(x + u(x))``; None for another transform."""
    if isinstance(transform, Affine):
        return transform
    first = transform.parts[0] if isinstance(transform, Composite) else None
    return first if isinstance(first, Affine) else None


def mapping(transform: Transform, unit_um: float) -> Callable[[Array], Array]:
    """The transform over points (x, y, z) in ITK's world, in the case's unit."""
    return lambda points: transform(points[:, ::-1] * unit_um)[:, ::-1] / unit_um


def register(folder: Path, kind: Literal["rigid", "affine", "deformable"]) -> Callable[[], Any]:
    """Reads a case; the registration then gives the map, the affine part of a deformable one, and the status."""
    import SimpleITK as sitk  # noqa: N813

    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    unit = float(case["unit_um"])
    fixed, moving = (
        as_volume(sitk.ReadImage(str(folder / f"{name}.nrrd")), unit, modality)
        for name, modality in zip(("fixed", "moving"), case["modalities"], strict=True)
    )

    def found() -> Any:  # noqa: ANN401
        result = registration.register(fixed, moving, kind)
        first = linear_part(result.transform) if kind == "deformable" else None
        before = mapping(first, unit) if first is not None else None
        return mapping(result.transform, unit), before, result.status.value

    return found


def rigid(folder: Path) -> Callable[[], Any]:
    """``kind="rigid"``."""
    return register(folder, "rigid")


def affine(folder: Path) -> Callable[[], Any]:
    """``kind="affine"``."""
    return register(folder, "affine")


def deformable(folder: Path) -> Callable[[], Any]:
    """``kind="deformable"``."""
    return register(folder, "deformable")


METHODS = {"fusetrack rigid": rigid, "fusetrack affine": affine, "fusetrack deformable": deformable}
