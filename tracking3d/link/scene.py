"""Detections as the linker sees them: ordered in time, each with its neighbours and their distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tracking3d.detections import Detections
from volumes.shapes import Points

NEIGHBOURS = 6
"""Neighbours in the same frame whose motion speaks for that of a cell."""
SPACED_BY = 4
"""Neighbours whose mean distance is the local spacing of cells."""
DENSITY = 0.74
"""Cells per cubed spacing: of a Poisson process, whose four nearest lie Γ(k + ⅓)/Γ(k) (3/4πρ)^⅓ away, averaged."""
FAR = 3.0
"""Spacing of cells without neighbours, in their nearest cells' distance from one frame to the next."""


@dataclass(frozen=True)
class Scene:
    """Cells in the order of (t, z, y, x), so that nothing depends on the order of the table.

    Parameters
    ----------
    order : (n,) row of the table that each cell stands in.
    t : (n,) frame.
    zyx : (n, 3) centres, µm.
    log_volume : (n,) natural logarithm of the volume in µm³, NaN where it is not known.
    first : (f + 1,) first cell of each frame, counted from the first frame with a cell.
    near : (n, 6) cells of the same frame, nearest first, −1 where there are fewer.
    spacing : (n,) mean distance to the four nearest, µm, within [0.6, 2] of the frame's median.
    trees : k-d tree of each frame, None where it is empty.
    """

    order: NDArray[np.int64]
    t: NDArray[np.int64]
    zyx: Points
    log_volume: NDArray[np.float64]
    first: NDArray[np.int64]
    near: NDArray[np.int64]
    spacing: NDArray[np.float64]
    trees: tuple[cKDTree | None, ...]

    def __len__(self) -> int:
        return len(self.t)

    @property
    def frames(self) -> int:
        """Frames from the first cell to the last, empty ones included."""
        return len(self.trees)

    @property
    def log_density(self) -> NDArray[np.float64]:
        """(n,) log of cells per µm³ around each cell."""
        return np.asarray(np.log(DENSITY) - 3 * np.log(self.spacing))

    def cells(self, frame: int) -> slice:
        """The cells of a frame, counted from the first frame with a cell."""
        return slice(int(self.first[frame]), int(self.first[frame + 1]))


def scene(detections: Detections) -> Scene:
    """Order the cells and find each one's neighbours; n log n."""
    order = np.lexsort((*detections.zyx_um.T[::-1], detections.t))
    t, zyx = detections.t[order], detections.zyx_um[order]
    numbers = np.arange(t[0], t[-1] + 2) if len(t) else np.zeros(1, np.int64)
    first = np.searchsorted(t, numbers)
    near = np.full((len(t), NEIGHBOURS), -1, dtype=np.int64)
    spacing = np.full(len(t), np.nan)
    trees: list[cKDTree | None] = []
    for begin, end in zip(first[:-1], first[1:], strict=True):
        tree = cKDTree(zyx[begin:end]) if end > begin else None
        trees.append(tree)
        if tree is not None and end - begin > 1:
            near[begin:end], spacing[begin:end] = _neighbours(tree, int(begin))
    volume = np.where(detections.volume_um3 > 0, detections.volume_um3, np.nan)[order]
    return Scene(order, t, zyx, np.log(volume), first, near, _complete(spacing, zyx, first, trees), tuple(trees))


def _neighbours(tree: cKDTree, begin: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    distance, cell = tree.query(tree.data, k=range(2, NEIGHBOURS + 2))
    closest = distance[:, :SPACED_BY]
    known = np.isfinite(closest)
    mean = np.where(known, closest, 0.0).sum(axis=1) / known.sum(axis=1)
    middle = np.median(mean)
    near = np.where(np.isfinite(distance), cell + begin, -1)
    return near, np.clip(mean, 0.6 * middle, 2.0 * middle)


def _complete(
    spacing: NDArray[np.float64], zyx: Points, first: NDArray[np.int64], trees: list[cKDTree | None]
) -> NDArray[np.float64]:
    """Give cells that are alone in their frame a spacing: that of the others, or else one from their steps."""
    known = np.isfinite(spacing)
    if known.all():
        return spacing
    if known.any():
        return np.where(known, spacing, np.median(spacing[known]))
    held = [f for f, tree in enumerate(trees) if tree is not None]
    steps = [np.linalg.norm(zyx[first[b]] - zyx[first[a]]) for a, b in zip(held[:-1], held[1:], strict=True)]
    step = float(np.median(steps)) if steps else 0.0
    return np.full(len(spacing), FAR * step if step > 0 else 1.0)
