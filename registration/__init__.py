"""Brings volumes of one specimen onto one grid: finds the transform from the points of one to those of the other.

>>> RigidConfig(rotations=200).kind
'rigid'
"""

from registration.quality import Quality, Status
from registration.register import register
from registration.result import Registered, Registrar
from registration.rigid import Rigid, RigidConfig

__all__ = ["Quality", "Registered", "Registrar", "Rigid", "RigidConfig", "Status", "register"]
