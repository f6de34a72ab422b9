"""Which cells may be linked: the nearest to where a cell is expected, within a gate of the local spacing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.grid import Grid, nearest_within
from tracking3d.link.motion import Motion
from tracking3d.link.scene import Scene
from volumes.jit import kernel
from volumes.shapes import Points


@dataclass(frozen=True)
class Candidates:
    """Pairs of cells that may be parent and child, ordered by the parent, then the frame of the child, then distance.

    Parameters
    ----------
    start : (n + 1,) first pair of each parent.
    later : (m,) the child of each pair.
    gap : (m,) frames between the two, ≥ 1.
    """

    start: NDArray[np.int64]
    later: NDArray[np.int64]
    gap: NDArray[np.int64]

    @cached_property
    def earlier(self) -> NDArray[np.int64]:
        """(m,) the parent of each pair."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(m, 2) earlier and later cell."""
        return np.column_stack([self.earlier, self.later])

    def offset(self, scene: Scene, motion: Motion) -> Points:
        """(m, 3) the later cell's place less the expected one, µm."""
        moved = scene.zyx[self.later] - scene.zyx[self.earlier]
        return np.asarray(moved - self.gap[:, None] * motion.between(self.earlier, self.later))


@dataclass(frozen=True)
class Gate:
    """How far a candidate may be.

    Parameters
    ----------
    nearest : candidates of a cell in each later frame.
    width : radius about the expected place, in local spacings.
    steps : largest number of frames that a link spans.
    max_distance_um : bound on a step, µm per frame; None for none.
    """

    nearest: int = 7
    width: float = 1.35
    steps: int = 3
    max_distance_um: float | None = None


def candidates(scene: Scene, motion: Motion, gate: Gate) -> Candidates:
    """Pairs within the gate around x + gap · ahead."""
    later = np.searchsorted(scene.frames, scene.frames[:, None] + np.arange(1, gate.steps + 1))
    there = scene.frames[np.minimum(later, len(scene.frames) - 1)]
    place = np.where(there - scene.frames[:, None] == np.arange(1, gate.steps + 1), later, -1)
    bound = np.inf if gate.max_distance_um is None else gate.max_distance_um
    reach = gate.width * scene.spacing
    return Candidates(*_found(scene.grid, scene.first, scene.zyx, motion.ahead, reach, place, gate.nearest, bound))


@kernel
def _found(
    grid: Grid,
    first: NDArray[np.int64],
    zyx: Points,
    ahead: Points,
    reach: NDArray[np.float64],
    place: NDArray[np.int64],
    nearest: int,
    bound: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Compressed rows of the candidates; ``place`` (f, steps) is each frame's place 1, 2, … frames on, −1 for none."""
    n, steps = len(zyx), place.shape[1]
    room = 0
    for f in range(len(first) - 1):
        room += nearest * int((place[f] >= 0).sum()) * (first[f + 1] - first[f])
    start, later, gap = np.zeros(n + 1, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    cell, away, expected = np.empty(nearest, np.int64), np.empty(nearest), np.empty(3)
    count = 0
    for f in range(len(first) - 1):
        for i in range(first[f], first[f + 1]):
            for step in range(1, steps + 1):
                if place[f, step - 1] < 0:
                    continue
                for axis in range(3):
                    expected[axis] = zyx[i, axis] + step * ahead[i, axis]
                for k in range(nearest_within(grid, place[f, step - 1], expected, reach[i], cell, away)):
                    moved = 0.0
                    for axis in range(3):
                        moved += (zyx[cell[k], axis] - zyx[i, axis]) ** 2
                    if np.sqrt(moved) <= bound * step:
                        later[count] = cell[k]
                        gap[count] = step
                        count += 1
            start[i + 1] = count
    return start, later[:count].copy(), gap[:count].copy()
