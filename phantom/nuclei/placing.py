"""Where nuclei lie: thrown at random into a region, none nearer to another than a least distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.nuclei.recipe import Bodies
from phantom.patchwork.structure import smooth_noise
from volumes.jit import kernel
from volumes.shapes import AnyArray, Points, Shape3

THROWS = 8
"""Places tried for each that a lattice of the least distance would hold."""
COARSE = 8
"""A winding tissue is drawn on a grid so many voxels coarse."""


def placed(shape: Shape3, bodies: Bodies, rng: np.random.Generator) -> Points:
    """Centres (n, 3) in voxels, in a box half a diameter larger than the field on every side.

    Random sequential addition: of two centres, ``|Δ| ≥ spacing · diameter`` with z counted in flattened diameters
    (Widom 1966, "Random sequential addition of hard spheres to a volume", J. Chem. Phys. 44).
    """
    if bodies.arrangement == "none":
        return np.zeros((0, 3))
    squash = np.array([bodies.flatness, 1.0, 1.0]) * bodies.flatness ** (-1 / 3)
    margin = 0.5 * bodies.diameter
    size = np.array(shape) + 2 * margin
    least = bodies.spacing * bodies.diameter
    count = int(THROWS * np.prod(size / squash) / least**3) + 20
    thrown = rng.random((count, 3)) * size - margin
    thrown = thrown[_within(thrown, shape, bodies, rng)]
    kept = _apart(thrown / squash, least)
    centres = thrown[kept]
    if bodies.arrangement == "few":
        centres = centres[: int(rng.integers(1, 10))]
    return np.asarray(centres)


def _within(points: Points, shape: Shape3, bodies: Bodies, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether a place belongs to the tissue."""
    if bodies.arrangement == "sheet":
        slope, level = rng.normal(0, 0.12, 2), rng.uniform(0.3, 0.7) * shape[0]
        thick = rng.uniform(0.05, 0.8) * bodies.diameter * bodies.flatness
        middle = level + (points[:, 1:] - np.array(shape[1:]) / 2) @ slope
        return np.asarray(np.abs(points[:, 0] - middle) <= thick)
    if bodies.arrangement == "cluster":
        centre, radius = rng.uniform(0.3, 0.7, 3) * shape, rng.uniform(1.2, 3.0) * bodies.diameter
        return np.asarray((((points - centre) / radius) ** 2).sum(1) <= 1)
    if bodies.arrangement == "tissue" and rng.random() < 0.5:
        coarse = tuple(-(-n // COARSE) + 1 for n in shape)
        field = smooth_noise((coarse[0], coarse[1], coarse[2]), rng.uniform(1.0, 3.0), rng)
        at = ndimage.map_coordinates(field, (points / COARSE).T, order=1, mode="nearest")
        return np.asarray(at > rng.uniform(-1.2, 0.6))
    return np.ones(len(points), bool)


def _apart(points: Points, least: float) -> NDArray[np.int64]:
    """The places that keep their distance from all kept before them."""
    low = points.min(0, initial=np.inf) if len(points) else np.zeros(3)
    edge = least / np.sqrt(3.0)
    cells = np.floor((points - low) / edge).astype(np.int64) + 2
    size = cells.max(0, initial=0) + 3
    table = np.full(size, -1, np.int64)
    return np.flatnonzero(_thrown(np.ascontiguousarray(points), cells, table, least * least))


@kernel
def _thrown(points: AnyArray, cells: AnyArray, table: AnyArray, limit: float) -> AnyArray:
    """Each cell of the table is too small for two places, so that 125 of them hold all that may be too near."""
    kept = np.zeros(len(points), np.bool_)
    for i in range(len(points)):
        a, b, c = cells[i]
        free = True
        for z in range(a - 2, a + 3):
            for y in range(b - 2, b + 3):
                for x in range(c - 2, c + 3):
                    j = table[z, y, x]
                    if free and j >= 0:
                        dz, dy, dx = (
                            points[i, 0] - points[j, 0],
                            points[i, 1] - points[j, 1],
                            points[i, 2] - points[j, 2],
                        )
                        free = dz * dz + dy * dy + dx * dx >= limit
        if free:
            table[a, b, c] = i
            kept[i] = True
    return kept
