"""One wide picture of a whole run: before, aligned, fused, and the tracks with their lineage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from experiments.report.drawing import time_colour
from experiments.report.fusion_view import fused_canvas
from experiments.report.lineage import branches_of, largest, placed
from experiments.report.planes import Layout, layout_of
from experiments.report.quantities import length_text, nice_length, number_text
from experiments.report.registration_view import overlay_canvases
from experiments.report.sections import (
    FusionSection,
    Origin,
    RegistrationSection,
    Report,
    Section,
    SegmentationSection,
    TrackingSection,
)
from experiments.report.segmentation_view import middle_canvas
from experiments.report.tracks_plot import edges_of

WIDTH, HEIGHT = 1600, 420
_FINE = 2
"""Drawn this many times larger and reduced, so that thin lines are smooth."""
_GROUND, _CARD, _INK, _SOFT = "#0b0d12", "#12151c", "#f1f2f4", "#a4abb8"
_BADGE: dict[Origin, tuple[str, str]] = {
    "real": ("#5fd39b", "real data"),
    "simulated": ("#ff9d4d", "simulated"),
    "mixed": ("#6ea8ff", "mixed: real and simulated"),
}
_GAP, _PAD, _ROOM_TOP, _ROOM_HIGH = 12, 16, 90, 272
_WIDE = (WIDTH - 5 * _GAP) // 4
_ROOM = _WIDE - 2 * _PAD
_INNER, _PICTURE_HIGH = _ROOM - 20, _ROOM_HIGH - 20
_MOST_EDGES, _MOST_LEAVES = 20_000, 72


@dataclass(frozen=True)
class _Panel:
    """A card: title, the figure beneath it, the picture (at the fine scale) and the badge."""

    title: str
    figure: str
    picture: Image.Image
    origin: Origin


def draw_overview(report: Report) -> Image.Image:
    """The picture, RGB: the first section of each kind; four panels when there is a registration, fusion and tracks.

    A run without some of them has fewer panels, filled up with a segmentation; the picture stays as wide.
    """
    panels = list(_panels(report))[:4]
    canvas = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), _GROUND)
    pen = ImageDraw.Draw(canvas)
    left = (WIDTH - len(panels) * (_WIDE + _GAP) + _GAP) / 2
    if not panels:
        pen.text((WIDTH, HEIGHT), report.title, _INK, _font(30), anchor="mm")
    for number, panel in enumerate(panels):
        _card(canvas, pen, panel, number, left + number * (_WIDE + _GAP))
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _panels(report: Report) -> Iterator[_Panel]:
    first: dict[type[Section], Section] = {}
    for section in report.sections:
        first.setdefault(type(section), section)
    registration, fusion = first.get(RegistrationSection), first.get(FusionSection)
    tracking, cells = first.get(TrackingSection), first.get(SegmentationSection)
    if isinstance(registration, RegistrationSection):
        yield from _registration_panels(registration)
    if isinstance(fusion, FusionSection):
        yield _fusion_panel(fusion)
    if isinstance(tracking, TrackingSection):
        yield _tracking_panel(tracking)
    if isinstance(cells, SegmentationSection):
        layout = layout_of(cells.image.grid, _INNER * _FINE, _PICTURE_HIGH * _FINE)
        picture = _with_bar(middle_canvas(cells, layout), layout)
        yield _Panel("Cells", f"{number_text(cells.cells)} found", picture, cells.origin)


def _registration_panels(section: RegistrationSection) -> Iterator[_Panel]:
    layout = layout_of(section.fixed.grid, _INNER * _FINE, _PICTURE_HIGH * _FINE)
    error = section.truth_error_um
    figures = (f"{number_text(v, 2)} µm off" for v in (error.before_mean_um, error.mean_um)) if error else ("", "")
    titles = ("Before alignment", "Aligned" if section.status == "good" else f"Alignment {section.status}")
    for title, figure, canvas in zip(titles, figures, overlay_canvases(section, layout), strict=True):
        yield _Panel(title, figure, _with_bar(canvas, layout), section.origin)


def _fusion_panel(section: FusionSection) -> _Panel:
    layout = layout_of(section.fused.grid, _INNER * _FINE, _PICTURE_HIGH * _FINE)
    figure = f"{len(section.sources)} sources in one volume"
    return _Panel("Fused", figure, _with_bar(fused_canvas(section, layout), layout), section.origin)


def _tracking_panel(section: TrackingSection) -> _Panel:
    """Positions from above on the left, the largest lineages on the right."""
    size = (_INNER * _FINE, _PICTURE_HIGH * _FINE)
    picture = Image.new("RGB", size, "#000000")
    pen = ImageDraw.Draw(picture)
    half = size[0] // 2
    branches = branches_of(section.t, section.parent)
    _draw_tracks(pen, section, (half - 8 * _FINE, size[1]))
    _draw_tree(pen, section, (half + 8 * _FINE, size[0]), size[1])
    figure = f"{number_text(len(branches.roots))} lineages, {number_text(branches.divisions)} divisions"
    return _Panel("Followed", figure, picture, section.origin)


def _draw_tracks(pen: ImageDraw.ImageDraw, section: TrackingSection, room: tuple[int, int]) -> None:
    edges = edges_of(section)
    if not len(edges):
        return
    edges = edges[np.argsort(section.t[edges[:, 1]], kind="stable")][:: 1 + len(edges) // _MOST_EDGES]
    plane = np.asarray(section.zyx_um, np.float64)[:, [2, 1]]
    low, extent = plane.min(0), np.maximum(np.ptp(plane, axis=0), 1e-9)
    scale = min((n - 6) / e for n, e in zip(room, extent, strict=True))
    place = (plane - low) * scale + (np.asarray(room) - extent * scale) / 2
    share = _shares(section)
    for start, end in edges.tolist():
        pen.line([*place[start], *place[end]], time_colour(share[end]), _FINE)


def _draw_tree(pen: ImageDraw.ImageDraw, section: TrackingSection, across: tuple[int, int], high: int) -> None:
    branches = branches_of(section.t, section.parent)
    if not len(branches.parent):
        return
    forest = placed(branches, largest(branches, _MOST_LEAVES))
    frames = int(branches.first.min()), max(1, int(branches.last.max() - branches.first.min()))
    x = dict(zip(forest.branches.tolist(), (forest.across + 0.5) / max(1, forest.leaves), strict=True))
    for n, share in x.items():
        above = int(branches.parent[n])
        start = branches.first[n] if above < 0 else branches.last[above]
        top, bottom = ((int(f) - frames[0]) / frames[1] for f in (start, branches.last[n]))
        at = across[0] + share * (across[1] - across[0])
        if above >= 0:
            from_x = across[0] + x[above] * (across[1] - across[0])
            pen.line([from_x, top * high, at, top * high], time_colour(top), _FINE)
        steps = np.linspace(top, bottom, max(2, round(24 * (bottom - top)) + 1))
        for a, b in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
            pen.line([at, a * high, at, b * high], time_colour((a + b) / 2), _FINE)


def _shares(section: TrackingSection) -> list[float]:
    """How far along the movie each detection lies, 0 to 1."""
    t: NDArray[np.float64] = np.asarray(section.t, np.float64)
    return list(((t - t.min()) / max(1.0, float(np.ptp(t)))).tolist())


def _with_bar(canvas: NDArray[np.uint8], layout: Layout) -> Image.Image:
    """The planes with a scale bar in the first of them."""
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    pane = layout.panes[0]
    length = nice_length(0.3 * pane.width * layout.um_per_px)
    right, bottom = pane.left + pane.width - 7 * _FINE, pane.top + pane.height - 7 * _FINE
    left = right - length / layout.um_per_px
    pen.line([left, bottom, right, bottom], "#ffffff", 3 * _FINE)
    above = (right, bottom - 6 * _FINE)
    pen.text(above, length_text(length), "#ffffff", _font(16), anchor="rb", stroke_width=2, stroke_fill="#000000")
    return picture


def _card(canvas: Image.Image, pen: ImageDraw.ImageDraw, panel: _Panel, number: int, left: float) -> None:
    x, top, bottom = left * _FINE, _GAP * _FINE, (HEIGHT - _GAP) * _FINE
    pen.rounded_rectangle([x, top, x + _WIDE * _FINE, bottom], 12 * _FINE, _CARD)
    inner = x + _PAD * _FINE
    pen.text((inner, 22 * _FINE), panel.title, _INK, _font(25, bold=True))
    pen.text((inner, 56 * _FINE), panel.figure, _SOFT, _font(20))
    wide, high, down = _ROOM * _FINE, _ROOM_HIGH * _FINE, _ROOM_TOP * _FINE
    pen.rounded_rectangle([inner, down, inner + wide, down + high], 8 * _FINE, "#000000")
    picture = panel.picture
    canvas.paste(picture, (round(inner + (wide - picture.width) / 2), round(down + (high - picture.height) / 2)))
    colour, words = _BADGE[panel.origin]
    middle = (HEIGHT - _GAP - 24) * _FINE
    dot = [inner, middle - 6 * _FINE, inner + 12 * _FINE, middle + 6 * _FINE]
    pen.ellipse(dot, None if panel.origin == "simulated" else colour, colour, 2 * _FINE)
    pen.text((inner + 20 * _FINE, middle), words, colour, _font(18), anchor="lm")
    pen.text((x + (_WIDE - _PAD) * _FINE, middle), str(number + 1), _SOFT, _font(18), anchor="rm")


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries, so that every machine draws the same."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size * _FINE)
