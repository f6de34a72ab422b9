"""Which specimen: an embryo that is made up, or a zebrafish about measured stains."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from phantom.anatomy.embryo import EmbryoConfig
from phantom.anatomy.zebrafish import ZebrafishConfig

AnatomyConfig: TypeAlias = Annotated[EmbryoConfig | ZebrafishConfig, Field(discriminator="kind")]
"""Told apart by ``kind``: embryo, zebrafish."""
