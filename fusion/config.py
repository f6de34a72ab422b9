"""Which fusers a configuration can ask for."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from fusion.lpf import LPFConfig
from volumes.errors import ConfigError

FuserConfig: TypeAlias = LPFConfig
"""The configurations of all fusers, told apart by ``kind``."""

KINDS = ("lpf",)
"""The names that :func:`of_kind` knows."""


def of_kind(kind: str) -> FuserConfig:
    """The defaults of the fuser of that name.

    Raises
    ------
    ConfigError : no fuser has that name.
    """
    try:
        return TypeAdapter(FuserConfig).validate_python({"kind": kind})
    except ValidationError as error:
        remedy = f"Known: {', '.join(KINDS)}"
        raise ConfigError("is no kind of fuser", field="fuser", value=kind, remedy=remedy) from error
