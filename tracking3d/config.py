"""The configurations of what can be exchanged here, told apart by their ``kind``."""

from __future__ import annotations

from typing import TypeAlias

from tracking3d.link.constraint import ConstraintConfig
from tracking3d.segment.config import SegmenterConfig

LinkerConfig: TypeAlias = ConstraintConfig
"""Any linker's configuration; a discriminated union once there are two."""

__all__ = ["LinkerConfig", "SegmenterConfig"]
