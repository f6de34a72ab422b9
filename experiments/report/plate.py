"""A picture ready for the page: a PNG inside the HTML, with the marks that the browser writes over it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from experiments.report.planes import Layout
from experiments.report.quantities import length_text, nice_length
from volumes.grid import Grid
from volumes.shapes import AnyArray, Shape3

_LONG_NAME = 110
"""Panes shown narrower than these pixels carry their axes' letters only."""


@dataclass(frozen=True)
class Mark:
    """Text over a picture; its upper left corner in percent of the width and the height."""

    left: float
    top: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A scale bar: right end and bottom, and its length, in percent; and what it measures."""

    right: float
    bottom: float
    width: float
    text: str


@dataclass(frozen=True)
class Plate:
    """A picture of width × height pixels.

    Parameters
    ----------
    uri : the PNG as a ``data:`` address.
    alt : what it shows, in words.
    marks, bar : written over it by the browser, so that they stay sharp.
    """

    uri: str
    width: int
    height: int
    alt: str
    marks: tuple[Mark, ...]
    bar: Bar


def plate_of(canvas: AnyArray, layout: Layout, alt: str, names: tuple[str, ...], shown_px: int = 780) -> Plate:
    """A plate of a canvas (height, width, 3) uint8.

    Parameters
    ----------
    names : what is written on each pane.
    shown_px : about how wide the page shows it.
    """
    marks = tuple(
        Mark(
            100 * pane.left / layout.width,
            100 * pane.top / layout.height,
            _fitting(name, shown_px * pane.width / layout.width),
        )
        for pane, name in zip(layout.panes, names, strict=True)
    )
    return Plate(png_uri(canvas), layout.width, layout.height, alt, marks, _bar(layout))


def plane_names(layout: Layout, grid: Grid, cut: Shape3) -> tuple[str, ...]:
    """For each pane its axes, and where along the third axis it lies, counted from the first voxel."""
    axis = {"xy": (0, "z"), "xz": (1, "y"), "zy": (2, "x")}
    out = []
    for pane in layout.panes:
        i, letter = axis[pane.name]
        out.append(f"{pane.name} · {letter} = {_position(cut[i] * grid.spacing_um[i])}")
    return tuple(out)


def png_uri(canvas: AnyArray) -> str:
    """A ``data:`` address of a PNG: 8-bit grey when all three colours agree, else RGB at 7 bits a colour."""
    if np.array_equal(canvas[..., 0], canvas[..., 1]) and np.array_equal(canvas[..., 0], canvas[..., 2]):
        image = Image.fromarray(np.ascontiguousarray(canvas[..., 0]))
    else:
        image = Image.fromarray(_coarser(canvas))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _coarser(canvas: AnyArray) -> AnyArray:
    """128 steps a colour, 0 and 255 kept: not seen on a screen, and a third fewer bytes."""
    steps = np.rint(np.rint(np.arange(256) / 255 * 127) * (255 / 127)).astype(np.uint8)
    return np.asarray(steps[canvas])


def _bar(layout: Layout) -> Bar:
    first = layout.panes[0]
    length = nice_length(0.28 * first.width * layout.um_per_px)
    return Bar(
        right=100 * (1 - (first.left + first.width) / layout.width),
        bottom=100 * (1 - (first.top + first.height) / layout.height),
        width=100 * length / layout.um_per_px / layout.width,
        text=length_text(length),
    )


def _fitting(name: str, shown_px: float) -> str:
    return name if shown_px > _LONG_NAME else name.split(" · ")[0]


def _position(um: float) -> str:
    return length_text(round(um, 1 if um < 100 else 0)) if um < 1000 else f"{um / 1000:.2f} mm"
