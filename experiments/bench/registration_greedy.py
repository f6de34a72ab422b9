"""greedy, as methods of the registration benchmark: its own start, normalised mutual information, one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from picsl_greedy import Greedy3D

Array = NDArray[np.float64]
LINEAR = "-threads 1 -a -dof {dof} -i fixed moving -m NMI -n 100x50x20 -ia-image-centers -o linear"
SEARCHED = "-threads 1 -a -dof 6 -i fixed moving -m NMI -n 100x50x20 -ia-image-centers -search 5000 any 20 -o linear"
"""Of 100, 1000 and 5000 poses the one that finds seed 100 of ``anyrot``."""
DEFORMABLE = "-threads 1 -i fixed moving -it linear -m NMI -n 100x50x20 -s 6vox 3vox -o field"
"""Of nine smoothings, step lengths and numbers of iterations the least error over the three pairs on seed 100."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK's world to that of greedy's matrices (RAS), and back."""


def rigid(folder: Path) -> Callable[[], Any]:
    """Six degrees of freedom, from the middles of the fields laid on each other."""
    return _linear(folder, LINEAR.format(dof=6))


def searched(folder: Path) -> Callable[[], Any]:
    """The same after 5000 random poses."""
    return _linear(folder, SEARCHED)


def affine(folder: Path) -> Callable[[], Any]:
    """Twelve degrees of freedom."""
    return _linear(folder, LINEAR.format(dof=12))


def deformable(folder: Path) -> Callable[[], Any]:
    """The affine transform, then a field."""
    images = _images(folder)

    def found() -> Any:  # noqa: ANN401
        greedy = Greedy3D()
        greedy.execute(LINEAR.format(dof=12), **images, linear=None)
        before = mapping(greedy["linear"])
        greedy.execute(DEFORMABLE, field=None)
        field = sitk.DisplacementFieldTransform(sitk.Cast(greedy["field"], sitk.sitkVectorFloat64))
        return lambda points: before(_moved(field, points)), before, ""

    return found


def mapping(matrix: Array) -> Callable[[Array], Array]:
    """Points in ITK's world under one of greedy's matrices, 4×4 in RAS."""
    flipped = LPS @ matrix @ LPS
    return lambda points: points @ flipped[:3, :3].T + flipped[:3, 3]


def _linear(folder: Path, command: str) -> Callable[[], Any]:
    images = _images(folder)

    def found() -> Any:  # noqa: ANN401
        greedy = Greedy3D()
        greedy.execute(command, **images, linear=None)
        return mapping(greedy["linear"]), None, ""

    return found


def _images(folder: Path) -> dict[str, Any]:
    return {name: sitk.ReadImage(str(folder / f"{name}.nrrd"), sitk.sitkFloat32) for name in ("fixed", "moving")}


def _moved(transform: Any, points: Array) -> Array:  # noqa: ANN401
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


METHODS = {
    "greedy rigid": rigid,
    "greedy search rigid": searched,
    "greedy affine": affine,
    "greedy deformable": deformable,
}
