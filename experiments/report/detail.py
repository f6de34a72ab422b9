"""A close look: the square of the xy plane where all volumes hold the most fine structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from experiments.report.planes import Layout, Pane, plane
from experiments.report.window import window_of
from volumes.grid import Grid
from volumes.shapes import Shape3
from volumes.volume import Volume

SHARE = 0.4
"""Side of the square, as a share of the shorter side of the plane."""
FEWEST = 24
"""A square of fewer voxels along a side shows nothing that the whole plane does not."""


@dataclass(frozen=True)
class Detail:
    """A square of the xy plane: its first row and column, and its rows and columns."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the plane."""
        return slice(self.row, self.row + self.rows), slice(self.column, self.column + self.columns)


def detail_of(volumes: Sequence[Volume], cut: Shape3) -> Detail | None:
    """The square in the plane z = ``cut[0]`` with the most edges in the volume that has fewest there.

    None when the plane is too small for a closer look. All volumes lie on one grid.
    """
    grid = volumes[0].grid
    rows, columns = _side(grid)
    if min(rows, columns) < FEWEST:
        return None
    energy = np.min([_edges(volume, cut, (rows, columns)) for volume in volumes], axis=0)
    inner = energy[: grid.shape[1] - rows + 1, : grid.shape[2] - columns + 1]
    row, column = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return Detail(int(row), int(column), rows, columns)


def detail_layout(grid: Grid, detail: Detail, width: int) -> Layout:
    """A canvas of one pane for the square, ``width`` pixels wide."""
    um_per_px = detail.columns * grid.spacing_um[2] / width
    height = max(1, round(detail.rows * grid.spacing_um[1] / um_per_px))
    return Layout(width, height, um_per_px, (Pane("xy", 0, 0, width, height),))


def _side(grid: Grid) -> tuple[int, int]:
    side = SHARE * min(grid.extent_um[1:])
    rows, columns = (min(n, round(side / s)) for n, s in zip(grid.shape[1:], grid.spacing_um[1:], strict=True))
    return rows, columns


def _edges(volume: Volume, cut: Shape3, size: tuple[int, int]) -> NDArray[np.float64]:
    """Mean gradient of the square that begins at each pixel, as a share of the plane's greatest."""
    picture = window_of(volume)(plane(volume, "xy", cut))
    steepness = np.hypot(*np.gradient(picture.astype(np.float64)))
    origin = tuple(-(n // 2) for n in size)
    mean = np.asarray(ndimage.uniform_filter(steepness, size, mode="constant", origin=origin))
    return np.asarray(mean / max(float(mean.max()), 1e-12))
