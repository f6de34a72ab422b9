"""Named landmarks from files: CSV tables and the point lists of 3D Slicer; in world (z, y, x) µm inside."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from registration.landmarks.slicer_points import Row, read_fcsv, read_markups
from volumes.atomic import write_text
from volumes.errors import OutputError, TableError, VolumeFileError
from volumes.io.units import length_um
from volumes.shapes import Points

AXES = ("z", "y", "x")
SIDES = ("fixed_", "moving_")
SUFFIXES = ".csv, .fcsv, .mrk.json"


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points with names.

    Parameters
    ----------
    names : n of them, each once.
    points_um : (n, 3), world (z, y, x) µm.

    Raises
    ------
    TableError : no point at all, names that are empty or occur twice, points that are not finite or not as many.
    """

    names: tuple[str, ...]
    points_um: Points

    def __post_init__(self) -> None:
        points = np.array(self.points_um, dtype=np.float64)
        if points.shape != (len(self.names), 3) or not len(points):
            raise TableError("needs one point a name", field="points_um", value=(points.shape, len(self.names)))
        empty = [row for row, name in enumerate(self.names) if not name.strip()]
        if empty:
            raise TableError(f"row {empty[0]} has no name", field="id", remedy="Name every landmark")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise TableError("occurs more than once", field="id", value=twice[0], remedy="Rename one of them")
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
            raise TableError("is not finite", field=self.names[row], value=points[row].tolist(), remedy="Leave it out")
        points.flags.writeable = False
        object.__setattr__(self, "points_um", points)


def read_landmarks(path: str | Path, unit: str | None = None, *, by: str = "label") -> Landmarks:
    """Landmarks from a file.

    Parameters
    ----------
    path : ``.csv`` with the columns id, z, y, x in any order; ``.fcsv`` (3D Slicer's old format, always mm) or
        ``.mrk.json`` (its new one): points in LPS or RAS, as the file says.
    unit : of a CSV, µm when left out, or said by its columns (``z_mm``); of a ``.mrk.json`` that states none.
    by : 3D Slicer's ``label`` of a point, or its ``id``, is taken for the name.

    Raises
    ------
    VolumeFileError : missing, damaged, or of an unknown format.
    TableError : a column that is missing or not known, a value that is no finite number, a name that is missing or
        occurs twice, a point that was not placed.
    UnitError : a unit that is unknown, missing, or another than the file's.
    HeaderError : points in no known coordinate system.
    """
    file = Path(path)
    name = file.name.lower()
    if name.endswith(".csv"):
        rows, columns = _table(file)
        return _landmarks(file, rows, _columns(file, columns, "", unit))
    if name.endswith((".fcsv", ".json")):
        read = read_fcsv if name.endswith(".fcsv") else read_markups
        return _made(file, *_split(read(file, _text(file), unit, by)))
    raise VolumeFileError("is no known format of landmarks", file=file, value=file.name, remedy=f"Use {SUFFIXES}")


def read_pairs(path: str | Path, unit: str | None = None) -> tuple[Landmarks, Landmarks]:
    """Fixed and moving landmarks from one CSV: the columns id, fixed_z, fixed_y, fixed_x, moving_z, moving_y, moving_x.

    Parameters
    ----------
    path : ``.csv``.
    unit : of both, µm when left out, or said by the columns (``fixed_z_mm``, ``moving_z_um``).

    Raises
    ------
    VolumeFileError, TableError, UnitError : as :func:`read_landmarks`.
    """
    file = Path(path)
    rows, columns = _table(file)
    fixed, moving = (_columns(file, columns, side, unit) for side in SIDES)
    return _landmarks(file, rows, fixed), _landmarks(file, rows, moving)


def paired(fixed: Landmarks, moving: Landmarks) -> tuple[Landmarks, Landmarks]:
    """Both in the order of the fixed ones, matched by name.

    Raises
    ------
    TableError : a name that only one of them has.
    """
    alone = sorted(set(fixed.names) ^ set(moving.names))
    if alone:
        side = "moving" if alone[0] in fixed.names else "fixed"
        raise TableError(
            f"is missing among the {side} landmarks",
            field="id",
            value=alone,
            remedy="Name every landmark alike in both, and leave out what only one shows",
        )
    order = [moving.names.index(name) for name in fixed.names]
    return fixed, Landmarks(fixed.names, moving.points_um[order])


