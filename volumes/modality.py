"""What is known of each kind of instrument: open names with defaults, never positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volumes.errors import ConfigError, HeaderError


@dataclass(frozen=True)
class Modality:
    """Defaults of one modality.

    Parameters
    ----------
    name : the name as written in configs and files.
    colour : display colour, six hexadecimal digits (RGB).
    """

    name: str
    colour: str


KNOWN = {
    modality.name.lower(): modality
    for modality in (
        Modality("optical", "F2F2F2"),
        Modality("fluorescence", "33DD77"),
        Modality("brightfield", "DDDDDD"),
        Modality("phase", "CCCCFF"),
        Modality("SWIR", "FF9933"),
        Modality("CT", "EEE6D8"),
        Modality("MRI", "88BBFF"),
        Modality("PET", "FFB000"),
        Modality("SPECT", "FF66AA"),
        Modality("labels", "FFFFFF"),
    )
}
UNKNOWN_COLOUR = "FFFFFF"
LONG = 5
"""From this length on, one wrong letter is a slip; shorter names (OCT, MWIR, SWI) differ by a letter on purpose."""


def modality(name: str) -> Modality:
    """The modality of that name, upper and lower case alike; an unknown name stands for itself in white.

    Raises
    ------
    ConfigError : the name is empty, or a slip of a known one: two neighbouring letters swapped (``MIR`` for ``MRI``),
        or, in a long name, one letter too many, missing or wrong (``fluoresence``).
    """
    key = name.strip().lower()
    if not key:
        raise ConfigError("is empty", field="modality", remedy=f"Known ones: {_names()}")
    if key in KNOWN:
        return KNOWN[key]
    near = [known for known in KNOWN if _is_slip(key, known)]
    if near:
        raise ConfigError(
            f"looks like a misspelt {KNOWN[near[0]].name!r}",
            field="modality",
            value=name,
            remedy=f"Known ones: {_names()}",
        )
    return Modality(name.strip(), UNKNOWN_COLOUR)


def _is_slip(name: str, known: str) -> bool:
    """Whether one swap of neighbours, or one edit of a long name, makes ``name`` the known one."""
    swaps = {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)}
    return known in swaps or (len(known) >= LONG and _is_one_edit_off(name, known))


def _is_one_edit_off(a: str, b: str) -> bool:
    """Whether one letter added, removed or replaced makes ``a`` into ``b``."""
    short, long = sorted((a, b), key=len)
    same = next((i for i, (p, q) in enumerate(zip(short, long, strict=False)) if p != q), len(short))
    replaced = len(short) == len(long) and short[same + 1 :] == long[same + 1 :]
    return replaced or (len(long) == len(short) + 1 and short[same:] == long[same + 1 :])


def stated(modality: str | None, file: Path) -> str:
    """The modality that the caller states, for a file that names none.

    Raises
    ------
    HeaderError : the caller states none either.
    """
    if modality is None:
        raise HeaderError(
            "the file names no modality", file=file, field="modality", remedy="State it: read(…, modality='CT')"
        )
    return modality


def _names() -> str:
    return ", ".join(m.name for m in KNOWN.values())
