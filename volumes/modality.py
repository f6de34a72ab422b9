"""What is known of each kind of instrument: open names with defaults, never positions."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from volumes.errors import ConfigError


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


def modality(name: str) -> Modality:
    """The modality of that name, upper and lower case alike; an unknown name stands for itself in white.

    Raises
    ------
    ConfigError : the name is empty, or a near miss of a known one (``MIR`` for ``MRI``).
    """
    key = name.strip().lower()
    if not key:
        raise ConfigError("is empty", field="modality", remedy=f"Known ones: {_names()}")
    if key in KNOWN:
        return KNOWN[key]
    near = get_close_matches(key, KNOWN, n=1, cutoff=0.75)
    if near:
        raise ConfigError(
            f"looks like a misspelt {KNOWN[near[0]].name!r}",
            field="modality",
            value=name,
            remedy=f"Known: {_names()}",
        )
    return Modality(name.strip(), UNKNOWN_COLOUR)


def _names() -> str:
    return ", ".join(m.name for m in KNOWN.values())
