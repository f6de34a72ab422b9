"""All cells of a specimen at one moment: where they are, how they are shaped, how brightly they shine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from phantom.cells.shape import BUMPS, STEEPEST, normalised
from volumes.errors import TableError
from volumes.shapes import AnyArray, Points

DYES = ("nuclear", "membrane", "swir")
"""What a cell can be stained with: columns of ``Cells.brightness``."""


@dataclass(frozen=True, eq=False)
class Cells:
    """One row a cell, in the specimen's frame: (z, y, x), µm.

    A nucleus is the star-shaped body ``{c + κ F (v − g) : |v| ≤ r(v/|v|)}``, ``r(û) = 1 + Σ b_k h_k(û)``
    (:mod:`phantom.cells.shape`); ``κ`` and ``g`` make its volume exactly ``4/3 π det F``, its centroid exactly ``c``.

    Parameters
    ----------
    number : what the cell is called, from 1, (n,) int32; it keeps it until it divides.
    mother : the number of the cell that it came from, 0 where there is none, (n,) int32.
    centre_um : centroid ``c``, (n, 3).
    frame_um : ``F``, (n, 3, 3); its columns are the semi-axes of the ellipsoid that the bumps stand on.
    bumps : coefficients ``b``, (n, :data:`~phantom.cells.shape.BUMPS`); 0 for an ellipsoid.
    body : semi-axes of the whole cell as a multiple of those of its nucleus, (n,), at least 1.
    condensed : 0 in interphase to 1 in metaphase, (n,): chromatin is then even and bright.
    brightness : light from each voxel, relative to the median nucleus, for each of :data:`DYES`, (n, 3).
    seed : of its chromatin texture, (n,) int64; it keeps it until it divides.

    Raises
    ------
    TableError : columns of different lengths, numbers that repeat, or a body that is turned inside out.
    """

    number: NDArray[np.int32]
    mother: NDArray[np.int32]
    centre_um: Points
    frame_um: Float64[np.ndarray, "n 3 3"]
    bumps: Float64[np.ndarray, "n k"]
    body: NDArray[np.float64]
    condensed: NDArray[np.float64]
    brightness: Float64[np.ndarray, "n 3"]
    seed: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.number)
        shapes = {
            "mother": (n,),
            "centre_um": (n, 3),
            "frame_um": (n, 3, 3),
            "bumps": (n, BUMPS),
            "body": (n,),
            "condensed": (n,),
            "brightness": (n, len(DYES)),
            "seed": (n,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise TableError(f"needs shape {shape}", field=name, value=getattr(self, name).shape)
            if not np.isfinite(getattr(self, name)).all():
                raise TableError("must be finite", field=name)
        if len(np.unique(self.number)) < n or (n and self.number.min() < 1):
            raise TableError("cells need numbers of their own, from 1", field="number")
        if n and not np.linalg.det(self.frame_um).min() > 0:
            raise TableError("must span a positive volume", field="frame_um")
        if n and not np.abs(self.bumps).sum(1).max() < STEEPEST:
            raise TableError(f"must stay below {STEEPEST} in sum", field="bumps")

    def __len__(self) -> int:
        return len(self.number)

    @property
    def volume_um3(self) -> NDArray[np.float64]:
        """Volume of each nucleus, (n,) µm³: ``4/3 π det F``."""
        return np.asarray(4 / 3 * np.pi * np.linalg.det(self.frame_um))

    @property
    def radius_um(self) -> NDArray[np.float64]:
        """Radius of the sphere of equal volume, (n,) µm."""
        return np.asarray(np.cbrt(np.linalg.det(self.frame_um)))

    @property
    def reach_um(self) -> NDArray[np.float64]:
        """Radius about the centre that surely holds the nucleus, (n,) µm."""
        scale, shift = normalised(self.bumps)
        longest = np.linalg.svd(self.frame_um, compute_uv=False)[:, 0]
        return np.asarray(longest * scale * (1 + np.abs(self.bumps).sum(1) + np.linalg.norm(shift, axis=1)))

    def rows(self, which: AnyArray) -> Cells:
        """The cells at these rows (indices or a mask)."""
        return Cells(**{name: getattr(self, name)[which] for name in self.__dataclass_fields__})

    @classmethod
    def none(cls) -> Cells:
        """No cell at all."""
        return cls(
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            np.zeros((0, 3)),
            np.zeros((0, 3, 3)),
            np.zeros((0, BUMPS)),
            np.zeros(0),
            np.zeros(0),
            np.zeros((0, len(DYES))),
            np.zeros(0, np.int64),
        )
