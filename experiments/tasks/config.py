"""Every task that a config file can name, told apart by ``kind``."""

from __future__ import annotations

from typing import TypeAlias

from experiments.tasks.denoise import DenoiseTaskConfig

TaskConfig: TypeAlias = DenoiseTaskConfig
