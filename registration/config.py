"""Every way to register, as one type for config files: told apart by ``kind``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from registration.given import GivenConfig
from registration.landmark_registrar import LandmarksConfig
from registration.linear import AffineConfig, RigidConfig, SimilarityConfig

RegistrarConfig: TypeAlias = Annotated[
    RigidConfig | SimilarityConfig | AffineConfig | GivenConfig | LandmarksConfig, Field(discriminator="kind")
]
