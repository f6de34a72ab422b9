"""Parallel-beam projections: line integrals through every slice of a stack, at many angles.

A ray at angle θ and offset s is ``{(y, x): x cos θ + y sin θ = s}``, with (y, x) from the middle of the slice. Joseph's
method (Joseph 1982, "An improved algorithm for reprojecting rays through pixel images", IEEE Trans. Medical Imaging 1)
follows a ray along the axis that it runs closer to and interpolates linearly along the other one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from volumes.errors import ConfigError, ContentError
from volumes.jit import kernel
from volumes.shapes import AnyArray, Voxels

Sinograms = Float32[np.ndarray, "z angles detectors"]
"""Line integrals (no unit), one sinogram a slice."""
PLANES = 32
"""Slices that go through together, so that a block of a sinogram stays in the cache."""


@dataclass(frozen=True)
class ParallelBeam:
    """Rays over half a turn, onto detector columns as wide as a pixel that span the diagonal of the slice.

    Parameters
    ----------
    rows, columns : pixels of a slice along (y, x).
    pixel_mm : side of a pixel, and pitch of the detector.
    views : angles θ = kπ/views.

    Raises
    ------
    ConfigError : nothing to project, no view, or a pixel that is not above zero.
    """

    rows: int
    columns: int
    pixel_mm: float
    views: int

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "views"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", field=name, value=getattr(self, name))
        if not 0 < self.pixel_mm < np.inf:
            raise ConfigError("must be finite and above zero", field="pixel_mm", value=self.pixel_mm)

    @property
    def detectors(self) -> int:
        """Detector columns: the diagonal and a pixel on either side, so that no ray through the slice is lost."""
        return int(np.ceil(np.hypot(self.rows, self.columns))) + 2

    @property
    def angles(self) -> NDArray[np.float64]:
        """θ in radians, (views,)."""
        return np.asarray(np.arange(self.views) * (np.pi / self.views), np.float64)

    @property
    def offsets_mm(self) -> NDArray[np.float64]:
        """``s`` of each detector column, (detectors,)."""
        return np.asarray((np.arange(self.detectors) - (self.detectors - 1) / 2) * self.pixel_mm, np.float64)


def projected(per_mm: Voxels, beam: ParallelBeam) -> Sinograms:
    """``∫ µ ds`` along each ray of each slice, (z, views, detectors) float32; outside of the slice µ is 0.

    A slice's sinogram does not depend on the slices beside it, to the last bit.

    Parameters
    ----------
    per_mm : µ in 1/mm, (z, rows, columns).
    beam : the rays.

    Raises
    ------
    ContentError : slices of another size, or values that are not finite.
    """
    if per_mm.shape[1:] != (beam.rows, beam.columns):
        raise ContentError(f"slices are not {beam.rows} by {beam.columns}", field="per_mm", value=per_mm.shape)
    if not np.isfinite(per_mm).all():
        raise ContentError("attenuation must be finite", field="per_mm")
    out = np.empty((len(per_mm), beam.views, beam.detectors), np.float32)
    for start in range(0, len(per_mm), PLANES):
        block = np.moveaxis(per_mm[start : start + PLANES], 0, -1)
        by_row = np.ascontiguousarray(block, np.float32)
        by_column = np.ascontiguousarray(block.swapaxes(0, 1), np.float32)
        sums = np.zeros((beam.views, beam.detectors, block.shape[-1]), np.float32)
        _project(by_row, by_column, np.cos(beam.angles), np.sin(beam.angles), sums)
        out[start : start + PLANES] = np.moveaxis(sums * np.float32(beam.pixel_mm), -1, 0)
    return out


@kernel
def _project(by_row: AnyArray, by_column: AnyArray, cosine: AnyArray, sine: AnyArray, out: AnyArray) -> None:
    """Line integrals in pixels; ``by_row`` (y, x, z), ``by_column`` (x, y, z), out (views, detectors, z) of zeros."""
    for view in range(out.shape[0]):
        if abs(cosine[view]) >= abs(sine[view]):
            _follow(by_row, sine[view], cosine[view], out[view])
        else:
            _follow(by_column, cosine[view], sine[view], out[view])


@kernel
def _follow(image: AnyArray, along: float, across: float, out: AnyArray) -> None:
    """Rays ``u·along + v·across = s`` of one view: steps along the first axis (u), interpolation along the second."""
    steps, width, planes = image.shape
    detectors = out.shape[0]
    weight = 1.0 / abs(across)
    for d in range(detectors):
        s = d - (detectors - 1) / 2
        for step in range(steps):
            v = (s - (step - (steps - 1) / 2) * along) / across + (width - 1) / 2
            low = int(np.floor(v))
            if low < -1 or low >= width:
                continue
            part = v - low
            near, far = np.float32((1 - part) * weight), np.float32(part * weight)
            if low >= 0:
                for z in range(planes):
                    out[d, z] += near * image[step, low, z]
            if low + 1 < width:
                for z in range(planes):
                    out[d, z] += far * image[step, low + 1, z]
