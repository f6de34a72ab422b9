"""What readers of cells and links share: lengths in µm, parents from pairs of ids, and the file in an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.tracks import Tracks
from volumes.errors import TableError, UnitError

UM_PER_UNIT = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
}
"""Micrometres in each length unit that such files speak of."""
PIXELS = ("pixel", "pixels", "px", "voxel", "voxels")


def scaled_um(
    unit: str | None, spacing_um: Sequence[float] | None, path: str | Path, field: str
) -> NDArray[np.float64]:
    """(3,) µm in one unit of the file along z, y, x.

    Parameters
    ----------
    unit : what the file says, None where it says nothing.
    spacing_um : (z, y, x) µm of a voxel, needed where the file counts voxels or says nothing.
    path, field : where the unit stands, for errors.

    Raises
    ------
    UnitError : a unit that is not known, voxels of no stated size, or a size for what is a length already.
    """
    length = UM_PER_UNIT.get((unit or "").strip().lower())
    if length is not None:
        if spacing_um is not None:
            raise UnitError(
                "states a length, so a voxel size would count twice",
                file=path,
                field=field,
                value=unit,
                remedy="Leave spacing_um out",
            )
        return np.full(3, length)
    if unit and unit.strip().lower() not in PIXELS:
        raise UnitError("is no known length", file=path, field=field, value=unit, remedy="Use µm, or pixel")
    if spacing_um is None:
        raise UnitError(
            "positions are in voxels of a size that the file does not say",
            file=path,
            field="spacing_um",
            value=unit,
            remedy="State spacing_um=(z, y, x), µm",
        )
    spacing = np.asarray(spacing_um, dtype=np.float64)
    if spacing.shape != (3,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise UnitError("needs three lengths above zero", file=path, field="spacing_um", value=tuple(spacing_um))
    return spacing


class Link(NamedTuple):
    """Two linked cells by id, how far the link can be trusted, and the id of the cell that one merged into between."""

    one: int
    other: int
    confidence: float = float("nan")
    merged_into: int = -1


def tracks_of_links(cells: Detections, links: Sequence[Link], path: str | Path) -> Tracks:
    """Tracks from links; the earlier of a pair is the parent, however it was written.

    Raises
    ------
    TableError : a link to an id that no cell has, inside one frame, or to a second parent; or more than two children.
    """
    row = {int(own): place for place, own in enumerate(cells.id)}
    parent = np.full(len(cells), -1, dtype=np.int64)
    confidence, merged = np.full(len(cells), np.nan), np.full(len(cells), -1, dtype=np.int64)
    for a, b, trust, into in links:
        lost = next((own for own in (a, b, *([into] if into != -1 else [])) if own not in row), None)
        if lost is not None:
            raise TableError(f"the link {a} → {b} names a cell that is not there", file=path, field="id", value=lost)
        early, late = sorted((row[a], row[b]), key=lambda place: int(cells.t[place]))
        if parent[late] not in (-1, early):
            raise TableError(
                f"the link {a} → {b} gives a cell its second parent",
                file=path,
                field="id",
                value=int(cells.id[late]),
                remedy="Undo the merge: a cell has one parent",
            )
        parent[late], confidence[late], merged[late] = early, trust, row.get(into, -1)
    known = None if np.isnan(confidence).all() else confidence
    try:
        return Tracks(cells, parent, known, merged if (merged >= 0).any() else None)
    except TableError as error:
        raise in_file(error, path) from error


def in_file(error: TableError, path: str | Path) -> TableError:
    """The same error with the file that it was found in."""
    return TableError(error.problem, file=path, field=error.field, value=error.value, remedy=error.remedy)
