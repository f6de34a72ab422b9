"""Reading and writing volumes and transforms: the only place where files' units and axis orders are converted."""

from volumes.io.dispatch import read, read_timelapse, write
from volumes.io.layout import Layout
from volumes.io.transforms import read_transform, write_transform

__all__ = ["Layout", "read", "read_timelapse", "read_transform", "write", "write_transform"]
