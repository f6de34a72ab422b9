"""How drift is measured: the settings, for code and config files alike."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from registration.drift.phase_correlation import LEAST_OVERLAP, MOST_VOXELS


class DriftConfig(BaseModel):
    """How drift is measured.

    Parameters
    ----------
    motion : ``shift``, or ``rigid`` where the specimen turns too: each frame is then registered to the reference.
    reference : the frame that stays: ``first``, ``middle``, or its number.
    chain : compare frames in a ``window`` of ``gaps``, with the ``previous`` one alone, or with the ``reference``.
    gaps : how many frames apart the frames of a window are that are compared; 1 is one of them.
    channel : by position or name.
    most_voxels : of the lattice that is worked on; finer voxels are averaged.
    finest_um : no finer voxels than these are worked on.
    least_overlap : share of the field that two frames must share.
    largest_um : length of the largest shift between two frames that are compared.
    least_height : a peak that stands less high above all other shifts, in their deviations, counts as chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: Literal["shift", "rigid"] = "shift"
    reference: Literal["first", "middle"] | int = "first"
    chain: Literal["window", "previous", "reference"] = "window"
    gaps: tuple[int, ...] = (1, 2, 4, 8)
    channel: int | str = 0
    most_voxels: int = Field(default=MOST_VOXELS, ge=1000)
    finest_um: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    least_overlap: float = Field(default=LEAST_OVERLAP, gt=0, lt=1)
    largest_um: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    least_height: float = Field(default=6.0, ge=0, allow_inf_nan=False)

    @field_validator("gaps")
    @classmethod
    def _with_neighbours(cls, gaps: tuple[int, ...]) -> tuple[int, ...]:
        if 1 not in gaps or min(gaps) < 1:
            raise ValueError("must be 1 or more, and 1 be one of them")
        return tuple(sorted(set(gaps)))
