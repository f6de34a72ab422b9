"""Drift as a table in a file: a row a frame, exact to the last bit that matters."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from registration.drift.drift import Drift
from volumes.atomic import write_text
from volumes.errors import TableError, TransformError
from volumes.transform import Affine

COLUMNS = (
    *("t", "dz_um", "dy_um", "dx_um"),
    *("rz_rad", "ry_rad", "rx_rad"),
    *("cz_um", "cy_um", "cx_um"),
    "error_um",
)
"""Frame; shift of the centre c; rotation vector about it; c; standard deviation (nan: not known)."""


def write_drift(path: Path, drift: Drift) -> None:
    """Write a CSV file at once: frame t has x ↦ R (x − c) + c + d, from the reference frame's points to its own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    centre = np.asarray(drift.centre_um)
    for t, (one, error) in enumerate(zip(drift.transforms, drift.errors_um, strict=True)):
        turn = Rotation.from_matrix(one.matrix[:3, :3]).as_rotvec()
        shift = one(centre[None])[0] - centre
        writer.writerow([t, *(repr(v) for v in (*shift.tolist(), *turn.tolist(), *drift.centre_um, error))])
    write_text(path, text.getvalue())


def read_drift(path: Path) -> tuple[Affine, ...]:
    """The transforms that :func:`write_drift` wrote: points of the reference frame → points of each frame.

    Raises
    ------
    TableError : no such file, other columns, a frame missing or out of order, or what is no finite number.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"cannot be read: {error}", file=path, remedy="Run the registration again") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise TableError("holds other columns", file=path, field="header", value=rows[:1], remedy=", ".join(COLUMNS))
    if len(rows) < 2:
        raise TableError("holds no frame", file=path)
    return tuple(_transform(path, t, row) for t, row in enumerate(rows[1:]))


def _transform(path: Path, t: int, row: list[str]) -> Affine:
    if len(row) != len(COLUMNS) or row[0] != str(t):
        raise TableError(f"row {t} is not that of frame {t}", file=path, field="t", value=row)
    try:
        numbers = [float(value) for value in row[1:]]
        return Affine.rigid(numbers[3:6], numbers[:3], numbers[6:9])
    except (ValueError, TransformError) as error:
        raise TableError(f"frame {t} holds what is no finite number", file=path, field="t", value=row) from error
