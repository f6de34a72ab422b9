"""All kinds of instruments that a config can name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from phantom.instruments.brightfield import BrightfieldConfig
from phantom.instruments.ct import CTConfig
from phantom.instruments.fluorescence import ConfocalConfig, LightSheetConfig
from phantom.instruments.mri import MRIConfig
from phantom.instruments.swir import SWIRConfig, SWIRProjectionConfig

InstrumentKind: TypeAlias = Annotated[
    LightSheetConfig | ConfocalConfig | BrightfieldConfig | SWIRConfig | SWIRProjectionConfig | CTConfig | MRIConfig,
    Field(discriminator="kind"),
]
