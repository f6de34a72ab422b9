"""Which tissue is where in a specimen, and the value of any of its properties at any point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from phantom.anatomy.tissues import TISSUES, living
from volumes.errors import ConfigError, ContentError, GridError
from volumes.grid import Grid
from volumes.jit import kernel
from volumes.shapes import AnyArray, Points, Voxels
from volumes.volume import Volume

KEPT = 16
"""So many mapped volumes are kept for the next question."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Tissue in the specimen's own frame (z, y, x), µm.

    Parameters
    ----------
    labels : one channel of whole numbers, codes of :data:`~phantom.anatomy.tissues.TISSUES`; 0 is outside.
    texture : on the same grid, what a property is multiplied by for its fine structure; its mean is 1 in each tissue.

    Raises
    ------
    ContentError : labels that are no codes, or a texture that is negative or not finite.
    GridError : a texture on another grid.
    """

    labels: Volume
    texture: Volume | None = None
    _mapped: dict[tuple[bytes, float, bool], Voxels] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        codes = self.labels.channel()
        if codes.dtype.kind not in "ui" or codes.min() < 0 or codes.max() >= len(TISSUES):
            raise ContentError(f"needs whole numbers from 0 to {len(TISSUES) - 1}", field="labels", value=codes.dtype)
        if self.texture is None:
            return
        if not self.texture.grid.is_close(self.grid):
            raise GridError("lies on another grid than the labels", field="texture")
        strength = self.texture.channel()
        if not np.isfinite(strength).all() or strength.min() < 0:
            raise ContentError("must be finite and not below 0", field="texture")

    @property
    def grid(self) -> Grid:
        """Where the labels lie."""
        return self.labels.grid

    @property
    def centre_um(self) -> NDArray[np.float64]:
        """The middle of the box of labels, (3,)."""
        return np.asarray(self.grid.centre_um[0])

    @property
    def extent_um(self) -> NDArray[np.float64]:
        """Size of the box of labels along the world's axes, whole voxels included, (3,)."""
        return np.asarray(np.abs(self.grid.axes) @ np.asarray(self.grid.extent_um))

    def sampled(
        self,
        values: ArrayLike,
        points_um: Float32[np.ndarray, "z y x 3"],
        spacing_um: Sequence[float],
        textured: bool = False,
    ) -> Voxels:
        """A property at points, trilinear, float32 (z, y, x); outside of the labels that of tissue 0.

        Where the asking voxels are larger than those of the labels, the property is smoothed first with the Gaussian
        whose variance is the difference of the two boxes', ``(s² − a²) / 12``, ``s`` and ``a`` the edges of cubes of
        their volumes: coarse voxels then hold mixtures. It is the same along all axes, since the asking grid may be
        turned.

        Parameters
        ----------
        values : one for each tissue.
        points_um : where, in the specimen's frame.
        spacing_um : size of the voxels whose centres the points are.
        textured : multiplied by the texture, where there is one.

        Raises
        ------
        ConfigError : values that are not finite, or not one for each tissue.
        """
        table = np.asarray(values, dtype=np.float64)
        if table.shape != (len(TISSUES),) or not np.isfinite(table).all():
            raise ConfigError(f"needs {len(TISSUES)} finite values", field="values", value=table.tolist())
        source = self._volume(table, self._sigma(spacing_um), textured and self.texture is not None)
        flat = np.ascontiguousarray(points_um, dtype=np.float32).reshape(-1, 3)
        out = np.empty(len(flat), np.float32)
        _sample_kernel(source, np.linalg.inv(self.grid.matrix)[:3].astype(np.float32), flat, out)
        return out.reshape(points_um.shape[:-1])

    def living(self, points_um: Points) -> NDArray[np.bool_]:
        """Whether cells may live at points (n, 3): in the voxel that holds each; never outside of the labels."""
        index = np.rint(self.grid.to_index(points_um)).astype(np.int64)
        inside = ((index >= 0) & (index < self.grid.shape)).all(1)
        z, y, x = np.where(inside[:, None], index, 0).T
        return np.asarray(living()[self.labels.channel()[z, y, x]] & inside)

    def holds(self, points_um: Points) -> NDArray[np.bool_]:
        """Whether points (n, 3) lie in the box of labels or less than a voxel outside of it."""
        index = self.grid.to_index(points_um)
        return np.asarray(((index > -1) & (index < self.grid.shape)).all(1))

    def _sigma(self, spacing_um: Sequence[float]) -> float:
        """σ of the smoothing in µm, for voxels of that size."""
        asked, own = (float(np.prod(s)) ** (2 / 3) for s in (spacing_um, self.grid.spacing_um))
        return float(np.sqrt(max(0.0, asked - own) / 12))

    def _volume(self, table: NDArray[np.float64], sigma_um: float, textured: bool) -> Voxels:
        """The property on the labels' grid, tissue 0 around it; from the last few when asked before."""
        key = (table.tobytes(), round(sigma_um, 6), textured)
        if key not in self._mapped:
            if len(self._mapped) >= KEPT:
                self._mapped.pop(next(iter(self._mapped)), None)
            self._mapped[key] = self._fresh(table.astype(np.float32), sigma_um, textured)
        return self._mapped[key]

    def _fresh(self, table: NDArray[np.float32], sigma_um: float, textured: bool) -> Voxels:
        mapped = table[self.labels.channel()]
        if textured and self.texture is not None:
            mapped *= self.texture.channel()
        if sigma_um > 0:
            in_voxels = tuple((sigma_um / np.asarray(self.grid.spacing_um)).tolist())
            mapped = ndimage.gaussian_filter(mapped, in_voxels, mode="constant", cval=float(table[0]))
        return np.ascontiguousarray(np.pad(mapped, (1, 2), constant_values=float(table[0])))


@kernel
def _sample_kernel(padded: AnyArray, matrix: AnyArray, points: AnyArray, out: AnyArray) -> None:
    """Trilinear values of a volume padded by one voxel before and two after; what is outside falls between the two."""
    one, zero = np.float32(1.0), np.float32(0.0)
    end_z, end_y, end_x = (
        np.float32(padded.shape[0] - 1.001),
        np.float32(padded.shape[1] - 1.001),
        np.float32(padded.shape[2] - 1.001),
    )
    for i in range(len(points)):
        p, q, r = points[i, 0], points[i, 1], points[i, 2]
        z = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + matrix[0, 3] + one
        y = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + matrix[1, 3] + one
        x = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + matrix[2, 3] + one
        z, y, x = min(max(z, zero), end_z), min(max(y, zero), end_y), min(max(x, zero), end_x)
        k, j, m = int(z), int(y), int(x)
        fz, fy, fx = z - np.float32(k), y - np.float32(j), x - np.float32(m)
        a = padded[k, j, m] + (padded[k, j, m + 1] - padded[k, j, m]) * fx
        b = padded[k, j + 1, m] + (padded[k, j + 1, m + 1] - padded[k, j + 1, m]) * fx
        c = padded[k + 1, j, m] + (padded[k + 1, j, m + 1] - padded[k + 1, j, m]) * fx
        d = padded[k + 1, j + 1, m] + (padded[k + 1, j + 1, m + 1] - padded[k + 1, j + 1, m]) * fx
        a += (b - a) * fy
        c += (d - c) * fy
        out[i] = a + (c - a) * fz
