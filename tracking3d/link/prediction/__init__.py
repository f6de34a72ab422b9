"""Motion models: where each track is expected next, and how surely.

>>> import numpy as np
>>> import tracking3d
>>> from tracking3d.link.prediction import ConstantVelocity, expected_next
>>> seen = tracking3d.Detections.of(t=[0, 1, 2, 3], zyx_um=np.array([[0, 0, 3.0 * i] for i in range(4)]), dt_s=30.0)
>>> tracks = tracking3d.Tracks(seen, np.array([-1, 0, 1, 2]))
>>> ends, expected = expected_next(tracks, ConstantVelocity())
>>> expected.zyx_um.round(6)
array([[ 0.,  0., 12.]])
"""

from tracking3d.link.prediction.config import MotionConfig
from tracking3d.link.prediction.constant_velocity import ConstantVelocity
from tracking3d.link.prediction.course import expected_next
from tracking3d.link.prediction.flow import LocalFlow
from tracking3d.link.prediction.interacting import InteractingModels
from tracking3d.link.prediction.model import Expected, MotionModel
from tracking3d.link.prediction.nearest_velocity import NearestVelocity
from tracking3d.link.prediction.noise import Noise
from tracking3d.link.prediction.particles import ParticleFilter
from tracking3d.link.prediction.still import Still

__all__ = [
    "ConstantVelocity",
    "Expected",
    "InteractingModels",
    "LocalFlow",
    "MotionConfig",
    "MotionModel",
    "NearestVelocity",
    "Noise",
    "ParticleFilter",
    "Still",
    "expected_next",
]
