"""Seeded region growing: regions take the voxel that is most like one of them, again and again, until none is left."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from volumes.jit import inlined, kernel
from volumes.shapes import AnyArray, Mask


def grown(
    values: NDArray[np.float32], first: NDArray[np.int32], inside: Mask, within: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """Every voxel inside to one of the regions that are begun; 6 neighbours.

    Adams and Bischof 1994, "Seeded region growing": among all voxels that touch a region, the one with the least
    δ = |value − mean of the region| joins it, δ taken when it came to touch; of equals, the one that came first.

    Parameters
    ----------
    values : (Z, Y, X).
    first : (Z, Y, X), labels from 1, each a region's first voxels; 0 elsewhere.
    inside : (Z, Y, X), the voxels that may join.
    within : (n, 6) the box of each region, its first voxels and those past its last along z, y, x; nothing beyond it
        joins. Left out, and for labels past n, there is no bound.
    """
    labels = np.pad(np.where(inside, first, -1), 1, constant_values=-1).astype(np.int32)
    padded = np.pad(values, 1).astype(np.float64)
    boxes = np.tile(np.array([0, 0, 0, *labels.shape]), (int(first.max(initial=0)) + 1, 1))
    if within is not None:
        boxes[1 : len(within) + 1] = within[: len(boxes) - 1] + 1
    out = labels.ravel()
    _grow(padded.ravel(), out, np.array(labels.shape), boxes)
    return np.maximum(out.reshape(labels.shape)[1:-1, 1:-1, 1:-1], 0)


@kernel
def _grow(values: AnyArray, labels: AnyArray, shape: AnyArray, boxes: AnyArray) -> None:
    y, x = shape[1], shape[2]
    steps = np.array([-y * x, -x, -1, 1, x, y * x])
    total, count = np.zeros(len(boxes)), np.zeros(len(boxes))
    # One type for the queue's numbers from the start: numba tells int32 from int64.
    heap = [(0.0, np.int64(0), np.int64(0), np.int64(0))]
    heap.pop()
    order = np.int64(0)
    for i in range(labels.size):
        if labels[i] > 0:
            total[labels[i]] += values[i]
            count[labels[i]] += 1
    for i in range(labels.size):
        if labels[i] > 0:
            order = _touch(heap, order, np.int64(i), np.int64(labels[i]), values, labels, steps, total, count)
    while len(heap) > 0:
        _, _, at, label = heapq.heappop(heap)
        if labels[at] != 0 or not _holds(boxes[label], at, y, x):
            continue
        labels[at] = label
        total[label] += values[at]
        count[label] += 1
        order = _touch(heap, order, at, label, values, labels, steps, total, count)


@inlined
def _holds(box: AnyArray, i: np.int64, y: int, x: int) -> bool:
    """Whether a voxel lies in a box."""
    at_z, at_y, at_x = i // (y * x), i // x % y, i % x
    return bool(box[0] <= at_z < box[3] and box[1] <= at_y < box[4] and box[2] <= at_x < box[5])


@inlined
def _touch(
    heap: list[tuple[float, np.int64, np.int64, np.int64]],
    order: np.int64,
    i: np.int64,
    label: np.int64,
    values: AnyArray,
    labels: AnyArray,
    steps: AnyArray,
    total: AnyArray,
    count: AnyArray,
) -> np.int64:
    """Queue a voxel's free neighbours for its region; the last number given out."""
    mean = total[label] / count[label]
    for step in steps:
        if labels[i + step] == 0:
            order += 1
            heapq.heappush(heap, (abs(values[i + step] - mean), order, np.int64(i + step), label))
    return order
