"""How a registration is shown: before and after under a slider, figures of quality, the error against the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.report.overlay import Colour, tinted_checkerboard, two_colours
from experiments.report.planes import Layout, Pane, centre_of, composed, fitted, layout_of, plane
from experiments.report.plate import Plate, plane_names, plate_of
from experiments.report.quantities import Row, number_text, rows_of
from experiments.report.sections import Cell, RegistrationSection, TruthError
from experiments.report.views import Badge, KeyFigure, SectionView, Swipe, Table
from experiments.report.window import Unit, Window, window_of
from volumes.shapes import AnyArray, Shape3
from volumes.volume import Volume

WIDEST = 820
SQUARES = 9
"""Squares of the checkerboard along the longer side of the largest plane."""
LEAD = {
    "good": "The checks that follow every registration passed.",
    "doubtful": "The result may be wrong: compare the pictures before you use it.",
    "failed": "The result must not be used.",
}
QUALITY = {
    "similarity_before": "normalised mutual information, before",
    "similarity_after": "normalised mutual information, after",
    "similarity_chance": "normalised mutual information, by chance",
    "overlap": "overlap, share of the smaller specimen",
    "rotation_deg": "rotation (°)",
    "shift_um": "shift at the middle of the field (µm)",
    "jacobian_min": "change of volume, least factor",
    "jacobian_max": "change of volume, largest factor",
    "spread_um": "uncertainty: distance of other results nearly as good (µm)",
    "evaluations": "evaluations of the similarity",
    "folded_fraction": "share of the voxels where space is folded",
    "cycle_um": "distance after going there and back by another way (µm)",
    "halves_um": "distance of what either half of the specimen comes to alone (µm)",
    "fiducial_um": "root mean square distance at the landmarks (µm)",
    "dispute_um": "distance from the result without the mask (µm)",
}
"""Names for the reader; a figure that is not among them keeps its own."""
Blend = Callable[[Unit, Unit], Colour]


def registration_view(section: RegistrationSection, anchor: str) -> SectionView:
    """The section as the template shows it."""
    badge = Badge(section.origin, section.origin_note)
    tables = [Table("Quality", quality_rows(section.quality))] if section.quality else []
    if section.truth_error_um:
        tables.insert(0, _truth_table(section.truth_error_um))
    return SectionView(
        anchor=anchor,
        kind="Registration",
        name=section.name,
        lead=LEAD[section.status],
        figures=(_swipe(section, anchor, badge),),
        wide=(),
        tables=tuple(tables),
        advice=section.reasons,
        key_figures=_key_figures(section, anchor, badge),
        status=section.status,
        advice_heading="What to try" if section.status == "doubtful" else "Why, and what to try",
    )


def quality_rows(quality: Mapping[str, float]) -> tuple[Row, ...]:
    """The figures of quality under readable names; mutual information, near 1 throughout, with four decimals."""
    table: dict[str, Cell] = {
        QUALITY.get(key, key): f"{value:.4f}" if key.startswith("similarity_") else value
        for key, value in quality.items()
    }
    return rows_of(table)


def overlay_canvases(section: RegistrationSection, layout: Layout) -> tuple[AnyArray, AnyArray]:
    """The colour overlay before and after, as canvases (height, width, 3) uint8."""
    cut, windows = centre_of(section.fixed), _windows(section)
    before = composed(layout, _painter(section.fixed, section.before, cut, windows, two_colours))
    return before, composed(layout, _painter(section.fixed, section.after, cut, windows, two_colours))


def _swipe(section: RegistrationSection, anchor: str, badge: Badge) -> Swipe:
    layout, cut = layout_of(section.fixed.grid, WIDEST), centre_of(section.fixed)
    size = max(8, max(layout.panes[0].width, layout.panes[0].height) // SQUARES)
    blends: Mapping[str, Blend] = {
        "Colour overlay": two_colours,
        "Checkerboard": lambda fixed, moving: tinted_checkerboard(fixed, moving, size),
    }

    def drawn(name: str, when: str) -> Plate:
        return _plate(section, name, blends[name], when, layout, cut)

    caption = (
        "Fixed in orange, moving in blue; where both are bright the overlay is white. "
        "Planes through the centre of mass of the fixed volume's foreground, all at one physical scale."
    )
    return Swipe(f"{anchor}-swipe", caption, badge, tuple((n, drawn(n, "before"), drawn(n, "after")) for n in blends))


def _plate(section: RegistrationSection, name: str, blend: Blend, when: str, layout: Layout, cut: Shape3) -> Plate:
    moving = section.before if when == "before" else section.after
    canvas = composed(layout, _painter(section.fixed, moving, cut, _windows(section), blend))
    alt = f"{name} {when} registration of {section.name}: planes {', '.join(p.name for p in layout.panes)}"
    return plate_of(canvas, layout, alt, plane_names(layout, section.fixed.grid, cut))


def _windows(section: RegistrationSection) -> tuple[Window, Window]:
    """One for the fixed and one for the moving volume; the moving one's is that of ``before`` on both sides."""
    moving = window_of(section.before)
    return window_of(section.fixed), moving if moving.high > moving.low else window_of(section.after)


def _painter(
    fixed: Volume, moving: Volume, cut: Shape3, windows: tuple[Window, Window], blend: Blend
) -> Callable[[Pane], Colour]:
    def draw(pane: Pane) -> Colour:
        pair = [
            window(fitted(plane(volume, pane.name, cut), pane))
            for volume, window in zip((fixed, moving), windows, strict=True)
        ]
        return blend(pair[0], pair[1])

    return draw


def _truth_table(error: TruthError) -> Table:
    rows = (
        Row("mean, before", number_text(error.before_mean_um), "µm"),
        Row("mean, after", number_text(error.mean_um), "µm"),
        Row("median, after", number_text(error.median_um), "µm"),
        Row("largest, after", number_text(error.max_um), "µm"),
        Row("points compared", number_text(error.points)),
    )
    return Table("Error against the truth", rows, error.note)


def _key_figures(section: RegistrationSection, anchor: str, badge: Badge) -> tuple[KeyFigure, ...]:
    error = section.truth_error_um
    if error:
        caveat = "" if section.status == "good" else f" ({section.status})"
        label = f"mean registration error{caveat}, from {number_text(error.before_mean_um, 2)}\u202fµm before"
        return (KeyFigure(number_text(error.mean_um, 2), "µm", label, anchor, badge),)
    return (KeyFigure(section.status, "", f"registration: {section.name}", anchor, badge),)
