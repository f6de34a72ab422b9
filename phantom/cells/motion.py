"""What every motion shares: its config's manners, and the questions that the simulation asks."""

from __future__ import annotations

from typing import Annotated, Protocol, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from phantom.cells.lives import Lives

Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]


class MotionSettings(BaseModel):
    """Frozen; a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Motion(Protocol):
    """How cells move on their own; that they make room for one another is seen to elsewhere."""

    @property
    def speed_um_s(self) -> float:
        """Root mean square of the speed: how fine time must be cut."""
        ...

    def started(self, lives: Lives, rng: np.random.Generator) -> Lives:
        """New cells with the velocity that they start with."""
        ...

    def moved(self, lives: Lives, dt_s: float, rng: np.random.Generator) -> Lives:
        """The cells ``dt_s`` later: centres, velocities, rotations, axes."""
        ...
