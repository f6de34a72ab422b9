"""Numbers, lengths and names as a reader wants to see them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.report.sections import Cell

_UNITS = {
    "_um3": "µm³", "_um": "µm", "_mm": "mm", "_nm": "nm", "_s": "s", "_min": "min", "_deg": "°", "_percent": "%",
    "_px": "px", "_voxels": "voxels", "_nats": "nats", "_bits": "bits", "_db": "dB",
}  # fmt: skip

_KNOWN = {*_UNITS.values(), "µm/min", "µm/s", "HU"}


@dataclass(frozen=True)
class Row:
    """One row of a table: what, how much, in which unit."""

    name: str
    value: str
    unit: str = ""


def rows_of(table: Mapping[str, Cell]) -> tuple[Row, ...]:
    """The rows of a table; a unit is taken from the end of the name: ``error_um``, ``error (µm)``, ``error, µm``."""
    named = ((*name_and_unit(key), value) for key, value in table.items())
    return tuple(Row(name, cell_text(value), unit) for name, unit, value in named)


def name_and_unit(key: str) -> tuple[str, str]:
    """What a table's key names, and its unit ("" when none is given)."""
    bracketed = re.fullmatch(r"(.+?)\s*[(\[](.+)[)\]]", key)
    if bracketed:
        return bracketed[1].replace("_", " "), bracketed[2]
    name, _, last = key.rpartition(", ")
    if name and last in _KNOWN:
        return name.replace("_", " "), last
    for ending, unit in _UNITS.items():
        if key.endswith(ending) and len(key) > len(ending):
            return key.removesuffix(ending).replace("_", " "), unit
    return key.replace("_", " "), ""


def cell_text(value: Cell) -> str:
    """Text as it is; a number with what matters of it."""
    return value if isinstance(value, str) else number_text(value)


def number_text(value: float, significant: int = 3) -> str:
    """The significant digits, whole numbers in full with thin spaces, a true minus sign; "–" for what is no number.

    >>> number_text(0.91234), number_text(12345), number_text(-2.5), number_text(float("nan"))
    ('0.912', '12\u202f345', '−2.50', '–')
    """
    number = float(value) + 0.0
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == round(number) or abs(number) >= 1000:
        text = f"{number:,.0f}".replace(",", "\u202f")
    elif abs(number) < 1e-3:
        text = f"{number:.2g}"
    else:
        digits = max(0, significant - 1 - math.floor(math.log10(abs(number))))
        text = f"{number:.{digits}f}"
    return text.replace("-", "−")


def nice_length(about: float) -> float:
    """The largest of 1, 2, 5 × 10ⁿ that is not above ``about``; lengths in µm."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(step * power for step in (1, 2, 5) if step * power <= about * (1 + 1e-9))


def length_text(um: float) -> str:
    """A length in µm, or in mm from 1000 µm on, or in nm below 1 µm."""
    if um >= 1000:
        return f"{um / 1000:g} mm"
    return f"{um:g} µm" if um >= 1 or um == 0 else f"{um * 1000:g} nm"


def seconds_text(seconds: float) -> str:
    """A duration in ms, s, min or h."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds != round(seconds) else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    large, small = (f"{minutes} min", f"{rest} s") if minutes < 120 else (f"{minutes // 60} h", f"{minutes % 60} min")
    return large if small.startswith("0 ") else f"{large} {small}"
