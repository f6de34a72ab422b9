"""The smooth sensitivity of an MRI coil divided out: N4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from volumes import Volume
from volumes.errors import ContentError, GridError
from volumes.shapes import Mask, Voxels
from volumes.volume import require_finite

if TYPE_CHECKING:
    import SimpleITK

UM_PER_MM = 1000.0


class BiasConfig(BaseModel):
    """How the bias field is found.

    Parameters
    ----------
    shrink : the field is fitted on every n-th voxel along each axis, as far as it leaves 8 of them.
    knots_um : distance of the coarsest B-spline knots in µm; None for one span over the field of view.
    levels : of splines, each with knots twice as dense.
    iterations : at each level, at most.
    threshold : a level ends once the field changes by less (its coefficient of variation).
    threads : of ITK; the result does not depend on them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["n4"] = "n4"
    shrink: int = Field(default=2, ge=1)
    knots_um: float | None = Field(default=None, gt=0)
    levels: int = Field(default=3, ge=1, le=8)
    iterations: int = Field(default=50, ge=1)
    threshold: float = Field(default=1e-3, gt=0)
    threads: int = Field(default=1, ge=1)


def bias_corrected(volume: Volume, mask: Mask | None = None, config: BiasConfig | None = None) -> Volume:
    """The volume divided by :func:`bias_field` of each channel, float32."""
    fields = [bias_field(volume, mask, config, i) for i in range(len(volume.channels))]
    return volume.with_data((volume.array / np.stack(fields)).astype(np.float32))


def bias_field(
    volume: Volume, mask: Mask | None = None, config: BiasConfig | None = None, channel: int | str = 0
) -> Voxels:
    """The factor that an uneven coil multiplies with, (z, y, x) float32, of geometric mean 1 inside the mask.

    Tustison et al. 2010, "N4ITK: improved N3 bias correction", IEEE Trans. Medical Imaging 29, through SimpleITK and in
    physical spacing. The logarithm is a B-spline that makes the histogram sharper, so a field is only found where the
    same tissue is seen in several places.

    Parameters
    ----------
    volume : intensities, above 0 in the mask.
    mask : where there is tissue; None for all valid voxels above Otsu's threshold.
    config : None for the defaults.
    channel : which.

    Raises
    ------
    ContentError : an empty mask; a volume that is constant in it; voxels that are NaN or infinite.
    GridError : a mask of another shape.
    """
    import SimpleITK as sitk  # noqa: N813 - the name of the trade

    chosen = config or BiasConfig()
    require_finite(volume, "volume")
    voxels = np.where(volume.mask(), volume.channel(channel), 0).astype(np.float32)
    inside = _tissue(voxels, volume.mask(), mask)
    flat = volume.grid.shape[0] == 1
    image, region = _image(voxels, volume, flat), _image(inside.astype(np.uint8), volume, flat)
    shrink = [max(1, min(chosen.shrink, n // 8)) for n in image.GetSize()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(chosen.threads)
    n4.SetMaximumNumberOfIterations([chosen.iterations] * chosen.levels)
    n4.SetConvergenceThreshold(chosen.threshold)
    n4.SetNumberOfControlPoints(_control_points(image, chosen.knots_um))
    n4.Execute(sitk.Shrink(image, shrink), sitk.Shrink(region, shrink))
    field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).reshape(volume.grid.shape)
    return np.asarray(np.exp(field - field[inside].mean()), np.float32)


def _tissue(voxels: Voxels, valid: Mask, mask: Mask | None) -> Mask:
    from skimage.filters import threshold_otsu

    if mask is not None and mask.shape != voxels.shape:
        raise GridError("is not of the volume's shape", field="mask", value=mask.shape)
    seen = valid & (voxels > 0)
    if seen.any() and np.ptp(voxels[seen]) > 0:
        seen &= (voxels > threshold_otsu(voxels[valid])) if mask is None else mask
    if not seen.any() or np.ptp(voxels[seen]) == 0:
        remedy = "Give a mask of tissue whose intensities are above 0 and not all the same"
        raise ContentError("shows nothing to find a bias in", field="volume", remedy=remedy)
    return np.asarray(seen)


def _image(voxels: Voxels, volume: Volume, flat: bool) -> SimpleITK.Image:
    """In mm; origin and direction play no part."""
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(voxels[0] if flat else voxels)
    spacing = [s / UM_PER_MM for s in volume.grid.spacing_um[::-1]]
    image.SetSpacing(spacing[:2] if flat else spacing)
    return image


def _control_points(image: SimpleITK.Image, knots_um: float | None) -> list[int]:
    """ITK counts control points: the spans of a cubic spline and 3 more."""
    extents = [n * s for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    return [3 + (1 if knots_um is None else max(1, round(e * UM_PER_MM / knots_um))) for e in extents]
