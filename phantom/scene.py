"""What one instrument faces at one moment: cells and tissue on a slab of its own grid, before any optics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from phantom.anatomy.anatomy import Anatomy
from phantom.anatomy.paths import Paths
from phantom.cells.cells import DYES, Cells
from phantom.cells.raster import Raster
from volumes.errors import ConfigError
from volumes.shapes import Triple, Voxels


@dataclass(frozen=True, eq=False)
class Scene:
    """One slab of planes of an instrument's grid, with a halo on both sides, so that light can come from there.

    All arrays are (z, y, x) over slab and halo, along the *index* axes of the instrument; its optical axis is z, the
    objective (or the detector) lies before plane 0.

    Parameters
    ----------
    spacing_um : voxel size along the index axes.
    first : index of the first plane here, in the whole grid; negative in the halo before it.
    core : the planes that count, the rest is halo.
    planes : how many planes the whole grid has.
    points_um : where each voxel's centre lies in the specimen's frame, (z, y, x, 3) float32.
    cells : the cells of this moment.
    raster : which voxel is of which cell.
    anatomy : the tissue.
    paths : integrals through the tissue along the instrument's axes.
    time_s : seconds since the first frame of this instrument.
    seed : of what is fixed in the instrument for all frames: stripes, rings, bias field, hot pixels.
    """

    spacing_um: Triple
    first: int
    core: slice
    planes: int
    points_um: Float32[np.ndarray, "z y x 3"]
    cells: Cells
    raster: Raster
    anatomy: Anatomy
    paths: Paths
    time_s: float = 0.0
    seed: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of slab and halo."""
        z, y, x = self.raster.row.shape
        return z, y, x

    def dye(self, name: str) -> Voxels:
        """Light that a dye sends from each voxel, float32; 1 is that of the median nucleus.

        Parameters
        ----------
        name : one of :data:`~phantom.cells.cells.DYES`; "nuclear" and "swir" fill the nucleus, "membrane" its cell's
            surface.

        Raises
        ------
        ConfigError : no such dye.
        """
        if name not in DYES:
            raise ConfigError("no such dye", field="dye", value=name, remedy=f"One of {', '.join(DYES)}")
        shines = self.cells.brightness[:, DYES.index(name)].astype(np.float32)
        if name == "membrane":
            return _times(self.raster.membrane, shines, self.raster.membrane_row)
        return _times(self.raster.light, shines, self.raster.owner_row)

    def nuclei(self) -> Voxels:
        """The share of each voxel that nuclei fill, 0 to 1, float32."""
        return self.raster.fill

    def tissue(self, values: NDArray[np.float64], textured: bool = False) -> Voxels:
        """A property of the tissue at each voxel, float32.

        Parameters
        ----------
        values : one for each tissue of :data:`~phantom.anatomy.tissues.TISSUES`, in its order.
        textured : multiplied by the tissue's fine structure, whose mean is 1.
        """
        return self.anatomy.sampled(values, self.points_um, self.spacing_um, textured)

    def path(self, values_per_mm: NDArray[np.float64], axis: int = 0) -> Voxels:
        """``∫ value ds`` from the instrument's side up to each voxel, without unit, float32.

        Parameters
        ----------
        values_per_mm : one for each tissue, 1/mm.
        axis : 0 from before plane 0 (the objective), 2 from before column 0 (a light sheet's side).
        """
        return self.paths.sampled(values_per_mm, axis, self.first, self.shape)


def _times(strength: Voxels, per_cell: NDArray[np.float32], row: NDArray[np.int32]) -> Voxels:
    """``strength × per_cell[row]``, 0 where the row is −1."""
    table = np.append(per_cell, np.float32(0))
    return strength * table[row]
