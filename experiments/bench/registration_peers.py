"""SimpleITK and ConvexAdam, as methods of the registration benchmark. Runs in any interpreter that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

Array = NDArray[np.float64]
START = "GEOMETRY"
"""The middles of the fields on each other; the centres of mass did no better on the brains and worse on ZF."""


def rigid(folder: Path) -> Callable[[], Any]:
    """Mattes mutual information, 20 % of the voxels in regular order, regular-step descent, shrink 4-2-1."""
    fixed, moving = images(folder)
    return lambda: (_mapping(_rigid(fixed, moving)), None, "")


def affine(folder: Path) -> Callable[[], Any]:
    """The same for a rigid, then for an affine transform."""
    fixed, moving = images(folder)
    return lambda: (_mapping(_affine(fixed, moving)), None, "")


def convex_adam(folder: Path) -> Callable[[], Any]:
    """ConvexAdam with its defaults, MIND features, on the moving volume brought over by the affine transform."""
    fixed, moving = images(folder)

    def found() -> Any:  # noqa: ANN401
        from convexAdam.convex_adam_MIND import convex_adam_pt

        linear = _affine(fixed, moving)
        moved = sitk.Resample(moving, fixed, linear, sitk.sitkLinear, 0.0)
        voxels = convex_adam_pt(fixed, moved)
        before = _mapping(linear)
        return lambda points: before(displaced(points, fixed, voxels)), before, ""

    return found


def displaced(points: Array, fixed: Any, voxels: Array) -> Array:  # noqa: ANN401
    """Points moved by a field of displacements in voxels (z, y, x), linear between the voxels of ``fixed``."""
    from scipy.ndimage import map_coordinates

    index_to_world = np.array(fixed.GetDirection()).reshape(3, 3) * np.array(fixed.GetSpacing())
    index = ((points - fixed.GetOrigin()) @ np.linalg.inv(index_to_world).T)[:, ::-1]
    by = [map_coordinates(voxels[..., axis], index.T, order=1, mode="nearest") for axis in range(3)]
    moved: Array = points + np.stack(by, -1)[:, ::-1] @ index_to_world.T
    return moved


def images(folder: Path) -> tuple[Any, Any]:
    """The fixed and the moving image of a case."""
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.nrrd"), sitk.sitkFloat32) for name in ("fixed", "moving"))
    return fixed, moving


def _rigid(fixed: Any, moving: Any) -> Any:  # noqa: ANN401
    start = getattr(sitk.CenteredTransformInitializerFilter, START)
    return _climbed(fixed, moving, sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), start))


def _affine(fixed: Any, moving: Any) -> Any:  # noqa: ANN401
    turned = sitk.Euler3DTransform(_rigid(fixed, moving).GetNthTransform(0))
    start = sitk.AffineTransform(3)
    start.SetCenter(turned.GetCenter())
    start.SetMatrix(turned.GetMatrix())
    start.SetTranslation(turned.GetTranslation())
    return _climbed(fixed, moving, start)


def _climbed(fixed: Any, moving: Any, start: Any) -> Any:  # noqa: ANN401
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def _mapping(transform: Any) -> Callable[[Array], Array]:  # noqa: ANN401
    return lambda points: np.array([transform.TransformPoint(point) for point in points.tolist()])


METHODS = {"SimpleITK rigid": rigid, "SimpleITK affine": affine, "ConvexAdam deformable": convex_adam}
