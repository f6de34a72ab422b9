"""What one fused pair of the benchmark scored, and the CSV of it: written whole, read back strictly."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeAlias

import numpy as np

from experiments.bench.fusion_kinds import Named
from experiments.bench.fusion_pairs import Pair
from fusion.metrics import EIGHT, evaluate, per_source
from volumes.atomic import write_text
from volumes.errors import TableError
from volumes.shapes import AnyArray

Key: TypeAlias = tuple[str, str, str, str]
PARTS = {"VIF": "VIF", "Qabf": "Qabf", "edges_lost": "lost"}
"""Figures of each source, as :func:`fusion.metrics.per_source` and as the columns name them."""


@dataclass(frozen=True)
class Row:
    """One fused pair.

    Parameters
    ----------
    other : the modality beside MRI.
    pair : name of the pictures.
    kind, sha : the fuser, and which weights it had.
    EN, SD, SF, MI, SCD, VIF, Qabf, SSIM_range2 : see :func:`fusion.metrics.evaluate`.
    VIF_other, VIF_mri, Qabf_other, Qabf_mri : of each source.
    lost_other, lost_mri : share of each source's strong edges that is lost.
    """

    other: str
    pair: str
    kind: str
    sha: str
    EN: float
    SD: float
    SF: float
    MI: float
    SCD: float
    VIF: float
    Qabf: float
    SSIM_range2: float
    VIF_other: float
    VIF_mri: float
    Qabf_other: float
    Qabf_mri: float
    lost_other: float
    lost_mri: float

    @property
    def key(self) -> Key:
        """What tells it from all other rows."""
        return self.other, self.pair, self.kind, self.sha


COLUMNS = tuple(field.name for field in fields(Row))
FIGURES = COLUMNS[4:]


def row_of(pair: Pair, named: Named) -> Row:
    """Fuse a pair and score it: the eight figures, and those of each source."""
    sources = pair.levels()
    fused = fused_levels(pair, named)
    scores, own = evaluate(fused, sources), per_source(fused, sources)
    parts = {f"{PARTS[k]}_{of}": v for k in PARTS for of, v in zip(("other", "mri"), own[k], strict=True)}
    return Row(pair.other, pair.name, named.name, named.sha, **{k: scores[k] for k in EIGHT}, **parts)


def fused_levels(pair: Pair, named: Named) -> AnyArray:
    """The fused picture (y, x), clipped and rounded to 8 bits, as a file would hold it."""
    fused = named.fuser.fuse(pair.volumes()).channel()[0]
    return np.asarray(np.clip(np.rint(fused), 0, 255), np.uint8)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the CSV at once."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV; none when there is no such file.

    Raises
    ------
    TableError : other columns, a figure that is no finite number, or two rows of one pair and fuser.
    """
    if not path.exists():
        return []
    remedy = "It is not this benchmark's, or was edited: write to another file"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != COLUMNS:
        raise TableError("has other columns than expected", file=path, value=lines[:1], remedy=remedy)
    rows = [_read(path, cells, remedy) for cells in lines[1:]]
    if len({row.key for row in rows}) < len(rows):
        raise TableError("holds a pair and a fuser twice", file=path, remedy=remedy)
    return rows


def _read(path: Path, cells: Sequence[str], remedy: str) -> Row:
    try:
        figures = dict(zip(FIGURES, map(float, cells[4:]), strict=True))
        if not all(map(math.isfinite, figures.values())):
            raise ValueError("not finite")
        other, pair, kind, sha = cells[:4]
        return Row(other, pair, kind, sha, **figures)
    except ValueError as error:
        raise TableError("holds no such row", file=path, value=list(cells), remedy=remedy) from error
