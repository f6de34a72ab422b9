"""Brings volumes of one specimen onto one grid: finds the transform from the points of one to those of the other.

>>> RigidConfig(rotations=200).kind
'rigid'
"""

from registration.linear import Linear, RigidConfig
from registration.quality import Quality, Status
from registration.register import register
from registration.result import Registered, Registrar

__all__ = ["Linear", "Quality", "Registered", "Registrar", "RigidConfig", "Status", "register"]
