"""A watershed that joins shallow basins while it floods: every cell keeps one peak of the height map.

Voxels are taken from the highest down. One without a neighbour already taken starts a basin; another joins that of its
highest neighbour. Where two basins meet at height s, the one of the lower peak p is shallow, and becomes part of the
other, when p − s ≤ depth · p. On a distance map this is a statement of shape: two cells stay apart when the neck
between them is narrower than 1 − depth of the smaller one. Equal to the watershed from the h-maxima of the map, with h
relative to each peak; after Chazal et al. 2013, "Persistence-based clustering in Riemannian manifolds".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Mask, Voxels

LEVELS = 65535
"""Heights are told apart to this part of the highest, so that a radix sort can order them."""


def basins(height: Voxels, mask: Mask, depth: float) -> NDArray[np.int32]:
    """Label the basins (Z, Y, X) of a height map inside a mask, from 1 in order of their peaks; 26 neighbours.

    Parameters
    ----------
    height : (Z, Y, X), not negative; larger is further inside a cell.
    mask : (Z, Y, X), the voxels to label.
    depth : share of the lower of two peaks, from 0 (every peak is a cell) to 1 (every connected part is one).
    """
    highest = float(height[mask].max()) if mask.any() else 0.0
    scale = LEVELS / highest if highest > 0 else 0.0
    padded = np.zeros(tuple(n + 2 for n in mask.shape), np.uint16)
    within = np.zeros(padded.shape, bool)
    within[1:-1, 1:-1, 1:-1] = mask
    padded[1:-1, 1:-1, 1:-1] = np.where(mask, np.rint(height * scale), 0)
    flat = padded.ravel()
    voxels = np.flatnonzero(within)
    order = voxels[np.argsort(LEVELS - flat[voxels], kind="stable")]
    labels = np.zeros(flat.size, np.int32)
    _flood(flat, order, neighbours(padded.shape), depth, labels)
    return np.ascontiguousarray(labels.reshape(padded.shape)[1:-1, 1:-1, 1:-1])


def neighbours(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Steps in the flat array to the 26 neighbours: 13 that come earlier in it, then 13 that come later."""
    step = np.arange(-1, 2)
    z, y, x = np.meshgrid(step, step, step, indexing="ij")
    flat = ((z * shape[1] + y) * shape[2] + x).ravel()
    steps: NDArray[np.int64] = flat[flat != 0].astype(np.int64)
    return steps


@inlined
def root(parent: AnyArray, i: np.int32) -> np.int32:
    """The end of the chain of parents, which is shortened on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _flood(height: AnyArray, order: AnyArray, steps: AnyArray, depth: float, labels: AnyArray) -> None:
    """Labels come out compact from 1; a label is 0 until its voxel is taken. Basin 0 is nobody's."""
    parent = np.zeros(order.size + 1, np.int32)
    peak = np.zeros(order.size + 1, np.int32)
    n = 0
    for i in order:
        level = np.int32(height[i])
        best, best_height = np.int32(0), np.int32(-1)
        same = True
        for step in steps:
            label = labels[i + step]
            if label > 0:
                if best > 0 and label != best:
                    same = False
                if height[i + step] > best_height:
                    best, best_height = label, np.int32(height[i + step])
        if best == 0:
            n += 1
            parent[n], peak[n], labels[i] = n, level, n
            continue
        labels[i] = best
        if same:
            continue
        here = root(parent, best)
        for step in steps:
            label = labels[i + step]
            if label == 0:
                continue
            there = root(parent, label)
            if there != here:
                here = _meet(parent, peak, here, there, level, depth)
    _number(parent, n)
    for i in order:
        labels[i] = parent[labels[i]]


@inlined
def _meet(parent: AnyArray, peak: AnyArray, a: np.int32, b: np.int32, level: np.int32, depth: float) -> np.int32:
    """Join two basins where the lower one is shallow; the root that the voxel now belongs to."""
    # Basins are numbered in the order of their peaks, so that the older is the higher one.
    high, low = min(a, b), max(a, b)
    if peak[low] - level <= depth * peak[low]:
        parent[low] = high
        return high
    return a


@kernel
def _number(parent: AnyArray, n: int) -> None:
    """Replace each basin's parent by its root's number, counted from 1; a parent is older than its children."""
    fresh = 0
    for i in range(1, n + 1):
        if parent[i] == i:
            fresh += 1
            parent[i] = fresh
        else:
            parent[i] = parent[parent[i]]
