"""The thresholds of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from tracking3d.link.literal.linker import LiteralLinker

Extrema: TypeAlias = Literal["distance", "intensity"]
"""Of what the maxima are taken for cells: the distance to the outside, or the image."""
Measure: TypeAlias = Literal["volume", "area", "surface"]
"""What the size of a cell is: its volume, the area of its projection, or that of its surface."""


class LiteralLinkerConfig(BaseModel):
    """The rules of the review, from one frame to the very next; null switches one off. No cell divides.

    Parameters
    ----------
    diameter_um : D̄, the mean diameter of the cells, µm; None takes the mean of (6 V/π)^⅓.
    distance : longest step, in D̄.
    size : largest change of the size, as a share of the earlier one.
    measure : what the size is.
    neighbours : cells of the same frame within so many D̄ are neighbours; targets with as many are preferred.
    relaxed : longest step, in D̄, of cells that are left over.
    merged : a volume so many times the median of its frame, where a track would end, is that of merged cells.
    extrema : of what the maxima are taken for cells where labels are given to split them: the distance to the outside,
        or the intensity of the image.
    turning_deg : largest angle between two steps in a row, degrees.
    localisation_um : steps shorter than this have no direction, µm; None learns the localisation error.
    backtrack : frames that are gone back, and their links undone, where a turn ends a track.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["literal"] = "literal"
    diameter_um: float | None = Field(None, gt=0, allow_inf_nan=False)
    distance: float | None = Field(0.8, gt=0, allow_inf_nan=False)
    size: float | None = Field(0.15, gt=0, allow_inf_nan=False)
    measure: Measure = "area"
    neighbours: float | None = Field(2.0, gt=0, allow_inf_nan=False)
    relaxed: float | None = Field(1.6, gt=0, allow_inf_nan=False)
    merged: float | None = Field(1.6, gt=1, allow_inf_nan=False)
    extrema: Extrema = "distance"
    turning_deg: float | None = Field(30.0, gt=0, le=180)
    localisation_um: float | None = Field(None, ge=0, allow_inf_nan=False)
    backtrack: int | None = Field(3, ge=1, le=10)

    def build(self) -> LiteralLinker:
        """The linker."""
        from tracking3d.link.literal.linker import LiteralLinker

        return LiteralLinker(self)
