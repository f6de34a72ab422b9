"""A true lineage: where each cell was at each frame, and which cell it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from volumes.errors import TableError
from volumes.shapes import Points

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "t", "z", "y", "x", "parent")
"""Columns a lineage table must have; ``radius`` may be there or left empty, others are left alone."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """The true cells, one row for each cell in each frame.

    Parameters
    ----------
    t : frame, (n,).
    zyx : centre, (n, 3); in µm, or in the table's own unit where none is stated.
    parent : row of the same or dividing cell in an earlier frame, (n,); −1 at a root.
    radius : (n,), in the unit of ``zyx``; None where the table has none.

    Raises
    ------
    TableError : columns that do not fit together, a position that is not finite, a parent that is no earlier row, or
        more than two children.
    """

    t: NDArray[np.int64]
    zyx: Points
    parent: NDArray[np.int64]
    radius: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.t)
        if self.zyx.shape != (n, 3) or self.parent.shape != (n,) or (self.radius is not None and len(self.radius) != n):
            raise TableError("t, zyx, parent and radius differ in length", field="lineage")
        _refuse(~np.isfinite(self.zyx).all(1), "position is not finite", "z, y, x")
        if self.radius is not None:
            _refuse(~(np.isfinite(self.radius) & (self.radius > 0)), "must be finite and above zero", "radius")
        _refuse((self.parent < -1) | (self.parent >= n), "is no row of the table", "parent")
        born = self.parent >= 0
        late = np.zeros(n, bool)
        late[born] = self.t[born] <= self.t[self.parent[born]]
        _refuse(late, "cell is not later than its parent", "t")
        _refuse(np.bincount(self.parent[born], minlength=n) > 2, "cell has more than two children", "parent")

    def __len__(self) -> int:
        return len(self.t)

    @property
    def dividing(self) -> NDArray[np.int64]:
        """Rows of the cells that have two children."""
        children = np.bincount(self.parent[self.parent >= 0], minlength=len(self))
        return np.flatnonzero(children == 2)


def read_lineage(path: str | Path, *, leave_out_unplaced: bool = False) -> Lineage:
    """The lineage of a CSV table (also .csv.gz) with the columns id, t, z, y, x, radius, parent.

    Parameters
    ----------
    path : ``parent`` is the id of a row, or −1 at a root; rows may stand in any order and keep it.
    leave_out_unplaced : some tables hold rows of a cell whose place was lost, with a radius of 0. They are refused, or
        left out: a cell after such a gap then has the last placed ancestor as its parent.

    Raises
    ------
    TableError : a file that is missing or no table, a column that is missing, cells that are not numbers, frames that
        are not whole, two equal ids, a parent that is no id, and whatever :class:`Lineage` refuses.
    """
    table = _table(Path(path))
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise TableError("lacks columns", file=path, field=", ".join(missing), value=list(table.columns))
    ids, t, parent = (_whole(table, name, path) for name in ("id", "t", "parent"))
    rows = dict(zip(ids.tolist(), range(len(ids)), strict=True))
    if len(rows) < len(ids):
        raise TableError("holds two equal ids", file=path, field="id")
    orphans = [p for p in parent.tolist() if p != -1 and p not in rows]
    if orphans:
        raise TableError("is no id of the table", file=path, field="parent", value=orphans[0])
    up = np.array([rows.get(p, -1) if p != -1 else -1 for p in parent.tolist()], np.int64)
    zyx = np.stack([_numbers(table, name, path) for name in "zyx"], -1)
    has_radius = "radius" in table and not table["radius"].isna().all()
    radius = _numbers(table, "radius", path) if has_radius else None
    if leave_out_unplaced and radius is not None:
        kept, up = nearest_kept(up, radius != 0)
        t, zyx, radius = t[kept], zyx[kept], radius[kept]
    try:
        return Lineage(t, zyx, up, radius)
    except TableError as error:
        raise TableError(
            error.problem, file=path, field=error.field, value=error.value, remedy="Mend those rows or leave them out"
        ) from error


def nearest_kept(parent: NDArray[np.int64], keep: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a lineage to keep (n,), and their nearest kept ancestors by their new numbers.

    A cell cannot have more than two children: where leaving out ancestors gave it more, the later rows begin anew.
    """
    for _ in range(len(parent)):
        lost = (parent >= 0) & ~keep[parent]
        if not lost.any():
            break
        parent = np.where(lost, parent[parent], parent)
    kept = np.flatnonzero(keep)
    renumbered = np.cumsum(keep) - 1
    up = np.where(parent[kept] >= 0, renumbered[parent[kept]], -1)
    for row in np.flatnonzero(np.bincount(up[up >= 0], minlength=1) > 2):
        up[np.flatnonzero(up == row)[2:]] = -1
    return kept, up


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise TableError("is missing", file=path, remedy="Check the path") from error
    except (OSError, EOFError, ValueError) as error:
        raise TableError(f"is no readable CSV table: {error}", file=path, remedy="Fetch or write it again") from error


def _numbers(table: pd.DataFrame, name: str, path: str | Path) -> NDArray[np.float64]:
    try:
        return table[name].to_numpy(np.float64)
    except ValueError as error:
        raise TableError(f"holds what is no number: {error}", file=path, field=name) from error


def _whole(table: pd.DataFrame, name: str, path: str | Path) -> NDArray[np.int64]:
    numbers = _numbers(table, name, path)
    bad = ~np.isfinite(numbers) | (numbers != np.rint(numbers))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TableError(f"is not a whole number in row {row}", file=path, field=name, value=float(numbers[row]))
    return numbers.astype(np.int64)


def _refuse(bad: NDArray[np.bool_], problem: str, field: str) -> None:
    if bad.any():
        raise TableError(f"{problem} ({int(bad.sum())} rows)", field=field, value=f"row {int(np.flatnonzero(bad)[0])}")
