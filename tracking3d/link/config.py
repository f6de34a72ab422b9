"""Which linkers a configuration can ask for."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.kalman import KalmanConfig
from tracking3d.link.literal.config import LiteralLinkerConfig
from tracking3d.link.nearest import NearestConfig
from tracking3d.link.trackpy import TrackpyConfig
from volumes.errors import ConfigError

LinkerConfig: TypeAlias = Annotated[
    ConstraintConfig | LiteralLinkerConfig | KalmanConfig | NearestConfig | TrackpyConfig,
    Field(discriminator="kind"),
]
"""The configurations of all linkers, told apart by ``kind``."""

CONFIGS = (ConstraintConfig, LiteralLinkerConfig, KalmanConfig, NearestConfig, TrackpyConfig)
"""Their classes."""

Kind: TypeAlias = Literal["constraint", "literal", "kalman", "nearest", "trackpy"]

KINDS: tuple[str, ...] = get_args(Kind)
"""The names that :func:`of_kind` knows."""


@cache
def of_kind(kind: str) -> LinkerConfig:
    """The defaults of the linker of that name.

    Raises
    ------
    ConfigError : no linker has that name.
    """
    try:
        config: LinkerConfig = TypeAdapter(LinkerConfig).validate_python({"kind": kind})
    except ValidationError as error:
        remedy = f"Known: {', '.join(KINDS)}"
        raise ConfigError("is no kind of linker", field="kind", value=kind, remedy=remedy) from error
    return config
