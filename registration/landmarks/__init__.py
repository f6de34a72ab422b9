"""Landmarks: their files, the transforms through them, and what leaving each out says of those."""

from registration.landmarks.files import Landmarks, paired, read_landmarks, read_pairs, write_landmarks
from registration.landmarks.landmarks import LandmarkFit, from_landmarks
from registration.landmarks.thin_plate import ThinPlateSpline

__all__ = [
    "LandmarkFit",
    "Landmarks",
    "ThinPlateSpline",
    "from_landmarks",
    "paired",
    "read_landmarks",
    "read_pairs",
    "write_landmarks",
]
