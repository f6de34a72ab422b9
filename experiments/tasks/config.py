"""Every task that a config file can name, told apart by ``kind``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from experiments.tasks.denoise import DenoiseTaskConfig
from experiments.tasks.dmf_lp import DMFLPTaskConfig
from experiments.tasks.dmf_lp_literal import LiteralTaskConfig
from experiments.tasks.prior import PriorTaskConfig
from experiments.tasks.segmenter import SegmenterTaskConfig

TaskConfig: TypeAlias = Annotated[
    DenoiseTaskConfig | DMFLPTaskConfig | LiteralTaskConfig | PriorTaskConfig | SegmenterTaskConfig,
    Field(discriminator="kind"),
]
