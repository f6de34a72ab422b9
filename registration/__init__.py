"""Brings volumes of one specimen onto one grid: finds the transform from the points of one to those of the other.

>>> RigidConfig(rotations=200).kind
'rigid'
"""

from registration.auto import AutoConfig
from registration.deformable import DeformableConfig
from registration.drift import Drift, DriftConfig, drift, shift_between
from registration.given import GivenConfig, assess
from registration.graph import Graph, Task, register_graph
from registration.landmarks import (
    LandmarkFit,
    Landmarks,
    ThinPlateSpline,
    from_landmarks,
    paired,
    read_landmarks,
    read_pairs,
    write_landmarks,
)
from registration.landmarks.registrar import LandmarksConfig
from registration.linear.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.projection.projection import ProjectionConfig
from registration.quality import Quality, Status
from registration.register import register
from registration.result import Registered, Registrar

__all__ = [
    "AffineConfig",
    "AutoConfig",
    "DeformableConfig",
    "Drift",
    "DriftConfig",
    "GivenConfig",
    "Graph",
    "LandmarkFit",
    "Landmarks",
    "LandmarksConfig",
    "ProjectionConfig",
    "Quality",
    "Registered",
    "Registrar",
    "RigidConfig",
    "SimilarityConfig",
    "Status",
    "Task",
    "ThinPlateSpline",
    "assess",
    "drift",
    "from_landmarks",
    "paired",
    "read_landmarks",
    "read_pairs",
    "register",
    "register_graph",
    "shift_between",
    "write_landmarks",
]
