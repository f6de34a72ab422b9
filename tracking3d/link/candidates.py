"""Which cells may be linked: the nearest to where a cell is expected, within a gate of the local spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.motion import Motion
from tracking3d.link.scene import Scene
from volumes.shapes import Points


@dataclass(frozen=True)
class Candidates:
    """Pairs of cells that may be parent and child, ordered by the parent, then the frame of the child, then distance.

    Parameters
    ----------
    pairs : (m, 2) earlier and later cell.
    gap : (m,) frames between them, ≥ 1.
    offset : (m, 3) the later cell's place less the expected one, µm.
    """

    pairs: NDArray[np.int64]
    gap: NDArray[np.int64]
    offset: Points


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
    """Pairs within the gate around x + gap · ahead, by a k-d tree a frame."""
    place = {frame: i for i, frame in enumerate(scene.frames.tolist())}
    found = [
        _between(scene, motion.ahead, gate, place[frame], place[frame + gap], gap)
        for gap in range(1, gate.steps + 1)
        for frame in place
        if frame + gap in place
    ]
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *found])
    # Found gap by gap, frame by frame: a stable sort by the parent leaves growing gaps, then distances.
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    gap = scene.t[pairs[:, 1]] - scene.t[pairs[:, 0]]
    earlier, later = pairs.T
    moved = scene.zyx[later] - scene.zyx[earlier]
    return Candidates(pairs, gap, moved - gap[:, None] * motion.between(earlier, later))


def _between(scene: Scene, ahead: Points, gate: Gate, one: int, other: int, gap: int) -> NDArray[np.int64]:
    """Pairs of cells of two frames, given by their places among the scene's frames."""
    here, there = scene.cells(one), scene.cells(other)
    reach = gate.width * scene.spacing[here]
    expected = scene.zyx[here] + gap * ahead[here]
    near = scene.trees[other].query(
        expected, k=range(1, gate.nearest + 1), distance_upper_bound=float(np.nextafter(reach.max(), np.inf))
    )
    distance, cell = (np.asarray(found) for found in near)
    row, rank = np.nonzero(distance <= reach[:, None])
    pairs = np.column_stack([row + here.start, cell[row, rank] + there.start]).astype(np.int64)
    if gate.max_distance_um is None:
        return pairs
    moved = np.linalg.norm(scene.zyx[pairs[:, 1]] - scene.zyx[pairs[:, 0]], axis=1)
    return np.asarray(pairs[moved <= gate.max_distance_um * gap])
