"""Three planes of a volume at one physical scale: xy, with xz below it and zy to its right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from experiments.report.window import thinned, window_of
from volumes.grid import Grid
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

Name = Literal["xy", "xz", "zy"]
"""Horizontal axis and vertical axis are (x, y), (x, z) and (z, y); the index grows to the right and downwards."""
GAP = 6
"""Pixels between the planes."""


@dataclass(frozen=True)
class Pane:
    """Where one plane stands on the canvas, in pixels."""

    name: Name
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """A canvas of width × height pixels with its panes; all of one scale in µm a pixel."""

    width: int
    height: int
    um_per_px: float
    panes: tuple[Pane, ...]


def layout_of(grid: Grid, widest: int, tallest: int | None = None) -> Layout:
    """The canvas for a grid: as large as ``widest`` × ``tallest`` pixels (0.8 of the width when left out) allow.

    A grid of a single plane has one pane only.
    """
    z, y, x = grid.extent_um
    deep = grid.shape[0] > 1
    across, down = (x + z, y + z) if deep else (x, y)
    gap = GAP if deep else 0
    tallest = round(0.8 * widest) if tallest is None else tallest
    scale = min((widest - gap) / across, (tallest - gap) / down)
    wide, high, thick = (max(1, round(n * scale)) for n in (x, y, z))
    first = Pane("xy", 0, 0, wide, high)
    if not deep:
        return Layout(wide, high, 1 / scale, (first,))
    below = Pane("xz", 0, high + gap, wide, thick)
    right = Pane("zy", wide + gap, 0, thick, high)
    return Layout(wide + gap + thick, high + gap + thick, 1 / scale, (first, below, right))


def centre_of(volume: Volume, channel: int = 0) -> Shape3:
    """The voxel (z, y, x) at the centre of mass of the foreground: what is above a quarter of the contrast window."""
    window = window_of(volume, channel)
    values, mask, steps = thinned(volume, channel)
    foreground = mask & (values > window.low + 0.25 * (window.high - window.low))
    if not foreground.any():
        z, y, x = (n // 2 for n in volume.grid.shape)
        return z, y, x
    middle = np.rint(np.argwhere(foreground).mean(0) * steps).astype(int)
    z, y, x = (min(int(i), n - 1) for i, n in zip(middle, volume.grid.shape, strict=True))
    return z, y, x


def plane(volume: Volume, name: Name, cut: Shape3, channel: int = 0) -> AnyArray:
    """One plane through the voxel ``cut``, rows × columns as it is shown; 0 where there is no data."""
    z, y, x = cut
    whole = slice(None)
    index: dict[Name, tuple[int | slice, int | slice, int | slice]] = {
        "xy": (z, whole, whole),
        "xz": (whole, y, whole),
        "zy": (whole, whole, x),
    }
    picture: AnyArray = np.asarray(volume.data[(channel, *index[name])])
    if volume.valid is not None:
        picture = np.where(volume.valid[index[name]], picture, np.zeros((), picture.dtype))
    return picture.T if name == "zy" else picture


def brightest(volume: Volume, channel: int = 0, block: int = 16) -> AnyArray:
    """The maximum along z (Y, X), a few planes in memory at a time; where nothing is valid, 0."""
    out: AnyArray | None = None
    for first in range(0, volume.grid.shape[0], block):
        part = np.asarray(volume.data[channel, first : first + block])
        if volume.valid is not None:
            part = np.where(volume.valid[first : first + block], part, np.zeros((), part.dtype))
        top = part.max(0)
        out = top if out is None else np.maximum(out, top)
    return np.zeros(volume.grid.shape[1:]) if out is None else out


def seen_from_above(labels: Volume) -> AnyArray:
    """The first label other than 0 along z (Y, X)."""
    out = np.zeros(labels.grid.shape[1:], np.int64)
    for z in range(labels.grid.shape[0]):
        part = np.asarray(labels.data[0, z])
        out = np.where(out == 0, part, out)
    return out


def fitted(picture: AnyArray, pane: Pane, nearest: bool = False) -> AnyArray:
    """A plane of numbers resized to its pane; smoothly, or by the nearest voxel for labels (int32)."""
    if nearest:
        resized = Image.fromarray(np.ascontiguousarray(picture, np.int32)).resize(
            (pane.width, pane.height), Image.Resampling.NEAREST
        )
    else:
        resized = Image.fromarray(np.ascontiguousarray(picture, np.float32)).resize(
            (pane.width, pane.height), Image.Resampling.BILINEAR
        )
    return np.asarray(resized)


def composed(layout: Layout, draw: Callable[[Pane], AnyArray]) -> AnyArray:
    """An RGB canvas (height, width, 3) uint8, black but for what ``draw`` gives for each pane (values 0 to 1)."""
    canvas = np.zeros((layout.height, layout.width, 3), np.uint8)
    for pane in layout.panes:
        picture = np.rint(np.clip(draw(pane), 0, 1) * 255).astype(np.uint8)
        canvas[pane.top : pane.top + pane.height, pane.left : pane.left + pane.width] = picture
    return canvas
