"""The true cells of one instrument of a phantom, as its table tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phantom.lineage import Lineage, read_lineage
from volumes.errors import TableError


@dataclass(frozen=True, eq=False)
class TrueTable:
    """One row a cell and frame.

    Parameters
    ----------
    lineage : frames, centres in µm of the instrument's own world, parents.
    number : what the cell is called in the labels, (n,).
    signal : mean of the noise-free picture inside it, (n,); NaN where no voxel is its own.
    """

    lineage: Lineage
    number: NDArray[np.int64]
    signal: NDArray[np.float64]

    @property
    def rows(self) -> dict[tuple[int, int], int]:
        """The row of each (frame, number)."""
        keys = zip(self.lineage.t.tolist(), self.number.tolist(), strict=True)
        return {key: row for row, key in enumerate(keys)}


def read_true_table(path: Path) -> TrueTable:
    """The table of true cells that a phantom wrote.

    Raises
    ------
    TableError : no table, a column is missing, or a cell has two rows in one frame.
    """
    import pandas as pd

    lineage, table = read_lineage(path), pd.read_csv(path)
    missing = [name for name in ("number", "signal") if name not in table]
    if missing:
        raise TableError("lacks columns", file=path, field=", ".join(missing), value=list(table.columns))
    out = TrueTable(lineage, table["number"].to_numpy(np.int64), table["signal"].to_numpy(np.float64))
    if len(out.rows) < len(table):
        raise TableError("a cell has two rows in one frame", file=path, field="number")
    return out
