"""How a segmentation is shown: each cell's outline over the image, frame by frame for a movie."""

from __future__ import annotations

import numpy as np

from experiments.report.overlay import Colour, outlined
from experiments.report.planes import (
    Layout,
    Pane,
    brightest,
    centre_of,
    composed,
    fitted,
    layout_of,
    plane,
    seen_from_above,
)
from experiments.report.plate import plane_names, plate_of
from experiments.report.quantities import number_text, rows_of, seconds_text
from experiments.report.sections import Picture, SegmentationSection
from experiments.report.views import Badge, Flip, KeyFigure, Named, SectionView, Table
from experiments.report.window import Window, joint_window
from volumes.shapes import AnyArray, Shape3
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

WIDEST = 820
MOST_FRAMES = 8
LINE = 2
"""Pixels of an outline."""


def segmentation_view(section: SegmentationSection, anchor: str) -> SectionView:
    """The section as the template shows it."""
    badge = Badge(section.origin, section.origin_note)
    frames = f" over {len(section.image)} frames" if isinstance(section.image, TimeLapse) else ""
    key = KeyFigure(number_text(section.cells), "", f"cells found{frames}", anchor, badge)
    return SectionView(
        anchor=anchor,
        kind="Segmentation",
        name=section.name,
        lead=f"{number_text(section.cells)} cells{frames}.",
        figures=(_flip(section, anchor, badge),),
        wide=(),
        tables=(Table("Cells", rows_of(section.table)),) if section.table else (),
        advice=section.advice,
        key_figures=(key,),
    )


def shown_frames(picture: Picture, most: int = MOST_FRAMES) -> list[int]:
    """Evenly spaced frames of a movie, first and last among them; [0] for a volume."""
    count = len(picture) if isinstance(picture, TimeLapse) else 1
    spaced = np.rint(np.linspace(0, count - 1, min(most, count)))
    return sorted({int(frame) for frame in spaced})


def frame_of(picture: Picture, frame: int) -> Volume:
    """A movie's frame; a volume is its own only frame."""
    return picture[frame] if isinstance(picture, TimeLapse) else picture


def middle_canvas(section: SegmentationSection, layout: Layout) -> AnyArray:
    """The outlines over the middle frame, as a canvas (height, width, 3) uint8."""
    numbers = shown_frames(section.image)
    middle = numbers[len(numbers) // 2]
    image = frame_of(section.image, middle)
    return _canvas(image, frame_of(section.labels, middle), layout, centre_of(image), joint_window([image]))


def _flip(section: SegmentationSection, anchor: str, badge: Badge) -> Flip:
    numbers = shown_frames(section.image)
    middle = frame_of(section.image, numbers[len(numbers) // 2])
    layout, cut = layout_of(section.image.grid, WIDEST), centre_of(middle)
    window = joint_window(frame_of(section.image, n) for n in numbers)
    frames = tuple(_frame(section, n, layout, cut, window) for n in numbers)
    flat = len(layout.panes) == 1
    above = "" if flat else "xy shows the brightest voxel along z, xz and zy a plane each. "
    alike = "all planes" if len(frames) == 1 else "all planes and frames"
    caption = f"{above}The outline of each cell has its label’s colour, the same in {alike}."
    return Flip(f"{anchor}-cells", caption, badge, frames)


def _frame(section: SegmentationSection, number: int, layout: Layout, cut: Shape3, window: Window) -> Named:
    image, labels = frame_of(section.image, number), frame_of(section.labels, number)
    names = plane_names(layout, image.grid, cut)
    if len(names) > 1:
        names = ("xy · brightest along z", *names[1:])
    movie = isinstance(section.image, TimeLapse)
    name = f"frame {number}" if movie else ""
    alt = f"Outlines of the cells of {section.name}{f', {name}' if movie else ''}"
    plate = plate_of(_canvas(image, labels, layout, cut, window), layout, alt, names)
    return Named(name, plate, seconds_text(image.time_s) if movie else "")


def _canvas(image: Volume, labels: Volume, layout: Layout, cut: Shape3, window: Window) -> AnyArray:
    def draw(pane: Pane) -> Colour:
        over, cells = _planes(image, labels, pane, cut)
        return outlined(0.85 * window(fitted(over, pane)), fitted(cells, pane, nearest=True), LINE)

    return composed(layout, draw)


def _planes(image: Volume, labels: Volume, pane: Pane, cut: Shape3) -> tuple[AnyArray, AnyArray]:
    if pane.name == "xy":
        return brightest(image), seen_from_above(labels)
    return plane(image, pane.name, cut), plane(labels, pane.name, cut)
