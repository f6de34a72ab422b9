"""The configurations of what can be exchanged here, told apart by their ``kind``."""

from tracking3d.link.config import LinkerConfig
from tracking3d.segment.config import SegmenterConfig

__all__ = ["LinkerConfig", "SegmenterConfig"]
