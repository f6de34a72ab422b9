"""Rows of a CSV file as they are written, and their columns as checked numbers."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from volumes.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = ("", "nan", "na")
"""How an unknown value may be written, in small letters."""


def read_rows(path: str | Path) -> pd.DataFrame:
    """The table of a ``.csv`` or ``.csv.gz`` as it is written: every value as text, rows and columns in their order.

    Raises
    ------
    TableError : a file that is missing, empty, damaged, not UTF-8 text, or whose rows differ in length.
    """
    import pandas as pd

    path = Path(path)
    try:
        with _opened(path) as file:
            rows = pd.read_csv(file, dtype=str, keep_default_na=False, na_filter=False, header=None, engine="c")
    except FileNotFoundError as error:
        raise TableError("is missing", file=path, remedy="Check the path") from error
    except pd.errors.EmptyDataError as error:
        raise TableError("is empty", file=path, remedy="Give a table with a header: t, z, y, x") from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise TableError(f"is no CSV table: {error}", file=path, remedy="Save it as UTF-8 CSV") from error
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(f"cannot be read: {error}", file=path, remedy="Fetch the file again") from error
    header, rows = rows.iloc[0].str.strip().tolist(), rows.iloc[1:].reset_index(drop=True)
    rows.columns = pd.Index(header)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TableError("occurs more than once", file=path, field=twice[0], remedy="Rename one of the columns")
    return rows


def need(rows: pd.DataFrame, names: Sequence[str], path: str | Path) -> None:
    """Refuse a table without one of these columns."""
    missing = [name for name in names if name not in rows]
    if missing:
        raise TableError(
            "is missing",
            file=path,
            field=", ".join(missing),
            value=rows.columns.tolist(),
            remedy=f"Name the columns {', '.join(names)}",
        )


def numbers(rows: pd.DataFrame, name: str, path: str | Path, unknown: bool = False) -> NDArray[np.float64]:
    """A column as finite float64; where ``unknown`` is allowed, an empty value or ``nan`` becomes NaN.

    Raises
    ------
    TableError : a value that is no finite number, with its column and its 0-based row number.
    """
    text = rows[name].str.strip()
    values = np.array([_number(value) for value in text], dtype=np.float64)
    bad = ~np.isfinite(values)
    if unknown:
        bad &= ~text.str.lower().isin(UNKNOWN).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        remedy = "Leave the row out or mend its value"
        raise TableError(f"row {row} is no finite number", file=path, field=name, value=text[row], remedy=remedy)
    return values


def whole_numbers(rows: pd.DataFrame, name: str, path: str | Path, remedy: str) -> NDArray[np.int64]:
    """A column as int64; ``3.0`` is whole, ``3.5`` is refused with its row number."""
    values = numbers(rows, name, path)
    # Past 2⁵³ a float no longer tells neighbouring whole numbers apart.
    bad = (np.rint(values) != values) | (np.abs(values) >= 2.0**53)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        problem = f"row {row} is not a whole number"
        raise TableError(problem, file=path, field=name, value=rows[name][row], remedy=remedy)
    return values.astype(np.int64)


def feature(column: pd.Series[str]) -> NDArray[np.int64] | NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.str_]:
    """A further column: numbers where each value is one (or, as a float, unknown), bools of True, False, else text."""
    text = column.str.strip()
    if len(text) and text.isin(("True", "False")).all():
        return (text == "True").to_numpy(dtype=bool)
    if text.str.fullmatch(r"[+-]?\d{1,18}").all():
        return text.to_numpy(dtype=str).astype(np.int64)
    values = np.array([_number(value) for value in text], dtype=np.float64)
    if (~np.isnan(values) | text.str.lower().isin(UNKNOWN).to_numpy()).all():
        return values
    return column.to_numpy(dtype=str)


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="utf-8-sig") if gzipped else path.open(encoding="utf-8-sig")


def _number(text: str) -> float:
    """The nearest float64, NaN where the text is no number; Python's digit groups (1_000) are none."""
    try:
        return float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan
