"""Point lists of 3D Slicer: ``.mrk.json``, and its older ``.fcsv``; (x, y, z) in LPS or RAS, as the file says."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from volumes.errors import ConfigError, HeaderError, TableError, VolumeFileError
from volumes.io.units import length_um
from volumes.shapes import Points, Triple

Row: TypeAlias = tuple[str, Triple]
"""A name, and (z, y, x) in µm."""
SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
TO_LPS = {"LPS": (1, 1, 1), "RAS": (-1, -1, 1), "1": (1, 1, 1), "0": (-1, -1, 1)}
"""Signs of x, y, z; older files number the systems."""
NAMES = ("label", "id")
MM = 1e3


def read_fcsv(file: Path, text: str, unit: str | None, by: str) -> list[Row]:
    """The points of an ``.fcsv``, which is always in mm; its header says the columns and the coordinate system.

    Raises
    ------
    VolumeFileError : no such file.
    HeaderError : no coordinate system, or one that is not known.
    TableError : a missing column, a value that is no finite number.
    UnitError : the caller says another unit.
    ConfigError : ``by`` is neither label nor id.
    """
    _check_by(by)
    lines = text.splitlines()
    header = dict(_entry(line) for line in lines if line.startswith("#") and "=" in line)
    if not text.startswith("# Markups fiducial file") or "columns" not in header:
        raise VolumeFileError("is no .fcsv of 3D Slicer", file=file, remedy="Export it from 3D Slicer again")
    signs = _signs(file, header.get("coordinatesystem"))
    um = length_um("mm", unit, file, "unit")
    columns = [name.strip() for name in header["columns"].split(",")]
    missing = [name for name in (by, *"xyz") if name not in columns]
    if missing:
        raise TableError("is missing", file=file, field=missing[0], value=columns, remedy="Export it again")
    out = []
    for row, cells in enumerate(csv.reader(line for line in lines if line.strip() and not line.startswith("#"))):
        if len(cells) < len(columns):
            raise TableError(f"row {row} is cut short", file=file, value=cells, remedy="Export it again")
        values = dict(zip(columns, cells, strict=False))
        out.append(_row(file, row, values[by], [values[axis] for axis in "xyz"], signs, um))
    return out


def read_markups(file: Path, text: str, unit: str | None, by: str) -> list[Row]:
    """The points of a ``.mrk.json`` that holds one point list.

    Raises
    ------
    VolumeFileError : no JSON, or not with one point list.
    HeaderError : no coordinate system, or one that is not known.
    TableError : a point without a name or a position, or one that was not placed.
    UnitError : no unit in the file nor from the caller, an unknown one, or two that differ.
    ConfigError : ``by`` is neither label nor id.
    """
    _check_by(by)
    markups = _one_list(file, text)
    signs = _signs(file, markups.get("coordinateSystem"))
    stated = markups.get("coordinateUnits")
    # Newer files give a code of three parts: the unit, the scheme that it is from, and its meaning.
    stated = stated[0] if isinstance(stated, list) and stated else stated
    um = length_um(None if stated is None else str(stated), unit, file, "coordinateUnits")
    points = markups.get("controlPoints")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise TableError("is missing", file=file, field="controlPoints", remedy="Export it from 3D Slicer again")
    return [_placed(file, row, point, by, signs, um) for row, point in enumerate(points)]


def markups_text(names: Sequence[str], points_um: Points) -> str:
    """A ``.mrk.json`` in mm and LPS."""
    points = [
        {"id": str(i + 1), "label": name, "position": [v / MM for v in at[::-1]], "positionStatus": "defined"}
        for i, (name, at) in enumerate(zip(names, points_um.tolist(), strict=True))
    ]
    markups = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return json.dumps({"@schema": SCHEMA, "markups": [markups]}, indent=1, ensure_ascii=False) + "\n"


def _check_by(by: str) -> None:
    if by not in NAMES:
        raise ConfigError("no such name of a point", field="by", value=by, remedy="Use label or id")


def _entry(line: str) -> tuple[str, str]:
    key, _, value = line.lstrip("# ").partition("=")
    return key.strip().lower(), value.strip()


def _signs(file: Path, system: object) -> Triple:
    signs = TO_LPS.get(str(system))
    if signs is None:
        raise HeaderError(
            "is no known coordinate system",
            file=file,
            field="coordinateSystem",
            value=system,
            remedy="Export the points in LPS or RAS",
        )
    return signs


def _one_list(file: Path, text: str) -> dict[str, Any]:
    try:
        whole = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise VolumeFileError(f"is no JSON: {error}", file=file, remedy="Export it from 3D Slicer again") from error
    lists = whole.get("markups") if isinstance(whole, dict) else None
    kinds = [one.get("type") if isinstance(one, dict) else None for one in lists] if isinstance(lists, list) else []
    if kinds != ["Fiducial"]:
        remedy = "Export one point list alone, of type Fiducial"
        raise VolumeFileError("must hold one point list", file=file, field="markups", value=kinds, remedy=remedy)
    only: dict[str, Any] = whole["markups"][0]
    return only


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key occurs twice")
    return out


def _placed(file: Path, row: int, point: dict[str, Any], by: str, signs: Triple, um: float) -> Row:
    name, at, status = str(point.get(by, "")), point.get("position"), point.get("positionStatus", "defined")
    if status != "defined" or not isinstance(at, list) or len(at) != 3:
        raise TableError(
            f"point {row} ({name!r}) was not placed",
            file=file,
            field="positionStatus",
            value=status if status != "defined" else at,
            remedy="Place it, or delete it from the list",
        )
    return _row(file, row, name, at, signs, um)


def _row(file: Path, row: int, name: str, xyz: Sequence[object], signs: Triple, um: float) -> Row:
    try:
        if any(isinstance(value, bool) or "_" in str(value) for value in xyz):
            raise TypeError
        x, y, z = (sign * um * float(str(value)) for value, sign in zip(xyz, signs, strict=True))
    except (TypeError, ValueError):
        x = y = z = np.nan
    if not np.isfinite([x, y, z]).all():
        problem = f"row {row} ({name!r}) has no finite position"
        raise TableError(problem, file=file, field="position", value=list(xyz), remedy="Place it again, or delete it")
    return name.strip(), (z, y, x)
