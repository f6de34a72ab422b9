"""Which fusers a configuration can ask for."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fusion.diffusion.ddfm import DDFMConfig
from fusion.diffusion.dmf_lp import DMFLPConfig
from fusion.diffusion.literal import LiteralConfig
from fusion.lpf import LPFConfig
from fusion.pixelwise import MaxConfig, MeanConfig
from fusion.wavelet import DWTConfig
from fusion.weighted import WeightedConfig
from volumes.errors import ConfigError

FuserConfig: TypeAlias = Annotated[
    LPFConfig | MeanConfig | MaxConfig | WeightedConfig | DWTConfig | DMFLPConfig | LiteralConfig | DDFMConfig,
    Field(discriminator="kind"),
]
"""The configurations of all fusers, told apart by ``kind``."""

CONFIGS = (LPFConfig, MeanConfig, MaxConfig, WeightedConfig, DWTConfig, DMFLPConfig, LiteralConfig, DDFMConfig)
"""Their classes."""

Kind: TypeAlias = Literal["lpf", "mean", "max", "weighted", "dwt", "dmf-lp", "dmf-lp-literal", "ddfm"]

KINDS: tuple[str, ...] = get_args(Kind)
"""The names that :func:`of_kind` knows."""


@cache
def of_kind(kind: str) -> FuserConfig:
    """The defaults of the fuser of that name.

    Raises
    ------
    ConfigError : no fuser has that name.
    """
    try:
        config: FuserConfig = TypeAdapter(FuserConfig).validate_python({"kind": kind})
    except ValidationError as error:
        remedy = f"Known: {', '.join(KINDS)}"
        raise ConfigError("is no kind of fuser", field="fuser", value=kind, remedy=remedy) from error
    return config
