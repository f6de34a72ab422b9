"""Brings volumes of one specimen onto one grid: finds the transform from the points of one to those of the other.

>>> RigidConfig(rotations=200).kind
'rigid'
"""

from registration.auto import AutoConfig
from registration.deformable import DeformableConfig
from registration.drift import Drift, drift
from registration.drift_config import DriftConfig
from registration.given import GivenConfig, assess
from registration.graph import Graph, Task, register_graph
from registration.landmark_files import Landmarks, paired, read_landmarks, read_pairs
from registration.landmark_registrar import LandmarksConfig
from registration.landmarks import LandmarkFit, from_landmarks
from registration.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.phase_correlation import shift_between
from registration.projection import ProjectionConfig
from registration.quality import Quality, Status
from registration.register import register
from registration.result import Registered, Registrar
from registration.thin_plate import ThinPlateSpline

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
]
