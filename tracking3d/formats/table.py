"""CSV tables of detections and tracks, plain or gzipped; lengths in µm inside, in a stated unit in the file."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracking3d.detections import Detections
from tracking3d.formats.linked import in_file
from tracking3d.formats.rows import feature, need, numbers, read_rows, whole_numbers
from tracking3d.tracks import Tracks
from volumes.atomic import replacing_file
from volumes.errors import TableError, UnitError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

UM_PER = {"um": 1.0, "µm": 1.0, "micrometer": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Micrometres in each length unit that a table may be in."""
NEEDED = ("t", "z", "y", "x")
ADDED = ("track_id", "parent")
"""Columns that tracks add to the table of their detections."""
MERGED = "merged_into"
"""Column that they add where cells were merged: the 0-based row of the detection, −1 for none."""
CHOSEN = "chosen"
"""Column that they add where hypotheses competed: 1 where the row is a cell, 0 where another was chosen."""


def read_detections(path: str | Path, unit: str = "um", dt_s: float | None = None) -> Detections:
    """Detections from a CSV table with the columns t, z, y, x and, where there are, id and volume or radius.

    Every further column is kept as a feature, but ``track_id`` and ``parent``, which belong to tracks. A radius gives
    the volume of its ball; an empty volume is unknown. Frames may come in any order.

    Parameters
    ----------
    path : ``.csv`` or ``.csv.gz``.
    unit : of z, y, x and radius; of the volume its cube.
    dt_s : seconds from one frame to the next, where known.

    Raises
    ------
    TableError : a missing column; a frame that is not a whole number; a coordinate that is no finite number; a row
        that repeats another's frame and position: with the file, the column and the 0-based row number.
    UnitError : a unit that is not known.
    """
    return detections_of_rows(read_rows(path), path, unit, dt_s)


def read_tracks(path: str | Path, unit: str = "um", dt_s: float | None = None) -> Tracks:
    """Tracks from a CSV table with a column ``parent``, or from a ``.geff`` folder (which states its own units).

    Raises
    ------
    TableError : as :func:`read_detections`, or parents that break the rules of :class:`tracking3d.tracks.Tracks`.
    """
    if Path(path).suffix == ".geff":
        from tracking3d.formats.geff import read_geff

        return read_geff(path)
    rows = read_rows(path)
    cells, parent = detections_of_rows(rows, path, unit, dt_s), _parents(rows, path)
    merged = whole_numbers(rows, MERGED, path, "Give row numbers, −1 for none") if MERGED in rows else None
    chosen = whole_numbers(rows, CHOSEN, path, "Give 0 or 1") > 0 if CHOSEN in rows else None
    return _tracks(cells, parent, path, merged, chosen)


def read_parents(path: str | Path, detections: Detections) -> NDArray[np.int64]:
    """The parents (n,) of a written table of tracks, row by row of these detections.

    Raises
    ------
    TableError : the table has no ``parent``, or another number of rows.
    """
    parent = _parents(read_rows(path), path)
    if len(parent) != len(detections):
        raise TableError(f"has {len(parent)} rows, the detections {len(detections)}", file=path, field="parent")
    return _tracks(detections, parent, path).parent


def write_detections(detections: Detections, path: str | Path) -> None:
    """Write id, t, z, y, x (µm), volume (µm³) and the features as ``.csv`` or ``.csv.gz``, replaced at once."""
    write_frame(detections.as_frame(), Path(path))


def write_tracks_csv(tracks: Tracks, path: str | Path, source_rows: pd.DataFrame | None = None) -> None:
    """Write one row a detection, in their order, with ``track_id`` and ``parent`` (0-based row, −1 at a root) added.

    Where cells were merged, ``merged_into`` stands beside them; where hypotheses competed, ``chosen``.

    Parameters
    ----------
    tracks : what to write.
    path : ``.csv`` or ``.csv.gz``, replaced at once.
    source_rows : the rows of :func:`tracking3d.formats.rows.read_rows` that the detections came from, written as they
        are. A column that already has one of the added names stays, as ``source_track_id`` or ``source_parent``.

    Raises
    ------
    TableError : as many source rows as there are detections are needed.
    """
    table = tracks.detections.as_frame() if source_rows is None else _renamed(source_rows)
    if len(table) != len(tracks):
        raise TableError(f"has {len(table)} rows, the tracks {len(tracks)}", field="source_rows")
    write_frame(tracks.added_to(table), Path(path))


def write_linked_rows(tracks: Tracks, source: str | Path, path: str | Path) -> None:
    """:func:`write_tracks_csv` with the rows of the file ``source`` that the detections were read from."""
    write_tracks_csv(tracks, path, read_rows(source))


def detections_of_rows(rows: pd.DataFrame, path: str | Path, unit: str, dt_s: float | None) -> Detections:
    """Detections from rows as they are written; parameters and errors as of :func:`read_detections`."""
    if unit not in UM_PER:
        raise UnitError("is no known length", file=path, field="unit", value=unit, remedy=f"Use one of {[*UM_PER]}")
    need(rows, NEEDED, path)
    t = whole_numbers(rows, "t", path, "Count frames 0, 1, 2, …; give seconds per frame apart")
    zyx = np.column_stack([numbers(rows, axis, path) for axis in "zyx"])
    _refuse_repeated(rows, t, zyx, path)
    used = {*NEEDED, *ADDED, MERGED, CHOSEN, "id", "volume"}
    features = {str(name): feature(rows[name]) for name in rows if name not in used}
    ids = whole_numbers(rows, "id", path, "Rename the column") if "id" in rows else None
    try:
        return Detections.of(t, zyx * UM_PER[unit], _volume(rows, path) * UM_PER[unit] ** 3, features, dt_s, ids)
    except TableError as error:
        raise in_file(error, path) from error


def _tracks(
    detections: Detections,
    parent: NDArray[np.int64],
    path: str | Path,
    merged_into: NDArray[np.int64] | None = None,
    chosen: NDArray[np.bool_] | None = None,
) -> Tracks:
    try:
        return Tracks(detections, parent, None, merged_into, chosen)
    except TableError as error:
        raise in_file(error, path) from error


def _parents(rows: pd.DataFrame, path: str | Path) -> NDArray[np.int64]:
    need(rows, ["parent"], path)
    return whole_numbers(rows, "parent", path, "Give row numbers, −1 at a root")


def _volume(rows: pd.DataFrame, path: str | Path) -> NDArray[np.float64]:
    """Volumes in the cubed unit of the file: as given, or of balls of the given radius, or unknown."""
    if "volume" in rows:
        return numbers(rows, "volume", path, unknown=True)
    if "radius" in rows:
        return 4 / 3 * np.pi * numbers(rows, "radius", path, unknown=True) ** 3
    return np.full(len(rows), np.nan)


def _refuse_repeated(rows: pd.DataFrame, t: NDArray[np.int64], zyx: NDArray[np.float64], path: str | Path) -> None:
    again = rows[["t"]].assign(t=t, z=zyx[:, 0], y=zyx[:, 1], x=zyx[:, 2]).duplicated().to_numpy()
    if again.any():
        row = int(np.flatnonzero(again)[0])
        raise TableError(
            f"row {row} repeats the frame and position of an earlier row",
            file=path,
            field="t, z, y, x",
            value=(int(t[row]), *zyx[row].tolist()),
            remedy="Drop the repeated row",
        )


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    taken = {name: f"source_{name}" for name in (*ADDED, MERGED, CHOSEN) if name in rows}
    if taken:
        log.warning("the input's columns %s are kept as %s", [*taken], [*taken.values()])
    return rows.rename(columns=taken)


def write_frame(table: pd.DataFrame, path: Path) -> None:
    """Write a table as ``.csv`` or ``.csv.gz``, replaced at once; equal tables give equal bytes."""
    text = table.to_csv(index=False, lineterminator="\n").encode()
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        if path.suffix != ".gz":
            file.write(text)
            return
        # Neither a name nor a time inside, so that equal tables make equal files.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            packed.write(text)
