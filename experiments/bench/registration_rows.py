"""What one registration of the benchmark came to, and the CSV of them: written whole, read back strictly."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from volumes.atomic import write_text
from volumes.errors import TableError

STATUSES = ("good", "doubtful", "failed", "")
"""What a method says of its result; peers say nothing."""
Key: TypeAlias = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Row:
    """One registration.

    Parameters
    ----------
    pair, kind : the task, as in ``T1-T2 rigid``.
    model : what was looked for: ``rigid``, ``affine`` or ``deformable``.
    method : who looked for it.
    case : seed of the case.
    initial : mean distance of the points from where they belong before, in the pair's unit (mm, or µm for ZF).
    affine : the same after the affine transform that a deformable one began from; NaN where there is none.
    tre : the same after the registration; NaN when it ended in an error.
    p95 : 95th percentile over the points of the distance after it.
    success : whether ``tre`` is below the task's limit, where it has one; else whether there is a result.
    cpu_s, wall_s : seconds; CPU of all threads.
    peak_mb : most memory that the method's process has held up to then, the volumes included.
    status : what the method says of the result.
    error : the text of the error it ended in.
    """

    pair: str
    kind: str
    model: str
    method: str
    case: int
    initial: float
    affine: float
    tre: float
    p95: float
    success: bool
    cpu_s: float
    wall_s: float
    peak_mb: float
    status: str
    error: str

    @property
    def key(self) -> Key:
        """What tells it from all other rows."""
        return self.pair, self.kind, self.model, self.method, self.case

    def __post_init__(self) -> None:
        figures = (self.tre, self.p95, self.cpu_s, self.wall_s, self.peak_mb)
        if self.error and (self.success or not all(map(math.isnan, figures))):
            raise TableError("a row of an error has no figures", field="error", value=self.error)
        if not self.error and not all(math.isfinite(value) and value >= 0 for value in figures):
            raise TableError("figures must be finite and not negative", field="tre", value=figures)
        if not (math.isfinite(self.initial) and self.initial >= 0) or self.affine < 0 or math.isinf(self.affine):
            raise TableError("distances cannot be negative", field="initial", value=(self.initial, self.affine))
        if self.status not in STATUSES or self.case < 0:
            raise TableError("no such status or case", field="status", value=(self.status, self.case))


COLUMNS = tuple(field.name for field in fields(Row))
KINDS = {field.name: str(field.type) for field in fields(Row)}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the CSV at once."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV; none when there is no such file.

    Raises
    ------
    TableError : other columns, a value that is none of its column's kind, or two rows of one registration.
    """
    if not path.exists():
        return []
    remedy = "It is not this benchmark's, or was edited: write to another file, or begin anew with --fresh"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, strict=True))
        if not lines or tuple(lines[0]) != COLUMNS:
            raise TableError("other columns than expected", field="header", value=lines[:1])
        rows = [_row(cells) for cells in lines[1:]]
    except (TableError, ValueError, csv.Error) as error:
        problem = error.problem if isinstance(error, TableError) else str(error)
        found = (error.field, error.value) if isinstance(error, TableError) else (None, None)
        raise TableError(problem, file=path, field=found[0], value=found[1], remedy=remedy) from error
    keys = [row.key for row in rows]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise TableError("stands there twice", file=path, field="row", value=twice, remedy=remedy)
    return rows


def _row(cells: Sequence[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise TableError(f"needs {len(COLUMNS)} values, not {len(cells)}", field="row", value=list(cells))
    values: dict[str, Any] = {n: READ[KINDS[n]](text) for n, text in zip(COLUMNS, cells, strict=True)}
    return Row(**values)


def _truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise TableError("must be True or False", field="success", value=text)
    return text == "True"


READ: dict[str, Callable[[str], Any]] = {"str": str, "float": float, "int": int, "bool": _truth}
"""How the text of a column becomes its value, by the field's type."""
