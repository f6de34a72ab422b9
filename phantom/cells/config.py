"""What cells there are and how they live, as a config."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from phantom.cells.divisions import Cycle
from phantom.cells.flow import FlowConfig
from phantom.cells.lineage_motion import LineageMotionConfig
from phantom.cells.lives import Looks
from phantom.cells.migration import MigrationConfig
from phantom.cells.motion import Finite, NotNegative, Positive

MotionConfig: TypeAlias = Annotated[LineageMotionConfig | MigrationConfig | FlowConfig, Field(discriminator="kind")]

RADIUS_UM = 4.0
"""Median radius of the nuclei where neither the config nor a table says."""


class CellsConfig(BaseModel):
    """The cells of a specimen: how many, how large, how different from one another, how they move, divide and die."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: MotionConfig = Field(default_factory=FlowConfig)
    density: Annotated[float, Field(gt=0, le=0.6)] = Field(
        0.25, description="share of the living tissue in the field that nuclei fill at first"
    )
    count: Annotated[int, Field(ge=1)] | None = Field(None, description="how many cells at first, instead of density")
    centre_um: tuple[Finite, Finite, Finite] | None = Field(
        None, description="middle of the field that cells live in; left out: the specimen's"
    )
    size_um: tuple[Positive, Positive, Positive] | None = Field(
        None, description="sides of that field; left out: the whole specimen"
    )
    radius_um: Positive | None = Field(
        None, description=f"median radius of the nuclei; left out: {RADIUS_UM:g}, or as a lineage table says"
    )
    size_spread: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.1, description="deviation of the logarithm of a radius"
    )
    aspect: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.15, description="deviation of the logarithm of each semi-axis"
    )
    bumps: Annotated[float, Field(ge=0, le=0.05)] = Field(
        0.025, description="deviation of each coefficient of a surface's bumps, in radii"
    )
    brightness_spread: NotNegative | None = Field(
        None, description="deviation of the logarithm of brightness; left out: 0.05 + difficulty / 2"
    )
    body: Annotated[float, Field(ge=1, le=4)] = Field(1.6, description="size of a cell relative to its nucleus")
    cycle_h: Positive | None = Field(4.0, description="hours from division to division; left out (null): none divides")
    mitosis_s: Positive = Field(600.0, description="how long a mother rounds up, and her daughters flatten again")
    deaths_per_h: NotNegative = Field(0.01, description="rate of death of each cell")
    growth: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="share of the volume lost in a division that is back after a cycle; 0: cleavage"
    )
    dt_s: Positive = Field(60.0, description="seconds between the moments that are simulated")

    def looks(self, difficulty: float) -> Looks:
        """How the cells differ from one another, at a difficulty from 0 to 1."""
        spread = 0.05 + difficulty / 2 if self.brightness_spread is None else self.brightness_spread
        return Looks(self.radius_um or RADIUS_UM, self.size_spread, self.aspect, self.bumps, spread, self.body)

    def cycle(self) -> Cycle:
        """How fast they live."""
        length = self.cycle_h * 3600 if self.cycle_h else float("inf")
        return Cycle(length, self.mitosis_s, self.deaths_per_h / 3600, self.growth)
