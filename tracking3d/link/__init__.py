"""Linking: detections over time become tracks.

>>> import numpy as np
>>> from tracking3d.detections import Detections
>>> cells = Detections.of(t=[0, 0, 1, 1], zyx_um=np.array([[0, 0, 0], [0, 0, 9], [0, 0, 10], [0, 0, 1]]))
>>> link(cells).parent
array([-1, -1,  1,  0])
"""

from tracking3d.link.config import LinkerConfig
from tracking3d.link.constraint import ConstraintConfig
from tracking3d.link.kalman import KalmanConfig
from tracking3d.link.linker import Linker, link
from tracking3d.link.literal.config import LiteralLinkerConfig
from tracking3d.link.nearest import NearestConfig
from tracking3d.link.trackpy import TrackpyConfig

__all__ = [
    "ConstraintConfig",
    "KalmanConfig",
    "Linker",
    "LinkerConfig",
    "LiteralLinkerConfig",
    "NearestConfig",
    "TrackpyConfig",
    "link",
]
