"""What a template needs to show a section: figures with their badge, tables, advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.report.drawing import Drawing
from experiments.report.plate import Plate
from experiments.report.quantities import Row
from experiments.report.sections import Origin


@dataclass(frozen=True)
class Badge:
    """The badge of a figure: real, simulated or mixed, and in words what that rests on."""

    origin: Origin
    note: str


@dataclass(frozen=True)
class Named:
    """A picture or drawing under its own small heading."""

    name: str
    picture: Plate | Drawing
    detail: str = ""


@dataclass(frozen=True)
class Swipe:
    """Before and after under a slider, in one or more modes (overlay, checkerboard)."""

    id: str
    caption: str
    badge: Badge
    modes: tuple[tuple[str, Plate, Plate], ...]


@dataclass(frozen=True)
class Flip:
    """One picture of several at a time, chosen by a slider: the frames of a movie."""

    id: str
    caption: str
    badge: Badge
    frames: tuple[Named, ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side."""

    id: str
    caption: str
    badge: Badge
    pictures: tuple[Named, ...]


@dataclass(frozen=True)
class Sketch:
    """One drawing, with the time colours beneath it where ``frames`` says from which frame to which."""

    id: str
    caption: str
    badge: Badge
    drawing: Drawing
    frames: tuple[str, str] | None = None


Figure = Swipe | Flip | Gallery | Sketch


@dataclass(frozen=True)
class Table:
    """Rows of name, value and unit under a small heading."""

    heading: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Share:
    """One bar of a comparison: a share between 0 and 1, and how it is written."""

    name: str
    share: float
    text: str
    ours: bool = False


@dataclass(frozen=True)
class Comparison:
    """Groups of bars under a small heading."""

    heading: str
    groups: tuple[tuple[str, tuple[Share, ...]], ...]
    note: str = ""


@dataclass(frozen=True)
class KeyFigure:
    """One of the large numbers at the top, linked to its section."""

    value: str
    unit: str
    label: str
    anchor: str
    badge: Badge


@dataclass(frozen=True)
class SectionView:
    """A section as the template shows it.

    Parameters
    ----------
    anchor : its id in the page.
    kind : "Registration", "Fusion", "Segmentation", "Tracking" or "Evaluation".
    figures : ``wide`` ones take the page's whole width, the first stands beside the tables.
    status : of a registration; "" for the rest.
    """

    anchor: str
    kind: str
    name: str
    lead: str
    figures: tuple[Figure, ...]
    wide: tuple[Figure, ...]
    tables: tuple[Table | Comparison, ...]
    advice: tuple[str, ...]
    key_figures: tuple[KeyFigure, ...]
    status: str = ""
    advice_heading: str = "What to try"


def first_known(rows: Sequence[Row], words: Sequence[str]) -> Row | None:
    """The first row whose name holds all the words of one of ``words``, in the order of ``words``."""
    for wanted in words:
        for row in rows:
            if all(word in row.name.lower() for word in wanted.split()):
                return row
    return None
