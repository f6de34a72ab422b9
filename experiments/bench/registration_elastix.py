"""elastix with its default parameter maps, but a stiffer B-spline, as methods of the registration benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRID_VOXELS, STIFFNESS = 10, 100
"""Of the B-splines. The default maps (10 mm or µm, 1) end 1.7 times further off on seed 100 of T1-T2."""


def rigid(folder: Path) -> Callable[[], Any]:
    """The default rigid map."""
    return _ready(folder, ("rigid",))


def affine(folder: Path) -> Callable[[], Any]:
    """The default rigid map, then the affine one."""
    return _ready(folder, ("rigid", "affine"))


def bspline(folder: Path) -> Callable[[], Any]:
    """The default rigid and affine maps, then a B-spline."""
    return _ready(folder, ("rigid", "affine", "bspline"))


def _ready(folder: Path, names: Sequence[str]) -> Callable[[], Any]:
    fixed, moving = (itk.imread(str(folder / f"{name}.nrrd"), itk.F) for name in ("fixed", "moving"))
    return lambda: _registered(fixed, moving, names)


def _registered(fixed: Any, moving: Any, names: Sequence[str]) -> Any:  # noqa: ANN401
    settings = itk.ParameterObject.New()
    for name in names:
        chosen = settings.GetDefaultParameterMap(name)
        chosen["WriteResultImage"] = ["false"]
        chosen["AutomaticTransformInitialization"] = ["true"]
        chosen["RequiredRatioOfValidSamples"] = ["0.05"]  # else it gives up where the fields overlap little
        if name == "bspline":
            chosen["FinalGridSpacingInPhysicalUnits"] = [str(GRID_VOXELS * min(fixed.GetSpacing()))]
            chosen["Metric1Weight"] = [str(STIFFNESS)]
        settings.AddParameterMap(chosen)
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    method.SetParameterObject(settings)
    method.SetNumberOfThreads(1)
    method.LogToConsoleOff()
    method.Update()
    steps = [method.GetNthTransform(n) for n in reversed(range(len(names)))]  # elastix counts from the last
    before = _mapping(steps[:2]) if "bspline" in names else None
    return _mapping(steps), before, ""


def _mapping(steps: Sequence[Any]) -> Callable[[Array], Array]:
    def mapped(points: Array) -> Array:
        for step in steps:
            points = np.array([tuple(step.TransformPoint(point)) for point in points.tolist()])
        return points

    return mapped


METHODS = {"elastix rigid": rigid, "elastix affine": affine, "elastix deformable": bspline}
