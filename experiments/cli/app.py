"""What the verbs share: the command itself, options of one name, and how a result is told."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

app = App(
    name="fusetrack",
    help="Brings volumes of one specimen onto one grid, fuses them, finds the cells and follows them. Lengths in µm.",
    version=lambda: importlib.metadata.version("fusetrack"),
    version_flags=["--version"],
)
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON, for machines.")]
Modality = Annotated[str | None, Parameter(help="What took it; left out: what an OME-Zarr says, else optical.")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="KEY=VALUE, e.g. fuse.base=max: replaces what CONFIG says."),
]
Unit = Annotated[str | None, Parameter(help="Unit of length of the file, where it states none.")]


def say(facts: dict[str, Any], as_json: bool) -> None:
    """Print facts: one JSON object for machines, one line each for people."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):>12}  {text if text != '' else 'none'}")


def modality_of(path: Path, stated: str | None) -> str | None:
    """What was stated, or nothing for a format that may say so itself, or else the most general one."""
    return stated if stated or path.suffix == ".zarr" else "optical"


def pair(item: str) -> tuple[str, str]:
    """A key and its value from ``KEY=VALUE``.

    Raises
    ------
    ConfigError : one of the two is missing.
    """
    from volumes.errors import ConfigError

    key, sign, value = item.partition("=")
    if not (key and sign):
        raise ConfigError("needs KEY=VALUE", field="--set", value=item, remedy="For example --set fuse.base=max")
    return key, value
