"""The units that files speak, in µm and seconds: the one table of both."""

from __future__ import annotations

from pathlib import Path

from volumes.errors import UnitError

_LENGTHS = {
    1e-4: "å angstrom ångström",
    1e-3: "nm nanometer nanometre",
    1.0: "um µm micron micrometer micrometre",
    1e3: "mm millimeter millimetre",
    1e4: "cm centimeter centimetre",
    1e6: "m meter metre",
}
_TIMES = {
    1e-6: "us µs microsecond usec",
    1e-3: "ms millisecond msec",
    1.0: "s second sec",
    60.0: "min minute",
    3600.0: "h hour hr",
    86400.0: "d day",
}
_NO_UNIT = {"", "pixel", "voxel", "none", "null", "unknown", "reference frame", "reference_frame", "arbitrary"}


def _table(rows: dict[float, str]) -> dict[str, float]:
    return {name: factor for factor, names in rows.items() for name in names.split()}


_LENGTH_UM, _TIME_S = _table(_LENGTHS), _table(_TIMES)


def length_um(unit: str | None, stated: str | None, file: Path, field: str) -> float:
    """µm in one unit of length of a file.

    Parameters
    ----------
    unit : what the file says; None, "" and "pixel" stand for no unit.
    stated : what the caller says of the file, if anything.
    file, field : for the error.

    Raises
    ------
    UnitError : neither says a unit, one is unknown, or the two contradict each other.
    """
    mine = None if stated is None else _known(_LENGTH_UM, stated, file, "unit")
    if _says_nothing(unit):
        if mine is None:
            raise UnitError(
                "the file states no unit of length",
                file=file,
                field=field,
                value=unit,
                remedy="State it: read(…, unit='mm') or unit='um'",
            )
        return mine
    theirs = _known(_LENGTH_UM, str(unit), file, field)
    if mine is not None and mine != theirs:
        raise UnitError(
            f"the file says {unit!r} and the caller unit={stated!r}",
            file=file,
            field=field,
            value=unit,
            remedy="Leave unit= out, or mend the header if it is wrong",
        )
    return theirs


def time_s(unit: str | None, file: Path, field: str, remedy: str) -> float:
    """Seconds in one unit of time of a file; ``remedy`` says how to state it.

    Raises
    ------
    UnitError : no unit, or one that is unknown.
    """
    if _says_nothing(unit):
        raise UnitError("the file states no unit of time", file=file, field=field, value=unit, remedy=remedy)
    return _known(_TIME_S, str(unit), file, field)


def _says_nothing(unit: str | None) -> bool:
    return unit is None or _plain(unit) in _NO_UNIT


def _plain(unit: str) -> str:
    """Lower case, one micro sign (files write U+03BC, U+00B5 and ImageJ's escape), no plural s."""
    text = unit.strip().strip('"').lower().replace("μ", "µ").replace("\\u00b5", "µ")
    return text[:-1] if len(text) > 3 and text.endswith("s") else text


def _known(table: dict[str, float], unit: str, file: Path, field: str) -> float:
    factor = table.get(_plain(unit))
    if factor is None:
        raise UnitError("is not a known unit", file=file, field=field, value=unit, remedy=f"Known: {', '.join(table)}")
    return factor