def write_landmarks(landmarks: Landmarks, path: str | Path) -> None:
    """Write landmarks as ``.csv`` (id, z_um, y_um, x_um) or ``.mrk.json`` (mm, LPS), replaced at once.

    Raises
    ------
    OutputError : another suffix, or a target that cannot be written.
    """
    file = Path(path)
    if file.name.endswith(".csv"):
        table = io.StringIO(newline="")
        rows = [[name, *at] for name, at in zip(landmarks.names, landmarks.points_um.tolist(), strict=True)]
        csv.writer(table, lineterminator="\n").writerows([["id", *(f"{axis}_um" for axis in AXES)], *rows])
        write_text(file, table.getvalue())
    elif file.name.endswith(".mrk.json"):
        from registration.landmarks.slicer_points import markups_text

        write_text(file, markups_text(landmarks.names, landmarks.points_um))
    else:
        raise OutputError("landmarks are written as .csv or .mrk.json", file=file, value=file.name)


def _made(file: Path, names: Sequence[str], points_um: Points) -> Landmarks:
    try:
        return Landmarks(tuple(names), points_um)
    except TableError as error:
        raise TableError(error.problem, file=file, field=error.field, value=error.value, remedy=error.remedy) from error


def _split(rows: list[Row]) -> tuple[list[str], Points]:
    return [name for name, _ in rows], np.array([at for _, at in rows], dtype=np.float64).reshape(-1, 3)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise VolumeFileError("does not exist", file=file, remedy="Check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise VolumeFileError("cannot be read as text", file=file, remedy="Save it as UTF-8 text") from error


def _table(file: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of a CSV, and its columns, which are known by name and occur once."""
    try:
        lines = [row for row in csv.reader(io.StringIO(_text(file), newline="")) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise TableError(f"is no CSV table: {error}", file=file, remedy="Save it as UTF-8 CSV") from error
    if not lines:
        raise TableError("is empty", file=file, remedy="Give a table with a header: id, z, y, x")
    columns = [cell.strip() for cell in lines[0]]
    for name in columns:
        if columns.count(name) > 1:
            raise TableError("occurs more than once", file=file, field=name, remedy="Rename one of the columns")
    for row, cells in enumerate(lines[1:]):
        if len(cells) != len(columns):
            problem = f"row {row} has {len(cells)} values, the header {len(columns)}"
            raise TableError(problem, file=file, value=cells, remedy="Mend that row")
    return [dict(zip(columns, cells, strict=True)) for cells in lines[1:]], columns


def _columns(file: Path, columns: list[str], side: str, unit: str | None) -> dict[str, float]:
    """The three columns of one side, z, y, x, with the µm in one of each."""
    known = {"id"}
    out: dict[str, float] = {}
    for axis in AXES:
        of_axis = [name for name in columns if name == side + axis or name.startswith(f"{side}{axis}_")]
        if len(of_axis) != 1:
            raise TableError(
                "is missing" if not of_axis else "is stated twice",
                file=file,
                field=side + axis,
                value=columns,
                remedy=f"Name the columns id, {', '.join(side + a for a in AXES)} (z_mm for mm)",
            )
        stated = of_axis[0].removeprefix(side + axis).removeprefix("_")
        out[of_axis[0]] = length_um(stated or unit or "um", unit, file, of_axis[0])
        known.add(of_axis[0])
    other = [name for name in columns if name not in known and not name.startswith(_others(side))]
    if other or "id" not in columns:
        raise TableError(
            "is not a known column" if other else "is missing",
            file=file,
            field=other[0] if other else "id",
            value=columns,
            remedy=f"Name the columns id, {', '.join(side + a for a in AXES)} and no other",
        )
    return out


def _others(side: str) -> tuple[str, ...]:
    """How columns of the other side begin."""
    return tuple(f"{other}{axis}" for other in SIDES for axis in AXES if side and other != side)


def _landmarks(file: Path, rows: list[dict[str, str]], columns: dict[str, float]) -> Landmarks:
    points = [
        [um * _number(file, row, name, cells[name]) for name, um in columns.items()] for row, cells in enumerate(rows)
    ]
    return _made(file, [cells["id"].strip() for cells in rows], np.array(points, dtype=np.float64).reshape(-1, 3))


def _number(file: Path, row: int, field: str, text: str) -> float:
    try:
        value = float(text) if "_" not in text else np.nan
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise TableError(f"row {row} is no finite number", file=file, field=field, value=text, remedy="Mend its value")
    return value
