"""Which motion models a configuration can ask for."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from tracking3d.link.prediction.constant_velocity import ConstantVelocity
from tracking3d.link.prediction.flow import LocalFlow
from tracking3d.link.prediction.interacting import InteractingModels
from tracking3d.link.prediction.nearest_velocity import NearestVelocity
from tracking3d.link.prediction.particles import ParticleFilter
from tracking3d.link.prediction.still import Still

MotionConfig: TypeAlias = Annotated[
    Still | NearestVelocity | ConstantVelocity | InteractingModels | ParticleFilter | LocalFlow,
    Field(discriminator="kind"),
]
"""The configurations of all motion models, told apart by ``kind``."""

MOTIONS = (Still, NearestVelocity, ConstantVelocity, InteractingModels, ParticleFilter, LocalFlow)
"""Their classes."""
