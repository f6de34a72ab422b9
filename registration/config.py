"""Every way to register, as one type for config files: told apart by ``kind``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from registration.auto import AutoConfig
from registration.deformable.deformable import DeformableConfig
from registration.given import GivenConfig
from registration.landmarks.registrar import LandmarksConfig
from registration.linear.linear import AffineConfig, RigidConfig, SimilarityConfig
from registration.projection.projection import ProjectionConfig

RegistrarConfig: TypeAlias = Annotated[
    AutoConfig
    | RigidConfig
    | SimilarityConfig
    | AffineConfig
    | DeformableConfig
    | ProjectionConfig
    | LandmarksConfig
    | GivenConfig,
    Field(discriminator="kind"),
]
