"""Drift: how a specimen moves as a whole over a movie, measured between many frames and taken out."""

from registration.drift.config import DriftConfig
from registration.drift.drift import Drift, drift
from registration.drift.phase_correlation import shift_between

__all__ = ["Drift", "DriftConfig", "drift", "shift_between"]
