"""What each rule did, counted."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class LiteralReport:
    """Candidate links and what became of them.

    Parameters
    ----------
    diameter_um : D̄, µm; NaN where no rule needs it.
    candidates : pairs of cells of one frame and the next within the longer of the two distances.
    distance : of these, refused in the first pass as too far.
    size : refused since the size changes too much.
    neighbours : passed over, though nearer, for one whose number of neighbours stays.
    turning : refused since the path would turn too sharply.
    relaxed : links that the relaxed pass made.
    undone : links undone by backtracking, each to lead a track another way.
    abnormal : detections taken for merged cells.
    splits : detections that were split.
    links : links in the end.
    """

    diameter_um: float
    candidates: int = 0
    distance: int = 0
    size: int = 0
    neighbours: int = 0
    turning: int = 0
    relaxed: int = 0
    undone: int = 0
    abnormal: int = 0
    splits: int = 0
    links: int = 0

    def __str__(self) -> str:
        """All of it in one line."""
        counts = (f"{field.name} {getattr(self, field.name)}" for field in fields(self)[1:])
        return f"mean diameter {self.diameter_um:.2f} µm; {', '.join(counts)}"
