"""How a fusion is shown: the sources beside the fused volume, and what each method keeps of their edges."""

from __future__ import annotations

import numpy as np

from experiments.report.detail import Detail, detail_layout, detail_of
from experiments.report.overlay import Colour, grey
from experiments.report.planes import Layout, Pane, centre_of, composed, fitted, layout_of, plane
from experiments.report.plate import plane_names, plate_of
from experiments.report.quantities import Row, number_text
from experiments.report.sections import FusionSection
from experiments.report.views import Badge, Comparison, Gallery, KeyFigure, Named, SectionView, Share, Table
from experiments.report.window import GAMMA, HIGH_PERCENT, LOW_PERCENT, Unit, window_of, window_over
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

WIDEST, SHOWN_PX, DETAIL_PX = 640, 380, 420
BASELINES = ("mean", "max")
"""Methods that are only there to be compared with."""


def fusion_view(section: FusionSection, anchor: str) -> SectionView:
    """The section as the template shows it."""
    badge = Badge(section.origin, section.origin_note)
    tables = [_comparison(section)] if section.edges_kept else []
    scales = tuple(Row(text, "") for text in section.scales)
    return SectionView(
        anchor=anchor,
        kind="Fusion",
        name=section.name,
        lead=f"{len(section.sources)} sources on one grid, brought into one volume.",
        figures=(),
        wide=(_gallery(section, anchor, badge), *_detail(section, anchor, badge)),
        tables=(*tables, *((Table("Units of the fused volume", scales),) if scales else ())),
        advice=(),
        key_figures=_key_figures(section, anchor, badge),
    )


def fused_canvas(section: FusionSection, layout: Layout) -> AnyArray:
    """The fused volume's planes as a canvas (height, width, 3) uint8."""
    return _canvas(section.fused, layout, centre_of(section.fused))


def _volumes(section: FusionSection) -> tuple[tuple[str, Volume], ...]:
    return (*zip(section.source_names, section.sources, strict=True), ("Fused", section.fused))


def _gallery(section: FusionSection, anchor: str, badge: Badge) -> Gallery:
    layout, cut = layout_of(section.fused.grid, WIDEST), centre_of(section.fused)
    names = plane_names(layout, section.fused.grid, cut)
    pictures = []
    for name, volume in _volumes(section):
        alt = f"{name}: planes {', '.join(pane.name for pane in layout.panes)} of {section.name}"
        plate = plate_of(_canvas(volume, layout, cut), layout, alt, names, SHOWN_PX)
        window = window_of(volume)
        shown = f"{volume.modality} · shown {number_text(window.low)} to {number_text(window.high)}"
        pictures.append(Named(name, plate, shown))
    caption = (
        "The same planes of each volume. Contrast by one rule for all: from the "
        f"{LOW_PERCENT:g}st to the {HIGH_PERCENT:g}th percentile of the voxels that hold data."
    )
    return Gallery(f"{anchor}-planes", caption, badge, tuple(pictures))


def _detail(section: FusionSection, anchor: str, badge: Badge) -> tuple[Gallery, ...]:
    """The close look, where the plane is large enough for one."""
    cut = centre_of(section.fused)
    detail = detail_of([*section.sources, section.fused], cut)
    if detail is None:
        return ()
    grid = section.fused.grid
    layout = detail_layout(grid, detail, DETAIL_PX)
    names = plane_names(layout, grid, cut)
    pictures = tuple(
        Named(name, plate_of(_close_canvas(v, layout, cut, detail), layout, f"{name}: close look in xy", names))
        for name, v in _volumes(section)
    )
    caption = (
        "A close look, where the sources and the fused volume hold the most fine structure. "
        "Contrast by the same rule, within the square."
    )
    return (Gallery(f"{anchor}-detail", caption, badge, pictures),)


def _canvas(volume: Volume, layout: Layout, cut: Shape3) -> AnyArray:
    windows = [window_of(volume, c) for c in range(len(volume.channels))]

    def draw(pane: Pane) -> Colour:
        planes = (plane(volume, pane.name, cut, c) for c in range(len(windows)))
        return _blended(volume, [w(fitted(p, pane)) for w, p in zip(windows, planes, strict=True)])

    return composed(layout, draw)


def _close_canvas(volume: Volume, layout: Layout, cut: Shape3, detail: Detail) -> AnyArray:
    gammas = [GAMMA.get(channel.modality, 1.0) for channel in volume.channels]

    def draw(pane: Pane) -> Colour:
        squares = (plane(volume, pane.name, cut, c)[detail.slices] for c in range(len(gammas)))
        return _blended(volume, [window_over(s, g)(fitted(s, pane)) for s, g in zip(squares, gammas, strict=True)])

    return composed(layout, draw)


def _blended(volume: Volume, shown: list[Unit]) -> Colour:
    """One channel in grey; several in their display colours, added up."""
    if len(shown) == 1:
        return grey(shown[0])
    colours = np.asarray([_rgb(channel.colour or "FFFFFF") for channel in volume.channels], np.float32)
    return np.asarray(np.clip(np.stack(shown, -1) @ colours, 0, 1), np.float32)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def _comparison(section: FusionSection) -> Comparison:
    groups = tuple(
        (source, tuple(_share(method, kept[i]) for method, kept in section.edges_kept.items() if i < len(kept)))
        for i, source in enumerate(section.source_names)
    )
    note = "Share of each source's edges that is found again in the result; 1 keeps all of them."
    return Comparison("Edges kept", groups, note)


def _share(method: str, kept: float) -> Share:
    return Share(method, float(np.clip(kept, 0, 1)), number_text(kept), method.lower() not in BASELINES)


def _key_figures(section: FusionSection, anchor: str, badge: Badge) -> tuple[KeyFigure, ...]:
    ours = [(m, kept) for m, kept in section.edges_kept.items() if m.lower() not in BASELINES and len(kept)]
    if not ours:
        return ()
    method, kept = ours[0]
    others = [number_text(float(np.mean(k))) for m, k in section.edges_kept.items() if m.lower() == "mean" and len(k)]
    against = f", {others[0]} by the plain mean" if others else ""
    label = f"of the sources’ edges kept by {method}{against}"
    return (KeyFigure(number_text(float(np.mean(kept))), "", label, anchor, badge),)
