"""How cells are read from the network's maps: what a config file can say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DecoderConfig(BaseModel):
    """How cells are read from the network's maps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    foreground: float = Field(0.45, gt=0, lt=1, description="certainty from which a voxel belongs to a cell")
    light: float = Field(
        0.55, ge=0, le=1, description="share that the light has in where a cell ends; the network has the rest"
    )
    confidence: float = Field(0.52, ge=0, lt=1, description="cells of which the network is less certain are dropped")
    depth: float = Field(
        0.15, gt=0, lt=1, description="cells part where the distance falls by this share of the lower peak"
    )
